import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { errorOf } from "@keelson/testing/exits"
import { inTime, keyOrigin, localEgress, plain, sending } from "@keelson/testing/keyOrigin"
import { type OidcProvider, oidcProvider, signingKey } from "@keelson/testing/oidcProvider"
import { Clock, Context, Effect, Layer, Logger } from "effect"
import { compactVerify, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from "jose"
import { JwksRegistry, KeySource } from "../src/index.ts"

type Source = KeySource.KeySource["Service"]

/** A source of keys in the scope. */
const built = <E>(layer: Layer.Layer<KeySource.KeySource, E, Layer.Success<typeof localEgress>>) =>
  Layer.build(Layer.provide(layer, localEgress)).pipe(
    Effect.map((context) => Context.get(context, KeySource.KeySource)),
    Effect.provide(Logger.layer([]))
  )

/** The header of a token, as far as it selects keys. */
const headerOf = (token: string): KeySource.JoseHeader => {
  const { alg = "none", kid } = decodeProtectedHeader(token)
  return { alg, kid }
}

const candidateOf = Effect.fnUntraced(function*(source: Source, issuer: string, token: string) {
  const [candidate, ...more] = yield* source.find(issuer, headerOf(token))
  if (candidate === undefined) return assert.fail("no candidate")
  assert.lengthOf(more, 0)
  return candidate
})

/** The issuer that a token names, once its signature is verified with the candidate for it. */
const verified = Effect.fnUntraced(function*(source: Source, issuer: string, token: string) {
  const { key } = yield* candidateOf(source, issuer, token)
  const { payload } = yield* Effect.promise(() => compactVerify(token, key))
  const claims: unknown = JSON.parse(new TextDecoder().decode(payload))
  return claims
})

const algorithms = ["RS256", "ES256", "EdDSA"] as const
const firstKeys = Effect.forEach(algorithms, (alg) => signingKey(alg, `${alg}-1`))

const sources = [
  [
    "oidc",
    ({ issuer }: OidcProvider) => KeySource.layerOidc({ issuer, ...plain }),
    "/.well-known/openid-configuration"
  ],
  [
    "oauth2",
    ({ issuer }: OidcProvider) => KeySource.layerOauth2({ issuer, ...plain }),
    "/.well-known/oauth-authorization-server"
  ]
] as const

describe("KeySource and a real OpenID provider", () => {
  it.live.each(sources)(
    "[K-26] [S4-38] verifies its tokens with the keys that %s finds",
    ([, layer, path]) =>
      Effect.gen(function*() {
        const provider = yield* oidcProvider(yield* firstKeys)
        const source = yield* built(layer(provider))
        for (const alg of algorithms) {
          const token = yield* provider.token(alg)
          assert.deepInclude(headerOf(token), { alg, kid: `${alg}-1` })
          assert.deepInclude(yield* verified(source, provider.issuer, token), { iss: provider.issuer })
        }
        assert.deepStrictEqual(provider.requests, [path, "/jwks"])
      })
  )

  it.live("[K-26] [S4-38] a token of another key under the same kid does not verify", () =>
    Effect.gen(function*() {
      const provider = yield* oidcProvider([yield* signingKey("ES256", "same")])
      const source = yield* built(KeySource.layerOidc({ issuer: provider.issuer, ...plain }))
      yield* verified(source, provider.issuer, yield* provider.token("ES256"))
      yield* provider.rotate([yield* signingKey("ES256", "same")])
      const forged = yield* provider.token("ES256")
      const { key } = yield* candidateOf(source, provider.issuer, forged)
      const failure = yield* Effect.flip(Effect.tryPromise(() => compactVerify(forged, key)))
      assert.deepInclude(failure.cause, { code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" })
    }))

  it.live("[K-04] [L5] [S4-38] follows a rotation: published, then signed with, then the old one removed", () =>
    inTime((move) =>
      Effect.gen(function*() {
        const [old, next] = yield* Effect.all([signingKey("RS256", "old"), signingKey("RS256", "new")])
        const provider = yield* oidcProvider([old])
        const { issuer } = provider
        const source = yield* built(KeySource.layerOidc({ issuer, ...plain }))
        const before = yield* provider.token("RS256")
        const trusted = yield* candidateOf(source, issuer, before)

        yield* provider.rotate([old, next])
        assert.strictEqual(headerOf(yield* provider.token("RS256")).kid, "old")
        yield* provider.rotate([next, old])
        const after = yield* provider.token("RS256")
        const all = Array.from({ length: 50 }, () => verified(source, issuer, after))
        yield* Effect.all(all, { concurrency: "unbounded" })
        yield* verified(source, issuer, before)
        assert.deepStrictEqual(provider.requests, ["/.well-known/openid-configuration", "/jwks", "/jwks"])

        yield* provider.rotate([next])
        const current = yield* candidateOf(source, issuer, after)
        const clock = yield* Clock.Clock
        assert.deepStrictEqual([trusted, current].map(({ trust }) => trust.holds(clock)), [false, true])
        yield* move("1 hour")
        yield* eventually(() => !current.trust.holds(clock))
        const removed = errorOf(yield* Effect.exit(source.find(issuer, headerOf(before))))
        assert.strictEqual(removed.code, "JWKS_KEY_NOT_FOUND")
        yield* verified(source, issuer, after)
      })
    ))

  it.live("[S0-16] [S4-38] [L4] killed: its keys go on to the stale deadline, then a 503; back: they verify", () =>
    inTime((move) =>
      Effect.gen(function*() {
        const provider = yield* oidcProvider(yield* firstKeys)
        const { issuer } = provider
        const source = yield* built(KeySource.layerOidc({ issuer, ...plain, staleWindow: "5 minutes" }))
        const token = yield* provider.token("ES256")
        yield* verified(source, issuer, token)
        yield* provider.kill
        yield* move("62 minutes")
        yield* verified(source, issuer, token)
        yield* move("3 minutes")
        const error = errorOf(yield* Effect.exit(source.find(issuer, headerOf(token))))
        assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", status: 503 })
        yield* provider.start
        yield* move("1 minute")
        yield* Effect.eventually(verified(source, issuer, token))
      })
    ))

  it.live("[S0-16] [S4-38] down at the start: a typed failure, and its keys once it is there", () =>
    inTime((move) =>
      Effect.gen(function*() {
        const provider = yield* oidcProvider(yield* firstKeys)
        const token = yield* provider.token("ES256")
        yield* provider.kill
        const source = yield* built(KeySource.layerOidc({ issuer: provider.issuer, ...plain }))
        const error = errorOf(yield* Effect.exit(source.find(provider.issuer, headerOf(token))))
        assert.deepInclude(error, { code: "JWKS_UNAVAILABLE", lastFailure: "NETWORK_ERROR" })
        yield* provider.start
        yield* move("1 second")
        yield* verified(source, provider.issuer, token)
      })
    ))

  it.live("[S0-19] [K-26] several endpoints of one issuer: the keys of each of them verify", () =>
    Effect.gen(function*() {
      const { issuer, requests, token } = yield* oidcProvider(yield* firstKeys)
      const pair = yield* Effect.promise(() => generateKeyPair("ES256"))
      const published = { ...yield* Effect.promise(() => exportJWK(pair.publicKey)), kid: "moved", alg: "ES256" }
      const { url } = yield* keyOrigin(sending(JSON.stringify({ keys: [published] })))
      const context = yield* Layer.build(Layer.provide(JwksRegistry.layer, localEgress))
      const registry = Context.get(context, JwksRegistry.JwksRegistry)
      yield* registry.put({ tenantId: "tenant", providerId: "own" }, { ...plain, issuer }, { ifAbsent: true })
      yield* registry.put({ tenantId: "tenant", providerId: "second" }, { ...plain, issuer, url }, { ifAbsent: true })
      const source = registry.keySource("tenant")
      const moved = new SignJWT({ iss: issuer }).setProtectedHeader({ alg: "ES256", kid: "moved" })
      for (const each of [yield* token("ES256"), yield* Effect.promise(() => moved.sign(pair.privateKey))]) {
        assert.deepInclude(yield* verified(source, issuer, each), { iss: issuer })
      }
      assert.include(requests, "/jwks")
    }))
})
