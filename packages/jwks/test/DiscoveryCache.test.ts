import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import {
  type Answer,
  byUrl,
  cacheOf,
  documentOf,
  down,
  hanging,
  header,
  jwks,
  keysOf,
  makeProvider,
  revalidating,
  statusOf,
  virtualImport
} from "@keelson/testing/scriptedProvider"
import { runOut } from "@keelson/testing/virtualTime"
import { ConfigProvider, Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { Egress } from "../src/Egress.ts"
import * as FetchEgress from "../src/FetchEgress.ts"
import * as JwksCache from "../src/JwksCache.ts"
import type * as JwksOptions from "../src/JwksOptions.ts"
import * as KeySource from "../src/KeySource.ts"

const issuer = "https://idp.example"
const oidc = `${issuer}/.well-known/openid-configuration`
const oauth2 = `${issuer}/.well-known/oauth-authorization-server`
const keys = "https://keys.example/jwks"
const moved = "https://keys.example/moved"

const metadata = (jwksUri: string, headers: Readonly<Record<string, string>> = {}): Answer =>
  documentOf(JSON.stringify({ issuer, jwks_uri: jwksUri }), headers)

/** A cache that takes the key set's URL from metadata, without prefetch. */
const discovered = (answer: Answer, options: Partial<JwksOptions.Options> = {}) =>
  cacheOf(answer, { url: undefined, prefetch: false, retryJitter: "none", refreshJitter: "0 millis", ...options })

/** The requested URLs, from the n-th on. */
const asked = ({ requests }: { readonly requests: ReadonlyArray<{ readonly url: string | URL }> }, from = 0) =>
  requests.slice(from).map(({ url }) => String(url))

const accept = "application/jwk-set+json, application/json;q=0.9"

describe("JwksCache over Discovery", () => {
  it.effect("fetches the keys from the URL in the metadata, and the metadata again only after they expire", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* discovered(
        byUrl({
          [oidc]: metadata(keys, { "cache-control": "max-age=6000" }),
          [keys]: revalidating(jwks("a"), "\"k\"")
        })
      )
      assert.strictEqual((yield* cache.find(header("a")))[0]?.kid, "a")
      assert.deepEqual(asked(provider), [oidc, keys])
      assert.deepStrictEqual(provider.requests[1]?.headers, { accept })
      yield* cache.refresh
      assert.deepEqual(asked(provider, 2), [keys])
      assert.strictEqual(provider.requests[2]?.headers?.["if-none-match"], "\"k\"")
    }).pipe(Effect.scoped))

  it.effect("[S1-08] both requests are conditional, each with the validator of its own document", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ issuer, jwks_uri: keys })
      const { cache, provider } = yield* discovered(
        byUrl({
          [oidc]: revalidating(body, "\"m\"", { "cache-control": "max-age=30" }),
          [keys]: revalidating(jwks("a"), "\"k\"")
        })
      )
      const before = yield* cache.keySet
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* cache.refresh, "notModified")
      assert.deepEqual(asked(provider, 2), [oidc, keys])
      assert.deepEqual(provider.requests.slice(2).map(({ headers }) => headers), [
        { accept: "application/json", "if-none-match": "\"m\"" },
        { accept, "if-none-match": "\"k\"", "cache-control": "no-cache" }
      ])
      assert.strictEqual(yield* cache.keySet, before)
    }).pipe(Effect.scoped))

  it.effect("[S1-08] keys at a new URL are requested without the validators of the old URL", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* discovered(
        byUrl({
          [oidc]: metadata(keys, { "cache-control": "max-age=30" }),
          [keys]: revalidating(jwks("a"), "\"k\"")
        })
      )
      const before = yield* cache.keySet
      provider.answer = byUrl({
        [oidc]: metadata(moved, { "cache-control": "max-age=30" }),
        [moved]: revalidating(jwks("a"), "\"k\"")
      })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* cache.refresh, "loaded")
      assert.deepEqual(asked(provider, 2), [oidc, moved])
      assert.deepStrictEqual(provider.requests[3]?.headers, { accept, "cache-control": "no-cache" })
      // The keys are those that were trusted before.
      assert.strictEqual(yield* cache.keySet, before)
      assert.strictEqual(yield* cache.refresh, "notModified")
      assert.strictEqual(provider.requests.at(-1)?.headers?.["if-none-match"], "\"k\"")
    }).pipe(Effect.scoped))

  it.effect("if the key set is gone, the metadata are fetched again, bypassing all caches", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* discovered(byUrl({ [oidc]: metadata(keys), [keys]: keysOf("a") }))
      yield* cache.find(header("a"))
      provider.answer = byUrl({ [oidc]: metadata(moved), [keys]: statusOf(404), [moved]: keysOf("b") })
      assert.strictEqual((yield* Effect.flip(cache.refresh)).code, "UPSTREAM_REJECTED")
      assert.deepEqual(asked(provider, 2), [keys])
      assert.strictEqual(yield* cache.refresh, "loaded")
      assert.deepEqual(asked(provider, 3), [oidc, moved])
      assert.strictEqual(provider.requests[3]?.headers?.["cache-control"], "no-cache")
      assert.strictEqual((yield* cache.find(header("b")))[0]?.kid, "b")
    }).pipe(Effect.scoped))

  it.effect("keys that are down leave the metadata as they are", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* discovered(byUrl({ [oidc]: metadata(keys), [keys]: statusOf(503) }), {
        maxAttempts: 1
      })
      assert.strictEqual((yield* Effect.flip(cache.refresh)).code, "UPSTREAM_UNAVAILABLE")
      assert.strictEqual((yield* Effect.flip(cache.refresh)).code, "UPSTREAM_UNAVAILABLE")
      assert.deepEqual(asked(provider), [oidc, keys, keys])
    }).pipe(Effect.scoped))

  for (
    const [name, outage] of [["is down", down], ["hangs", hanging], ["answers HTML", documentOf("<html>")]] as const
  ) {
    it.effect(`[S4-38] keys are renewed while the metadata endpoint ${name}`, () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* discovered(
          byUrl({ [oidc]: metadata(keys, { "cache-control": "max-age=30" }), [keys]: keysOf("a") })
        )
        yield* cache.find(header("a"))
        provider.answer = byUrl({ [oidc]: outage, [keys]: keysOf("a", "b") })
        yield* TestClock.adjust("30 seconds")
        const { exit } = yield* runOut(cache.refresh, "10 seconds")
        assert.strictEqual(exit._tag, "Success")
        assert.deepEqual(asked(provider, 2), [oidc, keys])
        assert.strictEqual((yield* cache.find(header("b")))[0]?.kid, "b")
      }).pipe(Effect.scoped))
  }

  it.effect("metadata that cannot be had leave the lookup without keys: a 503, with the reason's code", () =>
    Effect.gen(function*() {
      const foreign = documentOf(JSON.stringify({ issuer: "https://evil.example", jwks_uri: keys }))
      for (const [answer, code, requests] of [[foreign, "DISCOVERY_INVALID", 1], [down, "NETWORK_ERROR", 3]] as const) {
        const { cache, provider } = yield* discovered(byUrl({ [oidc]: answer, [keys]: keysOf("a") }))
        const { exit } = yield* runOut(Effect.flip(cache.find(header("a"))), "10 seconds")
        const error = exit._tag === "Success" ? exit.value : assert.fail("not failed")
        assert.strictEqual(error._tag, "JwksUnavailable")
        assert.strictEqual(error._tag === "JwksUnavailable" ? error.lastFailure : undefined, code)
        assert.deepEqual(asked(provider).slice(0, requests), Array.from({ length: requests }, () => oidc))
        assert.notInclude(asked(provider), keys)
      }
    }).pipe(Effect.scoped))

  it.effect("[S1-18] a Retry-After of the metadata delays the next fetch, as one of the key set does", () =>
    Effect.gen(function*() {
      for (
        const answers of [{ [oidc]: statusOf(429, { "retry-after": "40" }) }, {
          [oidc]: metadata(keys),
          [keys]: statusOf(429, { "retry-after": "40" })
        }]
      ) {
        const { cache } = yield* discovered(byUrl(answers), { maxAttempts: 1 })
        yield* Effect.flip(cache.find(header("a")))
        const error = yield* Effect.flip(cache.find(header("a")))
        assert.strictEqual(error._tag === "JwksUnavailable" ? String(error.retryAfter) : error._tag, "40000 millis")
      }
    }).pipe(Effect.scoped))

  it.effect("[S1-19] an issuer that can never be fetched is refused when the cache is built", () =>
    Effect.gen(function*() {
      const real = FetchEgress.layer({ unverifiedAddresses: true, allowedHosts: ["idp.example"] })
      const failure = (options: JwksOptions.Options) =>
        Effect.flip(Layer.build(Layer.provide(JwksCache.layer(options), real)))
      const table = [
        [{ issuer: "idp" }, "DISCOVERY_INVALID"],
        [{ issuer: "https://idp.example?x" }, "DISCOVERY_INVALID"],
        [{ issuer: "http://idp.example" }, "EGRESS_REFUSED"],
        [{ issuer: "urn:idp.example" }, "EGRESS_REFUSED"],
        [{ issuer: "https://other.example" }, "EGRESS_REFUSED"],
        [{ issuer: "https://idp.example", allowedHosts: ["keys.example"] }, "EGRESS_REFUSED"],
        [{ issuer, url: "http://idp.example/jwks" }, "EGRESS_REFUSED"]
      ] as const
      for (const [options, code] of table) assert.strictEqual((yield* failure(options)).code, code)
    }).pipe(Effect.scoped))
})

describe("KeySource", () => {
  /** A key source over a provider of three URLs, in the scope. */
  const sourceOf = Effect.fnUntraced(function*(layer: Layer.Layer<KeySource.KeySource, KeySource.BuildError, Egress>) {
    const { egress, provider } = makeProvider(
      byUrl({ [oidc]: metadata(keys), [oauth2]: metadata(keys), [keys]: keysOf("a") })
    )
    const context = yield* Layer.build(Layer.provide(layer, [egress, virtualImport]))
    yield* TestClock.adjust("1 second")
    return { source: Context.get(context, KeySource.KeySource), provider }
  })
  const environment = (variables: Readonly<Record<string, string>>) =>
    Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

  const layers = {
    jwks: [KeySource.layerJwks({ issuer, url: keys }), [keys]],
    oidc: [KeySource.layerOidc({ issuer }), [oidc, keys]],
    oauth2: [KeySource.layerOauth2({ issuer }), [oauth2, keys]],
    layerConfig: [
      Layer.provide(
        KeySource.layerConfig(["app", "jwks"]),
        environment({ APP_JWKS_ISSUER: issuer, APP_JWKS_DISCOVERY: "oauth2" })
      ),
      [oauth2, keys]
    ]
  } as const
  for (const [name, [layer, urls]] of Object.entries(layers)) {
    it.effect(`[K-26] [S4-38] ${name} fetches at the start, and serves its own issuer alone`, () =>
      Effect.gen(function*() {
        const { provider, source } = yield* sourceOf(layer)
        assert.deepEqual(asked(provider), [...urls])
        const found = yield* source.find(issuer, header("a"))
        assert.deepStrictEqual(found.map(({ alg, kid }) => [alg, kid]), [["EdDSA", "a"]])
        for (const other of [`${issuer}/`, "https://IDP.example", "https://idp.example:443", ""]) {
          const error = yield* Effect.flip(source.find(other, header("a")))
          assert.strictEqual(error.code, "JWKS_NOT_REGISTERED")
        }
        assert.deepEqual(asked(provider), [...urls])
      }).pipe(Effect.scoped))
  }

  it.effect("[S0-14] options that are wrong fail the layer with their code", () =>
    Effect.gen(function*() {
      const wrong = { issuer, ttl: "59 seconds" } as const
      const variables = environment({ APP_JWKS_ISSUER: issuer, APP_JWKS_TTL: "25 hours" })
      const failing = [
        KeySource.layerJwks({ ...wrong, url: keys }),
        KeySource.layerOidc(wrong),
        KeySource.layerOauth2(wrong),
        Layer.provide(KeySource.layerConfig(["app", "jwks"]), variables)
      ]
      for (const layer of failing) {
        const error = yield* Effect.flip(sourceOf(layer))
        assert.instanceOf(error, KeelsonError.ConfigurationError)
        assert.include(error.message, "ttl must be a duration with its unit, from 1 minute to 24 hours")
      }
    }).pipe(Effect.scoped))
})
