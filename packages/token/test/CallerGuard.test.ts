import { assert, describe, it } from "@effect/vitest"
import { KeelsonError, Metrics } from "@keelson/core"
import { metric, quiet, recording, spanText } from "@keelson/testing/observe"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { DpopKey, SharedTokens, TokenProvider, TokenSource } from "../src/index.ts"
import {
  callerOf,
  down,
  guardOver,
  issuedFor,
  living,
  makeExchange,
  rejecting,
  sentBy,
  tokenOf
} from "./callerSupport.ts"

const begin = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

describe("CallerGuard", () => {
  it.effect("[K-38] each caller has its own token, exchanged once, and requests carry it", () =>
    Effect.gen(function*() {
      const exchange = makeExchange()
      const guard = yield* guardOver(exchange)
      const [ada, bob] = [
        guard.onBehalfOf(tokenOf("ada"), callerOf("ada")),
        guard.onBehalfOf(tokenOf("bob"), callerOf("bob"))
      ]
      assert.strictEqual(yield* sentBy(ada), issuedFor("at-ada", 1))
      assert.strictEqual(yield* sentBy(bob), issuedFor("at-bob", 2))
      // Another client for the same caller.
      assert.strictEqual(yield* sentBy(guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))), issuedFor("at-ada", 1))
      assert.deepStrictEqual(exchange.asked, ["at-ada", "at-bob"])
      assert.strictEqual(Redacted.value((yield* ada.token).value), issuedFor("at-ada", 1))
      assert.deepStrictEqual(yield* guard.status, { callers: 2, hits: 2, misses: 2, evictions: 0 })
    }).pipe(Effect.scoped))

  for (
    const [what, token, caller] of [
      ["another subject", "ada", callerOf("bob")],
      ["no subject", "ada", callerOf(undefined)],
      ["another issuer", "ada", callerOf("ada", 3_600, "https://other.example")],
      ["another token", "ada-2", callerOf("ada")]
    ] as const
  ) {
    it.effect(`[K-38] ${what} is another caller`, () =>
      Effect.gen(function*() {
        const exchange = makeExchange()
        const guard = yield* guardOver(exchange)
        yield* sentBy(guard.onBehalfOf(tokenOf("ada"), callerOf("ada")))
        yield* sentBy(guard.onBehalfOf(tokenOf(token), caller))
        assert.lengthOf(exchange.asked, 2)
      }).pipe(Effect.scoped))
  }

  it.effect("[K-38] each scope and audience of a caller has its own token; the order of scopes does not matter", () =>
    Effect.gen(function*() {
      const exchange = makeExchange()
      const guard = yield* guardOver(exchange)
      const as = (grant: { readonly scope?: string; readonly audience?: string }) =>
        sentBy(guard.onBehalfOf(tokenOf("ada"), callerOf("ada"), grant))
      const first = yield* as({ scope: "read write" })
      assert.strictEqual(first, issuedFor("at-ada", 1, { scope: "read write" }))
      assert.strictEqual(yield* as({ scope: "write read" }), first)
      assert.strictEqual(yield* as({ audience: "b" }), issuedFor("at-ada", 2, { audience: "b" }))
      // A scope is not an audience.
      assert.strictEqual(yield* as({ scope: "b" }), issuedFor("at-ada", 3, { scope: "b" }))
    }).pipe(Effect.scoped))

  it.effect("[K-38] concurrent requests of one caller share one exchange; interrupting one affects no other", () =>
    Effect.gen(function*() {
      const exchange = makeExchange((...args) => Effect.delay(living("10 minutes")(...args), "1 second"))
      const guard = yield* guardOver(exchange)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      const first = yield* begin(sentBy(ada))
      const others = yield* begin(
        Effect.all(Array.from({ length: 20 }, () => sentBy(ada)), { concurrency: "unbounded" })
      )
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(new Set(yield* Fiber.join(others)), new Set([issuedFor("at-ada", 1)]))
      assert.lengthOf(exchange.asked, 1)
    }).pipe(Effect.scoped))

  it.effect("[K-38] a token ends with the caller's own token, by the wall clock", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(living("2 hours"))
      const guard = yield* guardOver(exchange)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada", 600))
      const token = yield* ada.token
      assert.strictEqual(token.expiresAt.wall, 600_000)
      yield* TestClock.adjust("599999 millis")
      assert.strictEqual(yield* sentBy(ada), issuedFor("at-ada", 1))
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* Effect.flip(sentBy(ada)), { code: "TOKEN_EXPIRED", status: 401 })
      assert.lengthOf(exchange.asked, 1)
    }).pipe(Effect.scoped))

  for (const exp of [0, -5, NaN]) {
    it.effect(`[K-38] a caller whose token ends at ${exp} is refused before anything is sent`, () =>
      Effect.gen(function*() {
        const exchange = makeExchange()
        const guard = yield* guardOver(exchange)
        const error = yield* Effect.flip(sentBy(guard.onBehalfOf(tokenOf("ada"), callerOf("ada", exp))))
        assert.deepInclude(error, { code: "TOKEN_EXPIRED" })
        assert.isEmpty(exchange.asked)
      }).pipe(Effect.scoped))
  }

  for (
    const [what, lifetime, usable] of [
      ["10 minutes", "10 minutes", "570 seconds"],
      ["1 minute", "1 minute", "54 seconds"],
      ["no stated lifetime", undefined, "270 seconds"]
    ] as const
  ) {
    it.effect(`[K-38] a token of ${what} is used for ${usable}, and then exchanged again`, () =>
      Effect.gen(function*() {
        const exchange = makeExchange(living(lifetime))
        const guard = yield* guardOver(exchange)
        const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
        yield* sentBy(ada)
        yield* TestClock.adjust(Duration.subtract(Duration.fromInputUnsafe(usable), Duration.millis(1)))
        assert.strictEqual(yield* sentBy(ada), issuedFor("at-ada", 1))
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* sentBy(ada), issuedFor("at-ada", 2))
      }).pipe(Effect.scoped))
  }

  it.effect("[R23] setting the wall clock back does not extend a token; a suspension of the machine ends it", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(living("10 minutes"))
      const { clock, skew } = yield* skewedClock
      yield* Effect.provideService(
        Effect.gen(function*() {
          const guard = yield* guardOver(exchange)
          const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada", 1e6))
          yield* sentBy(ada)
          skew.millis = -300_000
          yield* TestClock.adjust("10 minutes")
          yield* sentBy(ada)
          assert.lengthOf(exchange.asked, 2)
          skew.millis = 3_600_000
          yield* sentBy(ada)
          assert.lengthOf(exchange.asked, 3)
        }),
        Clock.Clock,
        clock
      )
    }).pipe(Effect.scoped))

  it.effect("[K-38] a rejected caller is not retried, opens no circuit, and is answered from memory for 10 seconds", () =>
    Effect.gen(function*() {
      const exchange = makeExchange((token, ...rest) =>
        (token === "at-eve" ? rejecting : living("1 hour"))(token, ...rest)
      )
      const guard = yield* guardOver(exchange, {
        acquisition: {
          retry: { maxAttempts: 4, strategy: "fixed", initialDelay: "1 millis" },
          breaker: { failureThreshold: 1 }
        }
      })
      const eve = guard.onBehalfOf(tokenOf("eve"), callerOf("eve"))
      for (let i = 0; i < 20; i++) {
        assert.deepInclude(yield* Effect.flip(sentBy(eve)), { code: "SUBJECT_TOKEN_REJECTED", status: 401 })
      }
      assert.deepStrictEqual(exchange.asked, ["at-eve"])
      // Callers like eve do not open the circuit for ada.
      for (let i = 0; i < 20; i++) {
        yield* Effect.flip(sentBy(guard.onBehalfOf(tokenOf("eve"), callerOf(`eve-${i}`))))
      }
      assert.strictEqual(yield* sentBy(guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))), issuedFor("at-ada", 22))
      yield* TestClock.adjust("10 seconds")
      yield* Effect.flip(sentBy(eve))
      assert.lengthOf(exchange.asked, 23)
      assert.strictEqual(yield* metric("token_acquisitions_total", "server=\"api\",status=\"rejected\""), 22)
      assert.strictEqual(yield* metric("token_acquisitions_total", "server=\"api\",status=\"failure\""), undefined)
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-38] an outage is typed, is retried if the policy says so, and opens the circuit for all callers", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(down)
      const guard = yield* guardOver(exchange, {
        acquisition: {
          retry: { maxAttempts: 2, strategy: "fixed", initialDelay: "1 millis", jitter: "none" },
          breaker: { failureThreshold: 2 }
        }
      })
      const codeFor = (name: string) =>
        Effect.gen(function*() {
          const failed = yield* begin(Effect.flip(sentBy(guard.onBehalfOf(tokenOf(name), callerOf(name)))))
          yield* TestClock.adjust("1 second")
          const error = yield* Fiber.join(failed)
          assert.isTrue(error instanceof KeelsonError.NetworkError || error._tag === "CircuitOpen")
          return "code" in error ? error.code : undefined
        })
      assert.deepStrictEqual([yield* codeFor("a"), yield* codeFor("b"), yield* codeFor("c")], [
        "NETWORK_ERROR",
        "NETWORK_ERROR",
        "CIRCUIT_OPEN"
      ])
      assert.deepStrictEqual(exchange.asked, ["at-a", "at-a", "at-b", "at-b"])
      // An outage is not remembered for a caller.
      exchange.answer = living("1 hour")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* sentBy(guard.onBehalfOf(tokenOf("a"), callerOf("a"))), issuedFor("at-a", 5))
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-38] a 401 of the API exchanges the token again, once in 30 seconds for each caller", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(living("1 hour"))
      const guard = yield* guardOver(exchange, {}, (token) => token.startsWith("for(at-ada)") ? 401 : 200)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      yield* sentBy(guard.onBehalfOf(tokenOf("bob"), callerOf("bob")))
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* ada.get("/")).status, 401)
      assert.deepStrictEqual(exchange.asked, ["at-bob", "at-ada", "at-ada"])
      yield* TestClock.adjust("30 seconds")
      yield* ada.get("/")
      assert.lengthOf(exchange.asked, 4)
    }).pipe(Effect.scoped))

  it.effect("[K-38] a caller that is rejected while its token is replaced has no token any more", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(living("1 hour"))
      const guard = yield* guardOver(exchange, {}, () => 401)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      yield* ada.token
      exchange.answer = rejecting
      assert.deepInclude(yield* Effect.flip(ada.get("/")), { code: "SUBJECT_TOKEN_REJECTED" })
      assert.deepInclude(yield* Effect.flip(ada.token), { code: "SUBJECT_TOKEN_REJECTED" })
    }).pipe(Effect.scoped))

  it.effect("[K-38] forget drops all tokens of a subject, and a running exchange keeps nothing", () =>
    Effect.gen(function*() {
      const exchange = makeExchange()
      const guard = yield* guardOver(exchange)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      const phone = guard.onBehalfOf(tokenOf("ada-phone"), callerOf("ada"))
      const bob = guard.onBehalfOf(tokenOf("bob"), callerOf("bob"))
      yield* Effect.forEach([ada, phone, bob], sentBy)
      assert.strictEqual(yield* guard.forget("https://other.example", "ada"), 0)
      assert.strictEqual(yield* guard.forget("https://idp.example", "ada"), 2)
      yield* Effect.forEach([ada, phone, bob], sentBy)
      assert.lengthOf(exchange.asked, 5)

      yield* guard.forget("https://idp.example", "ada")
      exchange.answer = (...args) => Effect.delay(living("1 hour")(...args), "1 second")
      const old = yield* begin(sentBy(ada))
      yield* guard.forget("https://idp.example", "ada")
      const next = yield* begin(sentBy(ada))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([yield* Fiber.join(old), yield* Fiber.join(next)], [
        issuedFor("at-ada", 6),
        issuedFor("at-ada", 7)
      ])
      assert.strictEqual(yield* sentBy(ada), issuedFor("at-ada", 7))

      yield* guard.forget("https://idp.example", "ada")
      const late = yield* begin(sentBy(ada))
      yield* guard.forget("https://idp.example", "ada")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(late)
      assert.strictEqual((yield* guard.status).callers, 1)
    }).pipe(Effect.scoped))

  it.effect("[K-38] at most capacity callers are kept: the least recently used one is exchanged again", () =>
    Effect.gen(function*() {
      const exchange = makeExchange()
      const guard = yield* guardOver(exchange, { capacity: 2 })
      const [a, b, c] = ["a", "b", "c"].map((name) => guard.onBehalfOf(tokenOf(name), callerOf(name)))
      for (const client of [a, b, a, c]) yield* sentBy(client!)
      assert.deepStrictEqual(yield* guard.status, { callers: 2, hits: 1, misses: 3, evictions: 1 })
      yield* sentBy(a!)
      assert.deepStrictEqual(exchange.asked, ["at-a", "at-b", "at-c"])
      yield* sentBy(b!)
      assert.deepStrictEqual(exchange.asked, ["at-a", "at-b", "at-c", "at-b"])
      assert.strictEqual(yield* metric("caller_token_evictions_total", "server=\"api\""), 2)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.effect("[R28] closing the guard fails waiting callers at once, and later ones", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(() => Effect.never)
      const scope = yield* Scope.make()
      const guard = yield* Scope.provide(guardOver(exchange), scope)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      const waiting = yield* begin(Effect.flip(sentBy(ada)))
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* Fiber.join(waiting), { code: "SHUTTING_DOWN" })
      assert.deepInclude(yield* Effect.flip(sentBy(ada)), { code: "SHUTTING_DOWN" })
    }).pipe(Effect.scoped))

  it.effect("[K-38] an exchange that hangs fails after a minute, and the next request starts another", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(() => Effect.never)
      const guard = yield* guardOver(exchange)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      const waiting = yield* begin(Effect.flip(sentBy(ada)))
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* Fiber.join(waiting), { code: "TIMEOUT" })
      exchange.answer = living("1 hour")
      assert.strictEqual(yield* sentBy(ada), issuedFor("at-ada", 2))
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-38] a token that no header can carry, or that is expired already, is an error", () =>
    Effect.gen(function*() {
      for (
        const [response, code] of [
          [{ accessToken: Redacted.make("a\nb") }, "TOKEN_RESPONSE_INVALID"],
          [{ accessToken: Redacted.make("a"), expiresIn: Duration.zero }, "TOKEN_EXPIRED"]
        ] as const
      ) {
        const guard = yield* guardOver(makeExchange(() => Effect.succeed(response)))
        assert.deepInclude(yield* Effect.flip(sentBy(guard.onBehalfOf(tokenOf("ada"), callerOf("ada")))), { code })
      }
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-38] a defect of the source reaches the callers, and the next request starts another exchange", () =>
    Effect.gen(function*() {
      const exchange = makeExchange(() => Effect.die(new Error("broken")))
      const guard = yield* guardOver(exchange)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(sentBy(ada))))
      exchange.answer = living("1 hour")
      yield* sentBy(ada)
    }).pipe(Effect.scoped))

  it.effect("[K-38] [K-23] tokens of callers are bound to no key, also with one in context, and a bound one is an error", () =>
    Effect.gen(function*() {
      const keys: Array<string | undefined> = []
      const exchange = makeExchange((token, grant, number) =>
        Effect.flatMap(DpopKey.CurrentDpopKey, (key) => {
          keys.push(key?.thumbprint)
          return Effect.map(living("1 minute")(token, grant, number), (response): TokenSource.TokenResponse => ({
            ...response,
            tokenType: number === 1 ? "Bearer" : "DPoP"
          }))
        })
      )
      const key = yield* DpopKey.generate()
      const guard = yield* Effect.provideService(guardOver(exchange), DpopKey.CurrentDpopKey, key)
      yield* guard.onBehalfOf(tokenOf("a"), callerOf("ada")).token
      const error = yield* Effect.flip(guard.onBehalfOf(tokenOf("b"), callerOf("bob")).token)
      assert.deepStrictEqual([error.code, keys], ["DPOP_KEY_MISSING", [undefined, undefined]])
      assert.include(error.message, "tokens of callers must be bearer tokens")
    }).pipe(Effect.scoped))

  it.effect("[K-38] [K-11] tokens of callers and subjects are not shared by processes", () =>
    Effect.gen(function*() {
      const exchange = makeExchange()
      const one = yield* guardOver(exchange)
      const other = yield* guardOver(exchange)
      for (const guard of [one, other]) yield* guard.onBehalfOf(tokenOf("a"), callerOf("ada")).token
      const source = TokenSource.forSubject(exchange.source, tokenOf("a"))
      for (const name of ["first", "second"]) yield* (yield* TokenProvider.make({ name, source })).get
      assert.deepStrictEqual(exchange.asked, ["at-a", "at-a", "at-a", "at-a"])
    }).pipe(
      Effect.scoped,
      Effect.provideService(SharedTokens.SharedTokens, {
        token: () => Effect.die(new Error("shared")),
        refreshTokenStore: () => Effect.die(new Error("shared"))
      })
    ))

  it.effect("[K-38] the token is sent to the guard's origins only, and named operations work as those of TokenGuard", () =>
    Effect.gen(function*() {
      const exchange = makeExchange()
      const guard = yield* guardOver(exchange)
      const ada = guard.onBehalfOf(tokenOf("ada"), callerOf("ada"))
      const error = yield* Effect.flip(ada.get("https://evil.example/"))
      assert.deepInclude(error, { code: "EGRESS_REFUSED" })
      assert.isEmpty(exchange.asked)
      const { HttpClientRequest } = yield* Effect.promise(() => import("effect/http"))
      const outcome = yield* ada.send("list", HttpClientRequest.get("/"))
      assert.deepInclude(outcome, { kind: "success", attempts: 1 })
    }).pipe(Effect.scoped))

  it.effect("wrong options are INVALID_CONFIG, naming the option", () =>
    Effect.gen(function*() {
      for (
        const [options, path] of [[{ capacity: 0 }, "capacity"], [
          { origins: ["http://api.example"] },
          "origins"
        ]] as const
      ) {
        const error = yield* Effect.flip(guardOver(makeExchange(), options))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, path)
      }
    }).pipe(Effect.scoped))

  it.effect("[R21] errors, logs, spans, metrics and values show neither tokens nor subjects", () => {
    const { lines, record, spans } = recording()
    return Effect.gen(function*() {
      const secrets = ["SecretToken0123", "SecretSubject0123", "SecretIssued0123"]
      const exchange = makeExchange((token, _, number) => {
        if (number === 1) return Effect.succeed({ accessToken: Redacted.make("SecretIssued0123") })
        return number === 2
          ? Effect.fail({ message: `SecretToken0123 ${token}` })
          : rejecting(token, {}, number)
      })
      const guard = yield* record(guardOver(exchange))
      const client = guard.onBehalfOf(Redacted.make("SecretToken0123"), callerOf("SecretSubject0123"))
      const seen: Array<unknown> = [guard, client, yield* record(client.token)]
      yield* guard.forget("https://idp.example", "SecretSubject0123")
      seen.push(yield* record(Effect.flip(client.token)), yield* record(Effect.flip(client.token)), yield* guard.status)
      const text = [
        ...seen.map((value) => `${inspect(value, { depth: 12, showHidden: true })} ${JSON.stringify(value)}`),
        ...lines,
        ...spans.map(spanText)
      ]
        .join("\n")
      for (const secret of secrets) assert.notInclude(text, secret)
    }).pipe(Effect.scoped)
  })
})
