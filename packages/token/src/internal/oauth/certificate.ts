import * as KeyForms from "@keelson/jwks/unstable/KeyForms"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as base64url from "jose/base64url"

/** The header member of an assertion that names a certificate (RFC 7515, 4.1.7 and 4.1.8). */
export type Thumbprint = "x5t" | "x5t#S256"

const hashes = { x5t: "SHA-1", "x5t#S256": "SHA-256" } as const

const block = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/

/** The first certificate of a PEM text: that of the key, before those of its issuers. */
const derOf = (pem: string): Result.Result<Uint8Array<ArrayBuffer>, string> => {
  const body = block.exec(pem.replaceAll("\\n", "\n"))?.[1]
  const der = body === undefined ? undefined : Result.getOrUndefined(Base64.decode(body.replaceAll(/\s/g, "")))
  return der === undefined ? Result.fail("a certificate in PEM") : Result.succeed(new Uint8Array(der))
}

/** The parameters of a signature with a key; `undefined` for a type of key that JWS does not sign with. */
const parametersOf = ({ algorithm }: CryptoKey): EcdsaParams | RsaPssParams | Algorithm => ({
  name: algorithm.name,
  ...(algorithm.name === "ECDSA" ? { hash: "SHA-256" } : undefined),
  ...(algorithm.name === "RSA-PSS" ? { saltLength: 32 } : undefined)
})

/** Whether the certificate has the public key of a private key: whether it verifies what the key signs. */
const belongsTo = async (der: Uint8Array<ArrayBuffer>, key: CryptoKey): Promise<boolean> => {
  const spki = KeyForms.spkiFromCertificate(der)
  if (spki === undefined) return false
  const form = new Uint8Array(KeyForms.fromPss(spki)?.der ?? spki)
  const data = Uint8Array.of(1)
  const publicKey = await crypto.subtle.importKey("spki", form, key.algorithm, false, ["verify"])
  const signature = await crypto.subtle.sign(parametersOf(key), key, data)
  return crypto.subtle.verify(parametersOf(key), publicKey, signature, data)
}

/**
 * The thumbprint of a certificate in PEM, as the value of a header member. Fails with a description of the expected certificate,
 * also if the certificate does not belong to the key.
 *
 * @see RFC 7515, 4.1.7 and 4.1.8
 */
const thumbprintOf = Effect.fnUntraced(function*(pem: string, key: CryptoKey, thumbprint: Thumbprint) {
  const der = yield* Effect.fromResult(derOf(pem))
  const expected = "the certificate of the private key"
  yield* Effect.filterOrFail(
    Effect.tryPromise({ try: () => belongsTo(der, key), catch: () => expected }),
    Predicate.isTruthy,
    () => expected
  )
  const hash = yield* Effect.promise(() => crypto.subtle.digest(hashes[thumbprint], der))
  return base64url.encode(new Uint8Array(hash))
})

/** Computes the thumbprint of a certificate once, and again when key or certificate change. */
export const makeThumbprint = (thumbprint: Thumbprint) => {
  let last: { readonly pem: string; readonly key: CryptoKey; readonly value: string } | undefined
  return (pem: string, key: CryptoKey): Effect.Effect<string, string> =>
    Effect.suspend(() =>
      last?.pem === pem && last.key === key
        ? Effect.succeed(last.value)
        : Effect.tap(thumbprintOf(pem, key, thumbprint), (value) =>
          Effect.sync(() => {
            last = { pem, key, value }
          }))
    )
}
