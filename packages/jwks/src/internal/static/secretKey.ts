import { Effect, Option, Redacted, Result } from "effect"
import { Base64, Base64Url } from "effect/encoding"
import type { SecretAlgorithm } from "./algorithm.ts"
import { isKeyLike } from "./der.ts"
import { hasBoundary } from "./pem.ts"

/** How a secret is written: as text, whose UTF-8 bytes it is, or as bytes in one of two alphabets. */
export const encodings = ["utf8", "base64", "base64url"] as const
export type Encoding = (typeof encodings)[number]

/** As many bytes as the hash has, which is the least that a key may have (RFC 7518, 3.2). */
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

const isJwk = (text: string): boolean => /^[{[]/.test(text) && /"(?:kty|keys)"\s*:/.test(text)
const isOpenSsh = (text: string): boolean => /^(?:ssh-|ecdsa-sha2-|sk-)[\w@.-]+ AAAA/.test(text)

/** The bytes of base64, in either alphabet and with any line breaks. */
const unarmored = (text: string): Option.Option<Uint8Array> =>
  Result.getSuccess(Base64.decode(text.replaceAll(/\s/g, "").replaceAll("-", "+").replaceAll("_", "/")))

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim()

const isKey = (bytes: Uint8Array, text: string): boolean =>
  hasBoundary(text) || isJwk(text) || isOpenSsh(text) || isKeyLike(bytes)

/**
 * Whether bytes are a public key in any form that public keys are handed around in, or that in base64. As a secret each
 * would be known to everybody: that is how a token signed with HS256 and the public key passes for one of RS256.
 *
 * @see RFC 8725, 2.1 and 3.1
 */
const isKeyMaterial = (bytes: Uint8Array): boolean => {
  const text = textOf(bytes)
  return isKey(bytes, text) || Option.exists(unarmored(text), (inner) => isKey(inner, textOf(inner)))
}

/** The key of a secret, for one algorithm. Fails with what was expected. */
export const fromSecret = Effect.fnUntraced(function*(
  algorithm: SecretAlgorithm,
  secret: Redacted.Redacted,
  encoding: Encoding
): Effect.fn.Return<CryptoKey, string> {
  const bytes = Option.getOrUndefined(bytesOf(Redacted.value(secret), encoding))
  if (bytes === undefined) return yield* Effect.fail(`bytes in ${encoding}`)
  if (isKeyMaterial(bytes)) {
    return yield* Effect.fail("random bytes that only signer and verifier have: this is a key in a public format")
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
