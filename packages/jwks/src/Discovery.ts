/**
 * An issuer's metadata, from which the URL of its key set or of its token endpoint comes: OpenID Connect Discovery 1.0 and
 * RFC 8414.
 *
 * The issuer in the metadata has to equal the configured one, character by character: otherwise whoever answers could
 * have its keys trusted for another's tokens.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import { makeMetadata, type Metadata, type Options } from "./internal/http/metadata.ts"

export { type Endpoint, type Kind, type Metadata, type Options, wellKnownUrl } from "./internal/http/metadata.ts"

/** Finds an issuer's metadata, and keeps them as long as their response says. */
export interface Discovery {
  /**
   * The metadata: those held while they are fresh, else fetched. Where fetching fails, those held stay in use, and are
   * not fetched again for 30 seconds.
   *
   * Fails with `NetworkError`: `DISCOVERY_INVALID`, or as the request does.
   */
  readonly metadata: Effect.Effect<Metadata, KeelsonError.NetworkError>
  /** Has the next `metadata` fetch anew, since the key set was not where they say. */
  readonly expire: () => void
}

/** Made at once; nothing is fetched before it is asked for. */
export const make = (options: Options): Discovery => {
  const { expire, metadata } = makeMetadata(options)
  return { metadata: Effect.mapError(metadata, ({ error }) => error), expire }
}
