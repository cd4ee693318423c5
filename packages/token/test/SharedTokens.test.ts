import { assert, describe, it } from "@effect/vitest"
import { Problem } from "@keelson/core"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import {
  ClientAuth,
  OAuthClient,
  SharedTokens,
  TokenGuard,
  TokenHttpClient,
  TokenProvider,
  TokenSource
} from "../src/index.ts"
import { identityText } from "../src/internal/fleet/identityText.ts"
import { type Answer, detailsOf, down, failure, hanging, living, slow, textOf } from "./tokenSupport.ts"

const identity = { issuer: "https://idp.example", clientId: "app", scope: "read" }

interface Fleet {
  /** Another process. */
  readonly process: (
    options?: Partial<TokenProvider.Options>
  ) => Effect.Effect<TokenProvider.TokenProvider["Service"], never, Scope.Scope>
  readonly requests: () => number
  answer: Answer
}

/** Processes over one scripted authorization server and one store in memory. */
const fleetOf = (answer: Answer): Effect.Effect<Fleet, never, Scope.Scope> =>
  Effect.map(Layer.build(SharedTokens.layerMemory), (context) => {
    let requests = 0
    const fleet: Fleet = {
      answer,
      requests: () => requests,
      process: (options) =>
        TokenProvider.make({
          name: "billing",
          source: TokenSource.fromEffect(Effect.suspend(() => fleet.answer(++requests)), () => false, identity),
          ...options,
          policy: { jitter: 0, ...options?.policy }
        }).pipe(Effect.provideContext(context), Effect.orDie)
    }
    return fleet
  })

const processes = (fleet: Fleet, count: number, options?: Partial<TokenProvider.Options>) =>
  Effect.forEach(Array.from({ length: count }), () => fleet.process(options))

/** Runs an effect while time passes. */
const during = <A, E, R>(time: Duration.Input, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const getAll = (all: ReadonlyArray<TokenProvider.TokenProvider["Service"]>) =>
  Effect.forEach(all, ({ get }) => Effect.result(get), { concurrency: "unbounded" })

describe("SharedTokens", () => {
  it.effect("[K-11] processes that need a token at once cause one request, and all get its token", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(slow(living("10 minutes", "read"), "3 seconds"))
      const all = yield* processes(fleet, 20)
      const results = yield* during("5 seconds", getAll(all))
      assert.strictEqual(fleet.requests(), 1)
      assert.deepStrictEqual(
        new Set(results.map((result) => result._tag === "Success" ? textOf(result.success) : result.failure.code)),
        new Set(["token-1"])
      )
      const status = yield* all[7]?.status ?? Effect.die("no process")
      assert.strictEqual(status.token?.scope, "read")
    }))

  it.effect("[K-11] a token that was taken has the age that it has, and is refreshed when it is due", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(living("10 minutes"))
      const one = yield* fleet.process()
      yield* one.get
      yield* TestClock.adjust("7 minutes")
      const other = yield* fleet.process()
      const token = yield* other.get
      assert.deepStrictEqual([token.issuedAt.wall, token.expiresAt.wall], [0, 600_000])
      yield* TestClock.adjust("50 seconds")
      yield* other.get
      assert.strictEqual(fleet.requests(), 1)
      yield* TestClock.adjust("1 minute")
      yield* Effect.all([one.get, other.get])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(fleet.requests(), 2)
      assert.deepStrictEqual([textOf(yield* one.get), textOf(yield* other.get)], ["token-2", "token-2"])
    }))

  it.effect("[K-11] a valid token is answered from memory, without the store", () =>
    Effect.gen(function*() {
      const calls = { count: 0 }
      const counted = Layer.effect(
        SharedTokens.SharedTokens,
        Effect.map(SharedTokens.SharedTokens, (inner) => ({
          ...inner,
          token: (id: TokenSource.Identity, server: string) =>
            Effect.map(inner.token(id, server), (shared) => ({
              ...shared,
              turn: (want: Parameters<typeof shared.turn>[0]) => {
                calls.count++
                return shared.turn(want)
              }
            }))
        }))
      ).pipe(Layer.provide(SharedTokens.layerMemory))
      const source = TokenSource.fromEffect(living("10 minutes")(1), () => false, identity)
      const provider = yield* Effect.provide(TokenProvider.make({ name: "a", source }), counted)
      for (let times = 0; times < 100; times++) yield* provider.get
      assert.strictEqual(calls.count, 1)
    }))

  it.effect("[K-11] a source without an identity is not shared", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(living("10 minutes"))
      const source = Effect.suspend(() => fleet.answer(7))
      const [one, other] = yield* processes(fleet, 2, { source })
      assert.strictEqual(textOf(yield* one?.get ?? Effect.die("")), "token-7")
      assert.strictEqual(textOf(yield* other?.get ?? Effect.die("")), "token-7")
      assert.strictEqual((yield* other?.status ?? Effect.die("")).counts.acquisitions, 1)
    }))

  it.effect("[K-11] a failure of the authorization server is the failure of all, and they pause together", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(
        slow(() => Effect.fail(failure("UPSTREAM_UNAVAILABLE", { status: 503 })), "2 seconds")
      )
      const all = yield* processes(fleet, 50)
      const results = yield* during("4 seconds", getAll(all))
      assert.strictEqual(fleet.requests(), 1)
      assert.isTrue(
        results.every((result) => result._tag === "Failure" && result.failure.code === "UPSTREAM_UNAVAILABLE")
      )
      const shared = results.filter((result) =>
        result._tag === "Failure" && detailsOf(result.failure)["attempts"] === 0
      )
      assert.lengthOf(shared, 49)
      // For five minutes every process asks once per second: the fleet asks at most once per five seconds.
      yield* Effect.forEach(
        all,
        ({ get }) =>
          Effect.forkChild(Effect.repeat(Effect.andThen(Effect.ignore(get), Effect.sleep("1 second")), { times: 300 }))
      )
      yield* TestClock.adjust("5 minutes")
      assert.isAtMost(fleet.requests(), 1 + 300 / 5 + 3)
      assert.isAtLeast(fleet.requests(), 30)
      fleet.answer = living("10 minutes")
      yield* TestClock.adjust("12 seconds")
      assert.isTrue((yield* getAll(all)).every(({ _tag }) => _tag === "Success"))
    }))

  it.effect("[K-11] failures of all processes are escalated once, by the process whose failure reaches the number", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(down)
      const all = yield* processes(fleet, 20)
      yield* Effect.forEach(
        all,
        ({ get }) =>
          Effect.forkChild(Effect.repeat(Effect.andThen(Effect.ignore(get), Effect.sleep("1 second")), { times: 120 }))
      )
      yield* TestClock.adjust("2 minutes")
      const statuses = yield* Effect.forEach(all, ({ status }) => status)
      assert.strictEqual(statuses.reduce((sum, { counts }) => sum + counts.escalations, 0), 1)
      assert.isTrue(statuses.every(({ escalated }) => escalated))
      assert.isTrue(statuses.every(({ lastFailure }) => lastFailure === "NETWORK_ERROR"))
    }))

  it.effect("[K-11] an OAuth error of one process does not keep others from trying", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(living("10 minutes"))
      const refused = TokenSource.fromEffect(
        Effect.fail(
          Object.assign(new Error("no"), { code: "TOKEN_ACQUISITION_FAILED", details: { error: "invalid_client" } })
        ),
        () => false,
        identity
      )
      const wrong = yield* fleet.process({ source: refused })
      const right = yield* fleet.process()
      assert.strictEqual((yield* Effect.flip(wrong.get)).code, "TOKEN_ACQUISITION_FAILED")
      const paused = yield* Effect.flip(right.get)
      assert.deepInclude(Problem.encode(paused).details, { error: "invalid_client", shared: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(textOf(yield* right.get), "token-1")
      // The token of the others is good for the wrongly configured one too.
      yield* TestClock.adjust("1 second")
      assert.strictEqual(textOf(yield* wrong.get), "token-1")
    }))

  it.effect("[K-11] [R13] 200 processes with one rejected token cause one new request", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(slow(living("1 hour"), "1 second"))
      const all = yield* processes(fleet, 200)
      yield* during("3 seconds", getAll(all))
      const rejected = yield* Effect.forEach(all, ({ get }) => get)
      const replaced = yield* during(
        "3 seconds",
        Effect.forEach(all, ({ replace }, index) => replace(rejected[index] ?? assert.fail()), {
          concurrency: "unbounded"
        })
      )
      assert.strictEqual(fleet.requests(), 2)
      assert.deepStrictEqual(new Set(replaced.map((token) => token && textOf(token))), new Set(["token-2"]))
      // The new one is rejected too: it is surfaced as it is, and no process asks for another until it is due.
      const again = yield* during(
        "3 seconds",
        Effect.forEach(all, (provider) => Effect.flatMap(provider.get, provider.replace), { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(new Set(again), new Set([undefined]))
      yield* TestClock.adjust("20 seconds")
      yield* during("1 second", getAll(all))
      assert.strictEqual(fleet.requests(), 2)
    }))

  it.effect("[K-11] an invalidated token is not taken again, by no process", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(living("1 hour"))
      const [one, other] = [yield* fleet.process(), yield* fleet.process()]
      const token = yield* one.get
      yield* other.get
      assert.isTrue(yield* one.invalidate(token))
      assert.strictEqual(textOf(yield* one.get), "token-2")
      const third = yield* fleet.process()
      assert.strictEqual(textOf(yield* third.get), "token-2")
      // The other one has the old token until it is due or rejected.
      assert.strictEqual(textOf(yield* other.get), "token-1")
      const next = yield* other.replace(token)
      assert.strictEqual(next && textOf(next), "token-2")
      assert.strictEqual(fleet.requests(), 2)
    }))

  it.effect("[K-11] forced refreshes of many processes at once are one request", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(slow(living("1 hour"), "1 second"))
      const all = yield* processes(fleet, 20)
      yield* during("3 seconds", getAll(all))
      const refreshed = yield* during(
        "3 seconds",
        Effect.forEach(all, ({ refresh }) => refresh, { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(new Set(refreshed.map(textOf)), new Set(["token-2"]))
      const again = yield* during("3 seconds", all[0]?.refresh ?? Effect.die(""))
      assert.strictEqual(textOf(again), "token-3")
    }))

  it.effect("[R28] a process that closes during its request frees the lease at once, and its callers fail", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(hanging)
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(fleet.process(), scope)
      const waiting = yield* Effect.forkChild(Effect.flip(one.get), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const other = yield* fleet.process()
      const taking = yield* Effect.forkChild(other.get, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(fleet.requests(), 1)
      fleet.answer = living("1 hour")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting)).code, "SHUTTING_DOWN")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(textOf(yield* Fiber.join(taking)), "token-2")
    }))

  it.effect("[K-11] a lease is renewed for as long as the request takes, and a wait has a bound", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(slow(living("1 hour"), "100 seconds"))
      const resilience = { attemptTimeout: "5 minutes" } as const
      const [one, other] = [yield* fleet.process({ resilience }), yield* fleet.process({ resilience })]
      const holding = yield* Effect.forkChild(one.get, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const late = yield* Effect.forkChild(Effect.flip(other.get), { startImmediately: true })
      yield* TestClock.adjust("62 seconds")
      const error = yield* Fiber.join(late)
      assert.strictEqual(error.code, "TOKEN_WAIT_EXCEEDED")
      assert.strictEqual(fleet.requests(), 1)
      yield* TestClock.adjust("40 seconds")
      yield* Fiber.join(holding)
      assert.strictEqual(textOf(yield* other.get), "token-1")
    }))

  it.effect("[R16] [K-23] DPoP-bound and certificate-bound tokens are not shared, and nobody waits for them", () =>
    Effect.gen(function*() {
      const bound = (cnf: object) => `e30.${Buffer.from(JSON.stringify({ cnf })).toString("base64url")}.c2ln`
      for (
        const [index, response] of [
          { accessToken: Redacted.make(bound({ jkt: "x" })) },
          { accessToken: Redacted.make(bound({ "x5t#S256": "x" })) }
        ].entries()
      ) {
        const fleet = yield* fleetOf(() => Effect.succeed({ ...response, expiresIn: Duration.minutes(10) }))
        const all = yield* processes(fleet, 5)
        const results = yield* during("2 seconds", getAll(all))
        assert.isTrue(results.every(({ _tag }) => _tag === "Success"), String(index))
        assert.strictEqual(fleet.requests(), 5)
      }
    }))

  it.effect("[K-11] guards share the tokens of a client, and each narrowed scope has its own", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const server = HttpClient.make((request) =>
        Effect.sync(() => {
          const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
          sent.push(new URLSearchParams(body).get("scope") ?? "")
          const answer = { access_token: `token-${sent.length}`, token_type: "Bearer", expires_in: 600 }
          return HttpClientResponse.fromWeb(request, Response.json(answer))
        })
      )
      const api = HttpClient.make((request) =>
        Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers["authorization"])))
      )
      const source = (grant: TokenSource.Grant) =>
        OAuthClient.clientCredentials({
          issuer: "https://idp.example",
          tokenEndpoint: "https://idp.example/token",
          clientId: "app",
          auth: ClientAuth.secretPost(Redacted.make("secret")),
          scope: grant.scope ?? "all"
        })
      const guard = TokenGuard.make({ name: "billing", origins: ["https://api.example"], source })
      const use = Effect.gen(function*() {
        const made = yield* guard
        const narrow = yield* made.scoped({ scope: "read" })
        return yield* Effect.forEach([made, narrow], (one) => Effect.flatMap(one.get("/"), ({ text }) => text))
      })
      const shared = yield* Layer.build(SharedTokens.layerMemory)
      for (let process = 0; process < 3; process++) {
        const texts = yield* use.pipe(
          Effect.provideService(HttpClient.HttpClient, api),
          Effect.provideService(TokenHttpClient.TokenHttpClient, server),
          Effect.provideContext(shared)
        )
        assert.deepStrictEqual(texts, ["Bearer token-1", "Bearer token-2"])
      }
      assert.deepStrictEqual(sent, ["all", "read"])
    }))

  it.effect("[K-11] clients with other parameters or another audience have tokens of their own", () => {
    const options: OAuthClient.Options = {
      tokenEndpoint: "https://idp.example/token",
      clientId: "app",
      auth: ClientAuth.secretPost(Redacted.make("secret"))
    }
    const identities = [
      {},
      { audience: "a" },
      { resource: "a" },
      { resource: "a", audience: "b" },
      { parameters: { tenant: "a" } },
      { parameters: { tenant: "b" } },
      { scope: "a" }
    ].map((more) => identityText(OAuthClient.clientCredentials({ ...options, ...more }).identity ?? assert.fail()))
    assert.strictEqual(new Set(identities).size, identities.length)
    return Effect.void
  })

  it.effect("[K-11] a shared token that the check of a process refuses is not used there", () =>
    Effect.gen(function*() {
      const fleet = yield* fleetOf(living("10 minutes"))
      assert.strictEqual(textOf(yield* (yield* fleet.process()).get), "token-1")
      const strict = yield* fleet.process({
        validate: ({ value }) => Redacted.value(value) === "token-1" ? Effect.fail("refused") : Effect.void
      })
      assert.strictEqual(textOf(yield* strict.get), "token-2")
    }))
})
