import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import {
  type Answer,
  byUrl,
  header,
  issuer,
  jwks,
  keysOf,
  makeProvider,
  type Provider,
  url,
  virtualImport
} from "@keelson/testing/scriptedProvider"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { JwksCache, KeySource } from "../src/index.ts"

/** Answers with metadata at the well-known paths, and with keys elsewhere. */
const discovering: Answer = (request) =>
  Effect.succeed({
    status: 200,
    headers: { "content-type": "application/json" },
    body: String(request.url).includes(".well-known")
      ? JSON.stringify({ issuer, jwks_uri: `${issuer}/found` })
      : jwks("a")
  })

const build = Effect.fnUntraced(function*(
  layer: (typeof KeySource)["layerJwks"] extends (...args: never) => infer L ? L : never,
  answer: Answer
) {
  const { egress, provider } = makeProvider(answer)
  const context = yield* Layer.build(Layer.provide(layer, [egress, virtualImport]))
  return { source: yield* Effect.provideContext(KeySource.KeySource, context), provider }
})

const urls = (provider: Provider) => provider.requests.map((request) => String(request.url))

describe("KeySource", () => {
  it.effect("finds the keys of its issuer, with generation and trust", () =>
    Effect.gen(function*() {
      const { source } = yield* build(KeySource.layerJwks({ issuer, url }), keysOf("a"))
      const [candidate, ...others] = yield* source.find(issuer, header("a"))
      assert.isEmpty(others)
      assert.deepInclude(candidate, { kid: "a", alg: "EdDSA", issuer: undefined })
      assert.strictEqual(candidate?.trust.generation, 1)
      assert.strictEqual(candidate?.trust.staleDeadline(), 3_660_000_000_000n)
    }).pipe(Effect.scoped))

  it.effect.each([`${issuer}/`, issuer.toUpperCase(), "", "https://other.example"])(
    "knows no other issuer, however alike, and fetches nothing for it: %j",
    (other) =>
      Effect.gen(function*() {
        const { provider, source } = yield* build(KeySource.layerJwks({ issuer, url, prefetch: false }), keysOf("a"))
        const error = errorOf(yield* Effect.exit(source.find(other, header("a"))))
        assert.deepInclude(error, { code: "JWKS_NOT_REGISTERED", _tag: "JwksNotRegistered" })
        assert.isEmpty(provider.requests)
      }).pipe(Effect.scoped)
  )

  it.effect("oidc and oauth2 find the key set by the issuer's metadata", () =>
    Effect.gen(function*() {
      const oidc = yield* build(KeySource.layerOidc({ issuer }), discovering)
      assert.lengthOf(yield* oidc.source.find(issuer, header("a")), 1)
      assert.deepStrictEqual(urls(oidc.provider), [`${issuer}/.well-known/openid-configuration`, `${issuer}/found`])
      const oauth2 = yield* build(KeySource.layerOauth2({ issuer }), discovering)
      assert.lengthOf(yield* oauth2.source.find(issuer, header("a")), 1)
      assert.deepStrictEqual(urls(oauth2.provider), [
        `${issuer}/.well-known/oauth-authorization-server`,
        `${issuer}/found`
      ])
    }).pipe(Effect.scoped))

  it.effect("one cache serves both an application and its key source", () =>
    Effect.gen(function*() {
      const { egress, provider } = makeProvider(keysOf("a"))
      const cache = Layer.provide(JwksCache.layer({ issuer, url }), [egress, virtualImport])
      const both = Layer.provideMerge(KeySource.layerFromCache, cache)
      const context = yield* Layer.build(both)
      yield* TestClock.adjust(0)
      const [source, own] = yield* Effect.provideContext(
        Effect.all([KeySource.KeySource, JwksCache.JwksCache]),
        context
      )
      assert.strictEqual(yield* source.find(issuer, header("a")), yield* own.find(header("a")))
      assert.lengthOf(provider.requests, 1)
    }).pipe(Effect.scoped))

  describe("firstOf", () => {
    it.effect("[K-26] serves each issuer from the first source that knows it, and from that one alone", () =>
      Effect.gen(function*() {
        const { egress, provider } = makeProvider(
          byUrl({ "https://a.example/": keysOf("a"), "https://b.example/": keysOf("b") })
        )
        const of = (issuer: string) =>
          KeySource.layerJwks({ issuer, url: `https://${issuer}.example/`, prefetch: false })
        const layer = KeySource.layerFirstOf(of("a"), of("b"), of("a"))
        const context = yield* Layer.build(Layer.provide(layer, [egress, virtualImport]))
        const { find } = yield* Effect.provideContext(KeySource.KeySource, context)
        assert.strictEqual((yield* find("b", header("b")))[0]?.kid, "b")
        assert.strictEqual((yield* find("a", header("a")))[0]?.kid, "a")
        const unknown = errorOf(yield* Effect.exit(find("a", header("b"))))
        assert.deepInclude(unknown, { code: "JWKS_KEY_NOT_FOUND" })
        assert.deepInclude(errorOf(yield* Effect.exit(find("c", header("a")))), { code: "JWKS_NOT_REGISTERED" })
        // One of each, and one more for the unknown key.
        assert.strictEqual(provider.requests.length, 3)
      }).pipe(Effect.scoped))
  })
})
