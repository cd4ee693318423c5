import { NodeHttpServer, NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { JwksCache, KeySource } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { reasonOf } from "@keelson/testing/tokens"
import { Context, Duration, Effect, Exit, Layer, Logger, Redacted } from "effect"
import { HttpClient, HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import {
  Claims,
  ClientAuth,
  OAuthClient,
  OfflineBound,
  Readiness,
  Revocation,
  TokenProvider,
  TokenValidator,
  ValidationPolicy
} from "../src/index.ts"
import { TestIssuer } from "../src/testing/index.ts"

class Tokens extends TokenValidator.Service<Tokens>()("test/OfflineTokens", {
  claims: Claims.AccessToken,
  revocation: Revocation.Revocation
}) {}

const issuer = "https://idp.example"
const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: ["api"], algorithms: ["ES256"] })
const keys = {
  issuer,
  url: `${issuer}/jwks`,
  ttl: "1 hour",
  staleWindow: "30 minutes",
  maxAttempts: 1,
  refreshJitter: "0 millis"
} as const
const tokens = { cooldown: "0 millis" } as const

/** An application whose issuer, authorization server and list of revocations can fail. */
const application = Effect.gen(function*() {
  const context = yield* Layer.build(
    Tokens.layer(policy).pipe(
      Layer.provideMerge(KeySource.layerFromCache),
      Layer.provideMerge(JwksCache.layer(keys)),
      Layer.provideMerge(Revocation.layerMemory()),
      Layer.provideMerge(TestIssuer.layer({ policy }))
    )
  )
  const cache = Context.get(context, JwksCache.JwksCache)
  const provider = yield* Effect.provide(
    TokenProvider.make({
      name: "billing",
      source: OAuthClient.clientCredentials({
        issuer,
        clientId: "test-client",
        auth: ClientAuth.secretBasic(Redacted.make("test-secret"))
      }),
      policy: tokens
    }),
    context
  )
  const report = Readiness.report({ keys: [cache], tokens: [provider] })
  return { cache, provider, report, ...Context.get(context, Tokens), ...Context.get(context, TestIssuer.TestIssuer) }
})

/** The shortest time that clocks show. */
const instant = Duration.millis(1)

const bounds = OfflineBound.describe({
  keys,
  keyLifetime: keys.ttl,
  tokens,
  tokenLifetime: "5 minutes",
  revocations: {}
})

const boundOf = (part: OfflineBound.Bound["part"]) =>
  Effect.map(bounds, (all) => all.find((bound) => bound.part === part) ?? assert.fail("no bound"))

describe("OfflineBound", () => {
  it.effect("[K-41] is printed from the options", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(OfflineBound.format(yield* bounds).split("\n"), [
        "validator without issuer: works for 30m 30s to 1h 30m; then tokens are answered with 503 (JWKS_UNAVAILABLE)",
        "guard without authorization server: works for 30s to 4m 30s; then calls fail with the error of the last acquisition, " +
        "and nothing is sent",
        "revocations without Redis: fails at once; tokens are answered with 503 (AUTHORIZATION_UNAVAILABLE)"
      ])
      const local = yield* OfflineBound.describe({ revocations: { onStoreFailure: "local" } })
      assert.strictEqual(
        OfflineBound.format(local),
        "revocations without Redis: works; revocations of other processes are not seen"
      )
      assert.deepStrictEqual(yield* OfflineBound.describe({}), [])
      const invalid = yield* Effect.flip(OfflineBound.describe({ keys: { ...keys, ttl: "1 second" } }))
      assert.include(invalid.message, "keys.ttl")
    }))

  it.effect("[K-41] a validator works for exactly the longest bound if its issuer dies after a refresh, then tokens are a 503", () =>
    Effect.gen(function*() {
      const { cache, report, setFault, token, validate } = yield* application
      yield* cache.keySet
      yield* setFault("down")
      const { most } = yield* boundOf("validator")
      assert.strictEqual((yield* report).parts[0]?.offlineSeconds, Duration.toSeconds(most))
      const remembered = yield* token({}, { lifetime: "24 hours" })
      yield* validate(remembered)
      yield* TestClock.adjust(Duration.subtract(most, instant))
      yield* validate(remembered)
      yield* validate(yield* token())
      const before = yield* report
      assert.isTrue(before.ready)
      assert.deepInclude(before.parts[0], { kind: "keys", name: issuer, state: "outage", offlineSeconds: 0 })
      yield* TestClock.adjust(instant)
      assert.strictEqual((yield* reasonOf(validate(remembered)))._tag, "KeysUnavailable")
      assert.strictEqual((yield* reasonOf(validate(yield* token())))._tag, "KeysUnavailable")
      const after = yield* report
      assert.isFalse(after.ready)
      assert.deepStrictEqual(after.parts[0], { kind: "keys", name: issuer, state: "unavailable" })
      yield* setFault(undefined)
      yield* TestClock.adjust("1 minute")
      yield* validate(yield* token())
      assert.deepInclude((yield* report).parts[0], { state: "ready" })
    }))

  it.effect("[K-41] a validator works for exactly the shortest bound if its issuer dies at a refresh", () =>
    Effect.gen(function*() {
      const { cache, setFault, token, validate } = yield* application
      yield* cache.keySet
      const { least, most } = yield* boundOf("validator")
      yield* TestClock.adjust(Duration.subtract(Duration.subtract(most, least), instant))
      yield* setFault("down")
      yield* TestClock.adjust(least)
      yield* validate(yield* token())
      yield* TestClock.adjust(instant)
      assert.strictEqual((yield* reasonOf(validate(yield* token())))._tag, "KeysUnavailable")
    }))

  it.effect("[K-41] a guard's token is there for exactly the longest bound after it was acquired, then calls fail", () =>
    Effect.gen(function*() {
      const { provider, report, setFault } = yield* application
      assert.deepStrictEqual((yield* report).parts[1], { kind: "token", name: "billing", state: "idle" })
      const { value } = yield* provider.get
      const { least, most } = yield* boundOf("guard")
      assert.deepInclude((yield* report).parts[1], { state: "ready", offlineSeconds: Duration.toSeconds(most) })
      yield* setFault("error", "token")
      yield* TestClock.adjust(Duration.subtract(most, least))
      yield* provider.get
      yield* TestClock.adjust(Duration.subtract(least, instant))
      assert.strictEqual(Redacted.value((yield* provider.get).value), Redacted.value(value))
      const during = yield* report
      assert.deepInclude(during.parts[1], { state: "outage", offlineSeconds: 0 })
      assert.isTrue(during.ready)
      yield* TestClock.adjust(instant)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(provider.get)))
      const after = yield* report
      assert.isFalse(after.ready)
      assert.deepStrictEqual(after.parts[1], { kind: "token", name: "billing", state: "unavailable" })
      yield* setFault(undefined)
      yield* TestClock.adjust("1 minute")
      yield* provider.get
      assert.isTrue((yield* report).ready)
    }))

  it.live.each(["refuse", "local"] as const)(
    "[K-41] [R10] a list of revocations in Redis without Redis, with onStoreFailure %s",
    (onStoreFailure) =>
      Effect.gen(function*() {
        const redis = NodeRedis.layer({ socket: { path: "/nonexistent/redis.sock", tls: false } })
        const context = yield* Layer.build(
          Tokens.layer(policy).pipe(
            Layer.provideMerge(Revocation.layerRedis({ redis, onStoreFailure })),
            Layer.provideMerge(TestIssuer.layer({ policy }))
          )
        )
        const { token } = Context.get(context, TestIssuer.TestIssuer)
        const exit = yield* Effect.exit(Context.get(context, Tokens).validate(yield* token()))
        if (onStoreFailure === "local") assert.isTrue(Exit.isSuccess(exit))
        else assert.strictEqual(errorOf(exit).reason._tag, "RevocationUnavailable")
      }).pipe(Effect.provide(Logger.layer([])))
  )

  it.live("[K-41] readiness is a route that responds with 200 or 503 and asks no server", () =>
    Effect.gen(function*() {
      const state = { failures: 0 }
      const tokens = [{
        server: "billing",
        status: Effect.sync((): TokenProvider.Status => ({
          server: "billing",
          state: "Invalid",
          token: undefined,
          usableUntil: undefined,
          refreshInProgress: false,
          consecutiveFailures: state.failures,
          lastFailure: state.failures === 0 ? undefined : "NETWORK_ERROR",
          escalated: false,
          lastAttemptAt: undefined,
          lastAttempts: 0,
          counts: { hits: 0, misses: 0, acquisitions: 0, failures: 0, escalations: 0 }
        }))
      }]
      const context = yield* Layer.build(
        HttpRouter.serve(Readiness.layer({ path: "/readyz", tokens }), { disableListenLog: true, disableLogger: true })
          .pipe(Layer.provideMerge(NodeHttpServer.layerTest))
      )
      const get = Effect.flatMap(
        Context.get(context, HttpClient.HttpClient).get("/readyz"),
        (response) => Effect.map(response.text, (text) => [response.status, response.headers["cache-control"], text])
      )
      const part = (state: string) => `{"kind":"token","name":"billing","state":"${state}"}`
      assert.deepStrictEqual(yield* get, [200, "no-store", `{"ready":true,"parts":[${part("idle")}]}`])
      state.failures = 1
      assert.deepStrictEqual(yield* get, [503, "no-store", `{"ready":false,"parts":[${part("unavailable")}]}`])
    }))
})
