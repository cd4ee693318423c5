import * as Effect from "effect/Effect"
import * as base64url from "jose/base64url"
import { encodeText, type HashText } from "./platform.ts"

/** Returns the SHA-256 of a text, or of bytes, in base64url. */
export type Digest = (data: string | Uint8Array<ArrayBuffer>) => Effect.Effect<string>

/** A digest that is synchronous where the platform has a hash of its own. The results are the same on all platforms. */
export const digestOf = (hash: HashText | undefined): Digest =>
  hash === undefined
    ? (data) =>
      Effect.map(
        Effect.promise(() => crypto.subtle.digest("SHA-256", typeof data === "string" ? encodeText(data) : data)),
        (bytes) => base64url.encode(new Uint8Array(bytes))
      )
    : (data) => Effect.succeed(hash(data))
