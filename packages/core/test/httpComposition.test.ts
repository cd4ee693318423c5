/**
 * What runs in each attempt where clients are composed: `HttpRetry` and `Resilience.http` keep the order of Effect's own
 * `retryTransient`. The table of docs/guides/resilience.md shows the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { errorOf, exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect, Layer, Predicate, Ref, Schedule } from "effect"
import { type Cookies, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { CircuitBreaker, RateLimiter } from "effect/persistence"
import { BreakerStore, HttpRetry, Metrics, Resilience, RetryPolicy } from "../src/index.ts"

type Client = HttpClient.HttpClient.With<unknown>
type Wrap = (client: Client) => Client
/** Adds a combinator that counts how often it runs. */
type Combinator = (client: Client, ran: () => void) => Client

const counting = <A>(ran: () => void) => (value: A): A => {
  ran()
  return value
}
const effectful = <A>(ran: () => void) => (value: A) =>
  Effect.sync(() => {
    ran()
    return value
  })

const combinators: Readonly<Record<string, Combinator>> = {
  mapRequest: (client, ran) => HttpClient.mapRequest(client, counting(ran)),
  mapRequestEffect: (client, ran) => HttpClient.mapRequestEffect(client, effectful(ran)),
  mapRequestInput: (client, ran) => HttpClient.mapRequestInput(client, counting(ran)),
  mapRequestInputEffect: (client, ran) => HttpClient.mapRequestInputEffect(client, effectful(ran)),
  tapRequest: (client, ran) => HttpClient.tapRequest(client, effectful(ran)),
  tap: (client, ran) => HttpClient.tap(client, effectful(ran)),
  tapError: (client, ran) => HttpClient.tapError(client, effectful(ran)),
  catch: (client, ran) =>
    HttpClient.catch(client, (error) => {
      ran()
      return Effect.fail(error)
    }),
  filterOrElse: (client, ran) =>
    HttpClient.filterOrElse(client, () => {
      ran()
      return true
    }, () => Effect.fail("filtered")),
  transform: (client, ran) => HttpClient.transform(client, (effect) => Effect.andThen(Effect.sync(ran), effect)),
  transformResponse: (client, ran) =>
    HttpClient.transformResponse(client, (effect) => Effect.andThen(Effect.sync(ran), effect)),
  retry: (client, ran) =>
    HttpClient.retry(HttpClient.transformResponse(client, (effect) => Effect.andThen(Effect.sync(ran), effect)), {
      times: 1
    }),
  followRedirects: (client, ran) => HttpClient.followRedirects(HttpClient.mapRequest(client, counting(ran))),
  withCookiesRef: (client, ran) =>
    HttpClient.withCookiesRef(
      HttpClient.mapRequest(client, counting(ran)),
      Ref.makeUnsafe<ReadonlyArray<Cookies.Cookie>>([])
    )
}

const busy = (statuses: ReadonlyArray<number>) => {
  let calls = 0
  const client: Client = HttpClient.makeWith<unknown, never, unknown, never>(
    Effect.map((request) =>
      HttpClientResponse.fromWeb(request, new Response(null, { status: statuses[calls++] ?? 200 }))
    ),
    Effect.succeed
  )
  return { client, calls: () => calls }
}

const tagOf = (error: unknown): unknown => Predicate.hasProperty(error, "_tag") ? error._tag : undefined

const policy = RetryPolicy.make({ maxAttempts: 3, initialDelay: "0 millis", jitter: "none" })
const effects: Wrap = (client) => HttpClient.retryTransient(client, { times: 2, schedule: Schedule.recurs(2) })
const retries: Wrap = (client) => HttpRetry.retry(client, policy)

/** How often a combinator and the server ran for one request that is answered at the third attempt. */
const runsOf = (wrap: Wrap, combinator: Combinator, place: "below" | "above") =>
  Effect.gen(function*() {
    const { calls, client } = busy([503, 503])
    let ran = 0
    const count = (): void => void ran++
    const composed = place === "below" ? wrap(combinator(client, count)) : combinator(wrap(client), count)
    const response = yield* composed.get("http://billing.test/")
    assert.strictEqual(response.status, 200)
    return [ran, calls()]
  })

const resilience = Resilience.make("billing", {
  retry: { maxAttempts: 3, initialDelay: "0 millis", jitter: "none" },
  breaker: {}
})

const layer = Layer.merge(BreakerStore.layerMemory, Metrics.layerIsolated)

describe("composition with Effect's HttpClient", () => {
  for (const [name, combinator] of Object.entries(combinators)) {
    for (const place of ["below", "above"] as const) {
      it.live(`[K-28 D2] ${name} ${place} HttpRetry and Resilience.http runs as often as ${place} retryTransient`, () =>
        Effect.gen(function*() {
          const expected = yield* runsOf(effects, combinator, place)
          assert.deepStrictEqual(yield* runsOf(retries, combinator, place), expected)
          const { http } = yield* resilience
          assert.deepStrictEqual(yield* runsOf((client) => http(client), combinator, place), expected)
        }).pipe(Effect.scoped, Effect.provide(layer)))
    }
  }

  it.live("[K-28 D2] a wrapper above that prepares the request itself does so once, as above retryTransient", () =>
    Effect.gen(function*() {
      for (const wrap of [effects, retries]) {
        const { calls, client } = busy([503, 503])
        let ran = 0
        const mapped = HttpClient.mapRequest(client, counting(() => void ran++))
        yield* HttpClient.transform(wrap(mapped), (effect) => effect).get("http://billing.test/")
        assert.deepStrictEqual([ran, calls()], [1, 3])
      }
    }))

  it.live("[K-28 D2] a request mapper runs once for each attempt, wherever it was added", () =>
    Effect.gen(function*() {
      for (const place of ["below", "above"] as const) {
        assert.deepStrictEqual(yield* runsOf(retries, combinators["mapRequestEffect"]!, place), [3, 3])
      }
    }))

  it.effect("[K-28 D2] a request mapper is cut by the attempt's timeout, and the breaker counts it", () =>
    Effect.gen(function*() {
      const { calls, client } = busy([])
      const { breaker, http } = yield* Resilience.make("billing", {
        attemptTimeout: "1 second",
        retry: { maxAttempts: 2, initialDelay: "0 millis" },
        breaker: { failureThreshold: 1 }
      })
      const hanging = HttpClient.mapRequestEffect(client, () => Effect.never)
      const { elapsed, exit } = yield* runOut(http(hanging).get("http://billing.test/"))
      assert.deepStrictEqual([Duration.toSeconds(elapsed), calls()], [2, 0])
      assert.strictEqual(exhausted(exit).code, "TIMEOUT")
      assert.strictEqual(yield* breaker!.state, "OPEN")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("[K-28 D2] an open circuit prepares no request", () =>
    Effect.gen(function*() {
      const { client } = busy([500])
      const { http } = yield* Resilience.make("billing", { breaker: { failureThreshold: 1 } })
      let signed = 0
      const signing = http(HttpClient.mapRequest(client, counting(() => void signed++)))
      yield* signing.get("http://billing.test/")
      const { exit } = yield* runOut(signing.get("http://billing.test/"))
      assert.deepStrictEqual([tagOf(errorOf(exit)), signed], ["CircuitOpen", 1])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("[K-28 D2] what a mapper makes of the request decides whether it may be repeated", () =>
    Effect.gen(function*() {
      const keyed = busy([503, 503])
      const withKey = HttpClient.mapRequest(keyed.client, HttpClientRequest.setHeader("idempotency-key", "k1"))
      assert.strictEqual((yield* retries(withKey).post("http://billing.test/")).status, 200)
      assert.strictEqual(keyed.calls(), 3)
      const posting = busy([503, 503])
      const asPost = HttpClient.mapRequest(posting.client, HttpClientRequest.setMethod("POST"))
      const exit = yield* Effect.exit(retries(asPost).get("http://billing.test/"))
      assert.deepStrictEqual([exhausted(exit).stoppedBy, posting.calls()], ["unsafeMethod", 1])
    }))

  it.live("[K-28 D2] a mapper that fails is retried by what its error says, whatever the method: nothing was sent", () =>
    Effect.gen(function*() {
      const { calls, client } = busy([])
      let asked = 0
      const token = Effect.suspend(() =>
        ++asked < 3 ? Effect.fail(Object.assign(new Error("connect"), { code: "ECONNREFUSED" })) : Effect.succeed("t")
      )
      const signed = HttpClient.mapRequestEffect(
        client,
        (request) => Effect.map(token, (value) => HttpClientRequest.bearerToken(request, value))
      )
      assert.strictEqual((yield* retries(signed).post("http://billing.test/")).status, 200)
      assert.deepStrictEqual([asked, calls()], [3, 1])
    }))

  it.live("[K-28 D2] a rate limiter below is asked for each attempt, a breaker below sees each", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make
      const limited = busy([503, 503])
      const permits = (client: Client): Client =>
        HttpClient.withRateLimiter(client, { limiter, window: "1 hour", limit: 2, key: "a", times: 0 })
      const asked = yield* Effect.exit(
        Effect.timeout(retries(permits(limited.client)).get("http://billing.test/"), "50 millis")
      )
      assert.deepStrictEqual([asked._tag, limited.calls()], ["Failure", 2])
      const guarded = busy([503, 503, 503])
      const breaker = yield* CircuitBreaker.make({
        tripPolicy: CircuitBreaker.consecutive(2),
        openDuration: "1 hour"
      })
      const exit = yield* Effect.exit(
        retries(HttpClient.withCircuitBreaker(guarded.client, { breaker })).get("http://billing.test/")
      )
      assert.deepStrictEqual([tagOf(errorOf(exit)), guarded.calls()], ["CircuitBreakerError", 2])
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.merge(RateLimiter.layerStoreMemory, CircuitBreaker.layerStoreMemory()))
    ))
})
