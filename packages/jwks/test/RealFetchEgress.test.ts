import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { errorOf } from "@keelson/testing/exits"
import * as Keys from "@keelson/testing/keyOrigin"
import { atOnce, outcome } from "@keelson/testing/observe"
import { oidcProvider, signingKey } from "@keelson/testing/oidcProvider"
import { header, jwks } from "@keelson/testing/scriptedProvider"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { compactVerify, decodeProtectedHeader } from "jose"
import { FetchEgress, KeySource } from "../src/index.ts"

const { cacheAt, keyOrigin } = Keys

const egress = FetchEgress.layer({ allowedHosts: ["127.0.0.1"], allowLocalhost: true })

describe("JwksCache over the platform's fetch", () => {
  it.live("[K-26] [S1-19] finds, verifies and follows a rotation of a real OpenID provider", () =>
    Effect.gen(function*() {
      const provider = yield* oidcProvider([yield* signingKey("ES256", "old")])
      const { issuer } = provider
      const layer = Layer.provide(KeySource.layerOidc({ issuer, ...Keys.plain }), egress)
      const source = Context.get(yield* Layer.build(layer), KeySource.KeySource)
      const verify = Effect.fnUntraced(function*(token: string) {
        const { alg = "none", kid } = decodeProtectedHeader(token)
        const [candidate] = yield* source.find(issuer, { alg, kid })
        if (candidate === undefined) return assert.fail("no candidate")
        yield* Effect.promise(() => compactVerify(token, candidate.key))
        return kid
      })
      assert.strictEqual(yield* verify(yield* provider.token("ES256")), "old")
      yield* provider.rotate([yield* signingKey("ES256", "new")])
      assert.strictEqual(yield* verify(yield* provider.token("ES256")), "new")
      assert.deepStrictEqual(provider.requests, ["/.well-known/openid-configuration", "/jwks", "/jwks"])
    }))

  it.live("[S1-08] [S1-23] [S1-24] revalidates, and keeps good keys after invalid responses", () =>
    Effect.gen(function*() {
      const origin = yield* keyOrigin(Keys.revalidating(jwks("a"), "\"v1\""))
      const cache = yield* cacheAt(origin, {}, egress)
      assert.deepStrictEqual([yield* cache.refresh, yield* cache.refresh], ["loaded", "notModified"])
      const bad = [
        [Keys.sending("<html>"), "JWKS_INVALID"],
        [Keys.sendingMebibytes(60), "RESPONSE_TOO_LARGE"],
        [Keys.sendingGzip(" ".repeat(4_194_304)), "RESPONSE_TOO_LARGE"],
        [Keys.redirecting("http://10.0.0.1/jwks"), "EGRESS_REFUSED"],
        [Keys.resetting, "NETWORK_ERROR"]
      ] as const
      for (const [answer, code] of bad) {
        origin.answer = answer
        assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, code)
        assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
      }
    }))

  it.live("[L1] [L8] the end of the scope closes the connection and fails the waiters", () =>
    Effect.gen(function*() {
      const origin = yield* keyOrigin(Keys.hanging)
      const life = yield* Scope.make()
      const cache = yield* Scope.provide(cacheAt(origin, {}, egress), life)
      const waiting = yield* Effect.forkChild(Effect.exit(cache.find(header("a"))), { startImmediately: true })
      yield* eventually(() => origin.requests.length === 1)
      yield* Scope.close(life, Exit.void)
      assert.strictEqual(errorOf(yield* Fiber.join(waiting)).code, "JWKS_UNAVAILABLE")
      yield* eventually(() => origin.open() === 0)
    }))
})
