import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Egress } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { FetchFailed } from "./fetchDocument.ts"
import { rulesOf } from "./fetchKeySet.ts"
import { makeMetadata, wellKnownUrl } from "./metadata.ts"

/** Where a provider's key set is. */
export interface KeySetLocation {
  /** The URL of the options; it names the key set even while nobody can be asked where it is. */
  readonly configured: string
  /** The URL of the key set. */
  readonly url: Effect.Effect<string, FetchFailed>
  /** It was not there: the metadata are to be read again. */
  readonly onGone: () => void
}

/** From the options' URL, or from the issuer's metadata. Fails for an issuer that can't have any. */
export const makeKeySetLocation = (
  options: JwksOptions,
  egress: Egress["Service"]
): Result.Result<KeySetLocation, KeelsonError.NetworkError> => {
  if (options.url !== undefined) {
    return Result.succeed({ configured: options.url, url: Effect.succeed(options.url), onGone: () => {} })
  }
  return Result.map(wellKnownUrl(options.issuer, options.discovery), (configured) => {
    const { expire, metadata } = makeMetadata({ ...options, kind: options.discovery, egress, rules: rulesOf(options) })
    return { configured, url: Effect.map(metadata, ({ endpoint }) => endpoint), onGone: expire }
  })
}
