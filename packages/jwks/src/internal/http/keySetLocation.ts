import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Egress } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { FetchFailed } from "./fetchDocument.ts"
import { rulesOf } from "./fetchKeySet.ts"
import { makeMetadata, type MetadataSource, wellKnownUrl } from "./metadata.ts"

/** The location of a provider's key set: the URL of the options, or else that of the issuer's metadata. */
export class KeySetLocation {
  /** The URL in the options, or else that of the metadata. It identifies the key set even if the metadata cannot be fetched. */
  readonly configured: string
  readonly #metadata: MetadataSource | undefined

  constructor(configured: string, metadata?: MetadataSource) {
    this.configured = configured
    this.#metadata = metadata
  }
  /** The URL of the key set, from the options or the metadata. */
  get url(): Effect.Effect<string, FetchFailed> {
    return this.#metadata === undefined
      ? Effect.succeed(this.configured)
      : Effect.map(this.#metadata.metadata, ({ endpoint }) => endpoint)
  }
  /** Must be called if the key set was not at its URL: the next `url` fetches the metadata again. */
  expire(): void {
    this.#metadata?.expire()
  }
}

/**
 * Takes the URL from the options, or else from the issuer's metadata.
 *
 * Fails with `NetworkError` (`DISCOVERY_INVALID`) for an issuer that is not a URL, or has a query or fragment.
 */
export const makeKeySetLocation = (
  options: JwksOptions,
  egress: Egress["Service"]
): Result.Result<KeySetLocation, KeelsonError.NetworkError> =>
  options.url !== undefined
    ? Result.succeed(new KeySetLocation(options.url))
    : Result.map(wellKnownUrl(options.issuer, options.discovery), (configured) => {
      const metadata = makeMetadata({ ...options, kind: options.discovery, egress, rules: rulesOf(options) })
      return new KeySetLocation(configured, metadata)
    })
