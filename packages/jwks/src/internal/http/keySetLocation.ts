import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Egress } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { FetchFailed } from "./fetchDocument.ts"
import { rulesOf } from "./fetchKeySet.ts"
import { makeMetadata, wellKnownUrl } from "./metadata.ts"

/** The location of a provider's key set. */
export interface KeySetLocation {
  /** The URL in the options, or else that of the metadata. It identifies the key set even if the metadata cannot be fetched. */
  readonly configured: string
  /** The URL of the key set, from the options or the metadata. */
  readonly url: Effect.Effect<string, FetchFailed>
  /** Must be called if the key set was not at its URL: the next `url` fetches the metadata again. */
  readonly onGone: () => void
}

/**
 * Takes the URL from the options, or else from the issuer's metadata.
 *
 * Fails with `NetworkError` (`DISCOVERY_INVALID`) for an issuer that is not a URL, or has a query or fragment.
 */
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
