import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import type { Egress } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { documentOf, makeProvider } from "@keelson/testing/scriptedProvider"
import { goodClaims, type Pair, pairOf, reasonOf, sign } from "@keelson/testing/tokens"
import { Clock, ConfigProvider, Context, DateTime, Duration, Effect, Layer } from "effect"
import { exportSPKI, importJWK, SignJWT } from "jose"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Claims, Revocation, TokenValidator, ValidatorOptions } from "../src/index.ts"

class Tokens extends TokenValidator.Service<Tokens>()("test/Configured", { claims: Claims.Jwt }) {}

class RevocableTokens extends TokenValidator.Service<RevocableTokens>()("test/ConfiguredRevocable", {
  claims: Claims.Jwt,
  revocation: Revocation.Revocation
}) {}

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const pemOf = ({ alg, publicJwk }: Pair) =>
  Effect.promise(async () => {
    const key = await importJWK(publicJwk, alg, { extractable: true })
    if (key instanceof Uint8Array) throw new Error("a secret")
    return exportSPKI(key)
  })

const noEgress = makeProvider(() => Effect.die("nothing is fetched")).egress

/** The validator in a section of YAML. */
const fromYaml = (text: string, egress: Layer.Layer<Egress.Egress> = noEgress) =>
  Effect.gen(function*() {
    const options = yield* Configuration.decodeText(ValidatorOptions.ValidatorOptions, {
      format: "yaml",
      text,
      section: "jwt"
    })
    const layer = Tokens.layer(ValidatorOptions.policyOf(options)).pipe(
      Layer.provide(ValidatorOptions.layerKeySource(options)),
      Layer.provide([egress, NodeServices.layer])
    )
    return Context.get(yield* Layer.build(layer), Tokens)
  })

const head = "jwt:\n  issuers: [https://idp.example]\n  audiences: [api]\n"

describe("ValidatorOptions", () => {
  describe("the four examples", () => {
    it.live("[S4-39] [S4-35] [S4-36] RS256 with a key in a file", () =>
      Effect.gen(function*() {
        const path = join(yield* directory, "rs256.pem")
        const pair = yield* pairOf("RS256")
        writeFileSync(path, yield* pemOf(pair))
        const tokens = yield* fromYaml(
          `${head}  algorithms: [RS256]\n  keys:\n    - { algorithm: RS256, path: ${path} }\n`
        )
        const token = yield* sign(pair, yield* goodClaims, { typ: undefined, kid: undefined })
        assert.strictEqual((yield* tokens.validate(token)).claims.sub, "user-1")
      }))

    it.live("[S4-39] [S4-35] [S4-36] ES256 with a key in the text, out of a variable", () =>
      Effect.gen(function*() {
        const pair = yield* pairOf("ES256")
        const pem = yield* pemOf(pair)
        const tokens = yield* Effect.provideService(
          fromYaml(
            `${head}  algorithms: [ES256]\n  keys:\n    - { id: main, algorithm: ES256, pem: "\${PUBLIC_KEY}" }\n`
          ),
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { PUBLIC_KEY: pem } })
        )
        const token = yield* sign({ ...pair, kid: "main" }, yield* goodClaims, { typ: "JWT" })
        assert.strictEqual((yield* tokens.validate(token)).claims.sub, "user-1")
      }))

    it.live("[S4-39] [S4-38] a JWKS that is refreshed every 3600 seconds", () =>
      Effect.gen(function*() {
        const pair = yield* pairOf("RS256")
        const { egress, provider } = makeProvider(
          documentOf(JSON.stringify({ keys: [{ ...pair.publicJwk, use: "sig" }] }))
        )
        const text = `${head}  algorithms: [RS256]\n  jwks:\n    url: https://idp.example/jwks\n    ttl: 3600 seconds\n`
        const tokens = yield* fromYaml(text, egress)
        const token = yield* sign(pair, yield* goodClaims, { typ: undefined })
        assert.strictEqual((yield* tokens.validate(token)).claims.sub, "user-1")
        assert.strictEqual(provider.requests.length, 1)
        const options = yield* Configuration.decodeText(ValidatorOptions.ValidatorOptions, {
          format: "yaml",
          text,
          section: "jwt"
        })
        assert.strictEqual(Duration.toSeconds(options.jwks?.ttl ?? 0), 3600)
      }))

    it.live("[S4-39] [S4-37] several keys, public and secret: old and new ones work", () =>
      Effect.gen(function*() {
        const folder = yield* directory
        const [old, next] = yield* Effect.all([pairOf("RS256", "old"), pairOf("RS256", "next")])
        for (const pair of [old, next]) writeFileSync(join(folder, `${pair.kid}.pem`), yield* pemOf(pair))
        const secret = "a secret of more than 32 bytes, of this test"
        const tokens = yield* fromYaml(
          `${head}  algorithms: [RS256, HS256]\n  keys:\n` +
            [old, next].map(({ kid }) =>
              `    - { id: ${kid}, algorithm: RS256, path: ${join(folder, `${kid}.pem`)} }\n`
            ).join("") +
            `    - { id: shared, algorithm: HS256, secret: "${secret}" }\n`
        )
        const claims = yield* goodClaims
        for (const pair of [old, next]) {
          assert.strictEqual((yield* tokens.validate(yield* sign(pair, claims, { typ: "JWT" }))).claims.sub, "user-1")
        }
        const shared = yield* Effect.promise(() =>
          new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "shared" }).sign(new TextEncoder().encode(secret))
        )
        assert.strictEqual((yield* tokens.validate(shared)).claims.sub, "user-1")
        const stranger = yield* sign({ ...old, kid: "gone" }, claims, { typ: "JWT" })
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(stranger)), { _tag: "KeyNotFound", reason: "unknown" })
      }))
  })

  describe("what contradicts itself", () => {
    const complete = { issuers: ["https://idp.example"], audiences: ["api"], algorithms: ["RS256"] }
    const keys = [{ algorithm: "RS256", path: "key.pem" }]
    const cases: ReadonlyArray<readonly [string, object, string]> = [
      ["[S4-38] keys and jwks at once", { ...complete, keys, jwks: {} }, ""],
      ["[S4-38] neither keys nor jwks", complete, ""],
      ["a key set beside two issuers", { ...complete, issuers: ["a", "b"], jwks: {} }, "issuers"],
      [
        "a key of another algorithm",
        { ...complete, keys: [...keys, { algorithm: "ES256", path: "b.pem" }] },
        "keys.1.algorithm"
      ],
      [
        "a secret's algorithm beside a key set",
        { ...complete, algorithms: ["RS256", "HS256"], jwks: {} },
        "algorithms.1"
      ],
      [
        "[S4-35] an algorithm that is not known",
        { ...complete, keys: [{ algorithm: "none", path: "a" }] },
        "keys.0.algorithm"
      ],
      ["[S4-38] a lifetime out of its range", { ...complete, jwks: { ttl: "59 seconds" } }, "jwks.ttl"]
    ]
    it.effect.each(cases)("%s is refused at its place", ([, options, path]) =>
      Effect.gen(function*() {
        const { code, details } = errorOf(
          yield* Effect.exit(Configuration.decode(ValidatorOptions.ValidatorOptions)(options))
        )
        assert.deepStrictEqual([code, details["path"]], ["INVALID_CONFIG", path])
      }))

    it.live("[S4-35] a file that is missing, or is no key, fails the layer", () =>
      Effect.gen(function*() {
        const path = join(yield* directory, "bad.pem")
        writeFileSync(path, "-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----\n")
        const build = (file: string) =>
          Effect.exit(fromYaml(`${head}  algorithms: [RS256]\n  keys:\n    - { algorithm: RS256, path: ${file} }\n`))
        assert.strictEqual(errorOf(yield* build(`${path}.none`)).code, "KEY_FILE_UNREADABLE")
        assert.strictEqual(errorOf(yield* build(path)).code, "KEY_INVALID")
      }))
  })

  it.effect("[K-04] a validator with its keys also checks revocation", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const options = yield* Configuration.decode(ValidatorOptions.ValidatorOptions)({
        issuers: ["https://idp.example"],
        audiences: ["api"],
        algorithms: ["ES256"],
        keys: [{ id: pair.kid, algorithm: "ES256", jwk: pair.publicJwk }]
      })
      const layer = ValidatorOptions.layer(RevocableTokens, options).pipe(
        Layer.provideMerge(Revocation.layerMemory()),
        Layer.provide([noEgress, NodeServices.layer])
      )
      const context = yield* Layer.build(layer)
      const token = yield* sign(pair, yield* goodClaims, { typ: undefined })
      const tokens = Context.get(context, RevocableTokens)
      yield* tokens.validate(token)
      const until = DateTime.makeUnsafe((yield* Clock.currentTimeMillis) + 3_600_000)
      yield* Context.get(context, Revocation.Revocation).revoke(
        { issuer: "https://idp.example", jti: "token-1" },
        until
      )
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "TokenRevoked" })
    }))

  it.effect("a validator from the environment, with its keys in JSON", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const env = {
        APP_AUTH_ISSUERS: "https://idp.example",
        APP_AUTH_AUDIENCES: "api",
        APP_AUTH_ALGORITHMS: "ES256",
        APP_AUTH_KEYS: JSON.stringify([{ id: pair.kid, algorithm: "ES256", jwk: pair.publicJwk }])
      }
      const layer = Layer.provide(ValidatorOptions.layerConfig(Tokens, ["app", "auth"]), [noEgress, NodeServices.layer])
      const context = yield* Effect.provideService(
        Layer.build(layer),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env })
      )
      const token = yield* sign(pair, yield* goodClaims, { typ: undefined })
      assert.strictEqual((yield* Context.get(context, Tokens).validate(token)).claims.sub, "user-1")
    }))
})
