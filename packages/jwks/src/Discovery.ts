/**
 * Fetches an issuer's metadata, which contain the URLs of its key set and its token endpoint: OpenID Connect Discovery
 * 1.0 and RFC 8414.
 *
 * The issuer in the metadata must equal the configured issuer, character by character. Otherwise the keys of another
 * server could be trusted for this issuer's tokens.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import { makeMetadata, type Metadata, type Options } from "./internal/http/metadata.ts"

export { type Endpoint, type Kind, type Metadata, type Options, wellKnownUrl } from "./internal/http/metadata.ts"

/** Fetches an issuer's metadata, and caches them for the lifetime of their response. */
export interface Discovery {
  /**
   * Returns cached metadata while they are fresh, and fetches them otherwise. If a fetch fails, the cached metadata
   * stay in use and are not fetched again for 30 seconds.
   *
   * Fails with `NetworkError`: `DISCOVERY_INVALID`, or the error of the request.
   */
  readonly metadata: Effect.Effect<Metadata, KeelsonError.NetworkError>
  /** Expires the cached metadata, so that the next `metadata` fetches. For a key set that was not found at its URL. */
  readonly expire: () => void
}

/**
 * Makes a `Discovery` for one issuer. The first run of `metadata` sends the first request.
 *
 * **Example** (Where the metadata are)
 *
 * ```ts import.meta.vitest
 * import { Discovery } from "@keelson/jwks"
 * import { Result } from "effect"
 *
 * const url = Result.getOrThrow(Discovery.wellKnownUrl("https://idp.example", "oidc"))
 * url // => "https://idp.example/.well-known/openid-configuration"
 * ```
 */
export const make = (options: Options): Discovery => {
  const { expire, metadata } = makeMetadata(options)
  return { metadata: Effect.mapError(metadata, ({ error }) => error), expire }
}
