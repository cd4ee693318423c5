import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type KeelsonError, Problem } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { Cause, ConfigProvider, Effect, Exit, FileSystem, Layer, Redacted, Result } from "effect"
import { inspect } from "node:util"
import * as StaticKeys from "../src/StaticKeys.ts"
import * as Keys from "./fixtures/keys/generated.ts"

const issuer = "https://issuer.example"
const secret = "zq-planted-secret-1 zq-planted-secret-2 zq-planted-secret-3"
const kid = "planted-kid-77"

/** Pieces of 16 characters of every key and secret here: none of them may be seen. */
const pieces = [
  secret,
  kid,
  ...Object.values(Keys.privateJwk(Keys.rsa)).map(String),
  ...Object.values(Keys.privateJwk(Keys.p256)).map(String),
  ...[Keys.spki, Keys.pkcs1, Keys.pkcs8].map((form) => form(Keys.rsa)),
  ...[Keys.spki, Keys.pkcs8, Keys.certificate].map((form) => form(Keys.p256))
].flatMap((text) => text.split("\n")).filter((line) => line.length > 8 && !line.startsWith("-----"))
  .flatMap((line) =>
    line.length < 32
      ? [line]
      : Array.from({ length: Math.floor(line.length / 16) }, (_, i) => line.slice(i * 16, i * 16 + 16))
  )

const shown = (value: unknown): ReadonlyArray<string> => [
  String(value),
  JSON.stringify(value) ?? "",
  inspect(value, { depth: 12, showHidden: true }),
  JSON.stringify([Problem.encode(value), Problem.toProblemDetails(value)]),
  value instanceof Error ? `${value.message} ${value.stack} ${inspect(value.cause, { depth: 10 })}` : "",
  Cause.pretty(Cause.fail(value)),
  inspect(Exit.fail(value), { depth: 12 })
]

const assertClean = (values: ReadonlyArray<unknown>): void => {
  assert.isNotEmpty(values)
  const output = values.flatMap(shown).join("\n")
  assert.deepStrictEqual(pieces.filter((piece) => output.includes(piece)), [])
}

const algorithms = ["RS256", "ES256", "EdDSA", "HS256", "HS512", "none", undefined]

/** Every key and secret in every option, with every algorithm: few of them are right. */
const options = (() => {
  const { d, n } = Keys.privateJwk(Keys.rsa)
  const texts = [
    secret,
    Keys.spki(Keys.rsa),
    Keys.pkcs1(Keys.rsa),
    Keys.pkcs8(Keys.rsa),
    Keys.pkcs8(Keys.p256),
    Keys.certificate(Keys.p256),
    Keys.pkcs8(Keys.rsa).slice(40),
    JSON.stringify(Keys.privateJwk(Keys.rsa)),
    String(d)
  ]
  const jwks = [
    Keys.jwk(Keys.rsa),
    Keys.privateJwk(Keys.rsa),
    Keys.privateJwk(Keys.p256),
    { kty: "oct", k: secret },
    { kty: secret, n: [n], crv: d, alg: d, use: d, key_ops: [d] },
    { ...Keys.jwk(Keys.rsa), kid: [kid] }
  ]
  const wrong = [[secret], { a: secret }, 5].flatMap((value) =>
    ["pem", "jwk", "secret", "path", "id"].map((name) => ({ [name]: value }))
  )
  const sources = [
    ...texts.flatMap((
      text
    ) => [{ pem: text }, { secret: text }, { secret: text, encoding: "base64" }, { pem: text, secret: text }]),
    ...jwks.map((jwk) => ({ jwk })),
    ...wrong
  ]
  return sources.flatMap((source) =>
    algorithms.map((algorithm) => ({ issuers: [issuer], keys: [{ id: kid, algorithm, ...source }] }))
  )
})()

const run = (input: unknown) =>
  Effect.result(Effect.flatMap(Configuration.decode(StaticKeys.StaticKeys)(input), StaticKeys.makeFiles))

describe("StaticKeys, secrecy", () => {
  it.effect("[R21] no error shows key material or a key's id, wherever it was given and whatever is wrong with it", () =>
    Effect.gen(function*() {
      const results = yield* Effect.forEach(options, run)
      const errors = results.filter(Result.isFailure).map(({ failure }) => failure)
      assert.sameMembers([...new Set(errors.map(({ code }) => code))], ["INVALID_CONFIG", "KEY_INVALID"])
      assert.isAtLeast(errors.length, 200)
      assert.isTrue(results.some(Result.isSuccess))
      assertClean(errors)
    }).pipe(Effect.provide(FileSystem.layerNoop({}))))

  it.effect("[R21] nor does one of text, of the environment or of a file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/a.pem`
      const errors: Array<unknown> = []
      for (const option of options) {
        const [key] = option.keys
        const text = JSON.stringify(option)
        const broken = JSON.stringify(option.keys).slice(0, -3)
        const environment = { APP_ISSUERS: issuer, APP_KEYS: broken }
        yield* fs.writeFileString(path, "pem" in (key ?? {}) ? JSON.stringify(key) : text)
        const attempts: ReadonlyArray<Effect.Effect<unknown, KeelsonError.ConfigurationError, FileSystem.FileSystem>> =
          [
            Configuration.decodeText(StaticKeys.StaticKeys, { format: "json", text: text.slice(0, -4) }),
            Effect.flatMap(
              Configuration.decodeText(StaticKeys.StaticKeys, { format: "yaml", text }),
              StaticKeys.makeFiles
            ),
            Effect.scoped(Layer.build(StaticKeys.layerConfig(["app"]))),
            StaticKeys.makeFiles({ issuers: [issuer], keys: [{ algorithm: "RS256", path }] })
          ]
        for (const attempt of attempts) {
          const result = yield* Effect.result(attempt).pipe(
            Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
          )
          if (Result.isFailure(result)) errors.push(result.failure)
        }
      }
      assert.isAtLeast(errors.length, 3 * options.length)
      assertClean(errors)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("[R21] decoded options, the source and its answers show no key material", () =>
    Effect.gen(function*() {
      const options = yield* Configuration.decode(StaticKeys.StaticKeys)({
        issuers: [issuer],
        keys: [
          { algorithm: "HS256", secret: Redacted.make(secret) },
          { algorithm: "RS256", pem: Keys.spki(Keys.rsa) },
          { algorithm: "ES256", jwk: Keys.jwk(Keys.p256) },
          { algorithm: "RS256", pem: Keys.pkcs8(Keys.rsa) },
          { algorithm: "ES256", jwk: Keys.privateJwk(Keys.p256) }
        ]
      })
      const source = yield* StaticKeys.makeFiles({ ...options, keys: options.keys.slice(0, 3) })
      const answers = yield* Effect.forEach(["HS256", "RS256", "ES256"], (alg) => source.find(issuer, { alg }))
      assertClean([options, source, ...answers.flat().map(({ alg, issuer, trust }) => ({ alg, issuer, trust }))])
      assertClean(answers.flat().map(({ key }) => JSON.stringify(key)))
    }).pipe(Effect.provide(FileSystem.layerNoop({}))))

  it.effect("[R21] a failed lookup shows neither the token's kid nor a configured one", () =>
    Effect.gen(function*() {
      const source = yield* StaticKeys.make({
        issuers: [issuer],
        keys: [{ id: kid, algorithm: "HS256", secret: Redacted.make(secret) }]
      })
      const headers = [{ alg: "RS256", kid }, { alg: "HS256", kid: secret }, { alg: secret }]
      const errors = yield* Effect.forEach(headers, (header) => Effect.flip(source.find(issuer, header)))
      assertClean([...errors, yield* Effect.flip(source.find(secret, { alg: "HS256", kid }))])
    }))
})
