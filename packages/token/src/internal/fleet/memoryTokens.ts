import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identityText } from "./identityText.ts"
import { makeMemoryRecord } from "./memoryRecord.ts"
import { makeMemoryRefreshRecord } from "./memoryRefreshRecord.ts"
import type { TokenRecord } from "./record.ts"
import type { RefreshRecord } from "./refreshRecord.ts"
import { refreshTokenSettings } from "./refreshTokenSettings.ts"
import { makeSharedRefreshToken } from "./sharedRefreshToken.ts"
import { makeSharedToken, type Times } from "./sharedToken.ts"
import type { SharedTokens } from "./sharedTokensTag.ts"

/** Those of `SharedTokensOptions`. */
const times: Times = {
  lease: Duration.seconds(5),
  maxWait: Duration.minutes(1),
  maxFailureDelay: Duration.seconds(5)
}

/** The value of a key, made once. */
const inMap = <A>(map: Map<string, A>, key: string, make: () => A): A => {
  const existing = map.get(key)
  if (existing !== undefined) return existing
  const made = make()
  map.set(key, made)
  return made
}

/** Records in the memory of this process. */
export const makeMemoryTokens = (): SharedTokens["Service"] => {
  const records = new Map<string, TokenRecord>()
  const refreshRecords = new Map<string, RefreshRecord>()
  const lease = Duration.toMillis(times.lease)
  return {
    token: (identity, server) =>
      makeSharedToken(inMap(records, identityText(identity), () => makeMemoryRecord(lease)), server, times),
    refreshTokenStore: (options) =>
      Effect.map(refreshTokenSettings(options), (settings) =>
        makeSharedRefreshToken(
          inMap(refreshRecords, settings.name, () => makeMemoryRefreshRecord(lease)),
          settings,
          times
        ))
  }
}
