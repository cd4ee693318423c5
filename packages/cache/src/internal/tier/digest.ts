import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"

/** SHA-256 of bytes, in hex. By WebCrypto, which every platform has. */
export const sha256Hex = (bytes: Uint8Array): Effect.Effect<string> =>
  Effect.map(
    // A view of memory that is not shared, as WebCrypto requires.
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new Uint8Array(bytes))),
    (digest) => Hex.encode(new Uint8Array(digest))
  )
