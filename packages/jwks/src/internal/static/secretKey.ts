import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { SecretAlgorithm } from "../../Algorithm.ts"
import { isKeyMaterial } from "./publicKeyAsSecret.ts"

/**
 * The encodings of a secret: `utf8` uses the UTF-8 bytes of the text; `base64` and `base64url` decode the text to
 * bytes.
 */
export const encodings = ["utf8", "base64", "base64url"] as const
export type Encoding = (typeof encodings)[number]

/** The minimum key size in bytes, which is the size of the hash (RFC 7518, 3.2). */
const minimum: Record<SecretAlgorithm, number> = { HS256: 32, HS384: 48, HS512: 64 }
const hashes: Record<SecretAlgorithm, string> = { HS256: "SHA-256", HS384: "SHA-384", HS512: "SHA-512" }

const bytesOf = (text: string, encoding: Encoding): Option.Option<Uint8Array> => {
  switch (encoding) {
    case "utf8":
      return Option.some(new TextEncoder().encode(text))
    case "base64":
      return Result.getSuccess(Base64.decode(text))
    case "base64url":
      return Result.getSuccess(Base64Url.decode(text))
  }
}

/** Imports a secret for one algorithm. Fails with a description of the expected secret. */
export const fromSecret = Effect.fnUntraced(function*(
  algorithm: SecretAlgorithm,
  secret: Redacted.Redacted,
  encoding: Encoding
): Effect.fn.Return<CryptoKey, string> {
  const written = Redacted.value(secret)
  const bytes = Option.getOrUndefined(bytesOf(written, encoding))
  if (bytes === undefined) return yield* Effect.fail(`bytes in ${encoding}`)
  if (yield* isKeyMaterial(written, bytes)) {
    return yield* Effect.fail(
      "random bytes that only signer and verifier have, not a key in PEM, JWK, DER or OpenSSH format"
    )
  }
  if (bytes.length < minimum[algorithm]) {
    return yield* Effect.fail(`at least ${minimum[algorithm]} bytes, for ${algorithm}`)
  }
  return yield* Effect.tryPromise({
    try: () =>
      crypto.subtle.importKey("raw", new Uint8Array(bytes), { name: "HMAC", hash: hashes[algorithm] }, false, [
        "verify"
      ]),
    catch: () => `a key for ${algorithm}`
  })
})
