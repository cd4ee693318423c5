import * as KeelsonError from "@keelson/core/KeelsonError"
import * as KeyForms from "@keelson/jwks/unstable/KeyForms"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { JWK } from "jose"
import { importJWK, importPKCS8 } from "jose/key/import"
import type { ClientKey, Keys, KeyText } from "../../ClientAuth.ts"
import { nodeKeys, readPrivateKey } from "./keyForm.ts"

/** The error for a key or secret that cannot be used. It contains no part of it. */
export const invalidKey = (path: string, expected: string, advice?: string): KeelsonError.ConfigurationError =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `Invalid key: ${path} must be ${expected}${advice === undefined ? "" : `; ${advice}`}`,
    details: { path, expected }
  })

const keyForm = "a private key in PEM, or a JWK"

const parseJwk = (text: string): Effect.Effect<JWK, KeelsonError.ConfigurationError> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: () => invalidKey("privateKey", keyForm)
  }).pipe(
    Effect.filterOrFail(
      (json): json is JWK => Predicate.isObject(json) && Predicate.hasProperty(json, "kty"),
      () => invalidKey("privateKey", keyForm)
    )
  )

const withoutAlgorithm = () => invalidKey("privateKeyAlgorithm", "given for a key that does not name it")

/** Imports a key whose algorithm is known. Drops the error, whose message may contain a part of the key. */
const imported = (algorithm: string, run: () => Promise<CryptoKey | Uint8Array>) =>
  Effect.tryPromise({ try: run, catch: () => invalidKey("privateKey", `a private key for ${algorithm}`) }).pipe(
    Effect.filterOrFail(
      (key): key is CryptoKey => key instanceof CryptoKey && key.type === "private",
      () => invalidKey("privateKey", `a private key for ${algorithm}`)
    )
  )

const importPem = Effect.fnUntraced(function*(material: string, { alg, passphrase }: KeyText) {
  const secret = passphrase === undefined ? undefined : Redacted.value(passphrase)
  const { pem, pss } = yield* Effect.mapError(
    Effect.fromResult(readPrivateKey(material, secret, nodeKeys)),
    (advice) => invalidKey("privateKey", keyForm, advice)
  )
  if (alg === undefined) return yield* withoutAlgorithm()
  if (pss !== undefined && !pss.algorithms.some((name) => name === alg)) {
    return yield* invalidKey("privateKey", `a private key for ${alg}`, KeyForms.describePss(pss))
  }
  return yield* imported(alg, () => importPKCS8(pem, alg))
})

/** Imports a private key from text. */
export const importPrivateKey = Effect.fnUntraced(function*(
  keyText: KeyText
): Effect.fn.Return<ClientKey, KeelsonError.ConfigurationError> {
  const { alg, certificate, kid, text } = keyText
  const material = Redacted.value(text).trim()
  if (!material.startsWith("{")) {
    return { key: yield* importPem(material, keyText), kid, certificate }
  }
  const jwk = yield* parseJwk(material)
  const algorithm = alg ?? jwk.alg
  if (algorithm === undefined) return yield* withoutAlgorithm()
  return { key: yield* imported(algorithm, () => importJWK(jwk, algorithm)), kid: kid ?? jwk.kid, certificate }
})

const isKeyText = (key: ClientKey | KeyText): key is KeyText => Predicate.hasProperty(key, "text")

/** Identifies the text that a key was imported from. It contains the key, and stays in the closure that compares it. */
const identity = ({ alg, certificate, kid, passphrase, text }: KeyText): string =>
  JSON.stringify([Redacted.value(text), passphrase && Redacted.value(passphrase), alg, kid, certificate])

/**
 * Returns the current key. `unreadable` is the error for an effect that fails, whose own error may contain secrets, and for a
 * value that is not a key. A key in text is imported once, and again when its text changes; `alg` is its algorithm if the text
 * states none.
 */
export const makeCurrentKey = (
  keys: Keys,
  unreadable: () => KeelsonError.ConfigurationError,
  alg?: string
): Effect.Effect<ClientKey, KeelsonError.ConfigurationError> => {
  let last: { readonly identity: string; readonly key: ClientKey } | undefined
  const fromText = (given: KeyText) =>
    Effect.suspend(() => {
      const keyText = given.alg === undefined && alg !== undefined ? { ...given, alg } : given
      const id = identity(keyText)
      if (last?.identity === id) return Effect.succeed(last.key)
      return Effect.tap(importPrivateKey(keyText), (key) =>
        Effect.sync(() => {
          last = { identity: id, key }
        }))
    })
  return Effect.flatMap(
    Effect.isEffect(keys) ? Effect.mapError(keys, unreadable) : Effect.succeed(keys),
    (key) => isKeyText(key) ? fromText(key) : Effect.succeed(key)
  )
}
