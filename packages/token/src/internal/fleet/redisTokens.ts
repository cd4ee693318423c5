import { connectInBackground } from "@keelson/core/unstable/RedisConnection"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type { SharedTokensOptions } from "../../SharedTokensOptions.ts"
import { identityText } from "./identityText.ts"
import { makeRedisRecord } from "./redisRecord.ts"
import { makeRedisRefreshRecord } from "./redisRefreshRecord.ts"
import { refreshTokenSettings } from "./refreshTokenSettings.ts"
import { digest, makeSeal } from "./seal.ts"
import { makeSharedRefreshToken } from "./sharedRefreshToken.ts"
import { makeSharedToken } from "./sharedToken.ts"
import type { SharedTokens } from "./sharedTokensTag.ts"
import { makeStoreCalls } from "./storeCalls.ts"

/** Records in Redis, each in one hash whose name is a hash: Redis' logs name no issuer, client or user. */
export const makeRedisTokens = Effect.fnUntraced(function*<E>(
  options: SharedTokensOptions,
  layer: Layer.Layer<Redis.Redis, E>
): Effect.fn.Return<SharedTokens["Service"], never, Scope.Scope> {
  const { keys, lease, minReplicas, prefix, timeout } = options
  const seal = yield* makeSeal(keys)
  const connection = yield* connectInBackground(layer, "Store of shared tokens is not connected")
  const calls = yield* makeStoreCalls(connection, timeout)
  const keyOf = (kind: "token" | "refresh", name: string) =>
    Effect.map(digest(JSON.stringify([kind, name])), (place) => `${prefix}{${place}}:${kind}`)
  return {
    token: (identity, server) => {
      const text = identityText(identity)
      return Effect.flatMap(
        keyOf("token", text),
        (key) => makeSharedToken(makeRedisRecord(calls, seal, { key, identity: text, lease }), server, options)
      )
    },
    refreshTokenStore: (given) =>
      Effect.gen(function*() {
        const settings = yield* refreshTokenSettings(given)
        const { name } = settings
        const key = yield* keyOf("refresh", name)
        const record = makeRedisRefreshRecord(calls, seal, { key, name, lease, minReplicas, timeout })
        return makeSharedRefreshToken(record, settings, options)
      })
  }
})
