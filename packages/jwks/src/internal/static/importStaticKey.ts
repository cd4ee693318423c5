import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Algorithm, isSecretAlgorithm, type PublicAlgorithm } from "../../Algorithm.ts"
import { noteDeviation, type Publisher } from "../keys/deviations.ts"
import { fromJwk, fromPem } from "./publicKey.ts"
import { type Encoding, fromSecret } from "./secretKey.ts"
import { describeKey, type StaticKey } from "./staticLookup.ts"

type Jwk = Readonly<Record<string, unknown>>

/** The checked options of one key. Exactly one of `pem`, `jwk`, `path` and `secret` is set. */
interface KeyOptions {
  readonly id?: string
  readonly algorithm: Algorithm
  readonly pem?: Redacted.Redacted
  readonly jwk?: Redacted.Redacted<Jwk>
  readonly path?: string
  readonly secret?: Redacted.Redacted
  readonly encoding?: Encoding
}

/** Reads the text of a file. `path` is the path of the option, for errors. */
export type ReadFile<R> = (path: string, file: string) => Effect.Effect<string, KeelsonError.ConfigurationError, R>

const invalid = (path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `${path} must be ${expected}`,
    details: { path, expected }
  })

/** Static keys have no provider of their own in metrics. */
const publisher: Publisher = { tenant: "default", provider: "static" }

const importJwk = Effect.fnUntraced(function*(
  algorithm: PublicAlgorithm,
  id: string | undefined,
  jwk: Jwk,
  place: string
) {
  const { deviations, issuer, kid, publicKey, use } = yield* fromJwk(algorithm, jwk)
  if (id !== undefined && kid !== undefined && id !== kid) return yield* Effect.fail("a key whose kid is its id")
  for (const deviation of deviations) yield* noteDeviation(deviation, publisher, place, false)
  return describeKey(algorithm, publicKey, id ?? kid, issuer, use)
})

/**
 * Imports a key for its algorithm. The type of the algorithm decides which options are read, so that a secret is never
 * imported as a public key, nor a public key as a secret.
 *
 * Fails with `KEY_INVALID`, naming the option below `at`, and with the errors of `readFile`.
 */
export const importStaticKey = <R>(
  { algorithm, encoding = "utf8", id, jwk, path: file, pem, secret }: KeyOptions,
  at: string,
  readFile: ReadFile<R>
): Effect.Effect<StaticKey, KeelsonError.ConfigurationError, R> => {
  const place = (source: string) => `${at}.${source}`
  const refuse = (source: string) => Effect.mapError((expected: string) => invalid(place(source), expected))
  if (isSecretAlgorithm(algorithm)) {
    return secret === undefined
      ? Effect.fail(invalid(at, `a key with a secret, since ${algorithm} is symmetric`))
      : fromSecret(algorithm, secret, encoding).pipe(
        refuse("secret"),
        Effect.map((key) => describeKey(algorithm, { key }, id))
      )
  }
  const fromText = (source: string) => (text: string) =>
    fromPem(algorithm, text).pipe(refuse(source), Effect.map((key) => describeKey(algorithm, key, id)))
  if (pem !== undefined) return fromText("pem")(Redacted.value(pem))
  if (file !== undefined) return Effect.flatMap(readFile(place("path"), file), fromText("path"))
  return jwk === undefined
    ? Effect.fail(invalid(at, `a key with pem, jwk or path, since ${algorithm} is not symmetric`))
    : importJwk(algorithm, id, Redacted.value(jwk), place("jwk")).pipe(refuse("jwk"))
}
