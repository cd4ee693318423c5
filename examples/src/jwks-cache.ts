/**
 * Caches one issuer's keys. The issuer is a real server on 127.0.0.1 that rotates its key, receives a flood of bad tokens and
 * has an outage. Run it with `node examples/src/jwks-cache.ts`; it exits after about three seconds.
 *
 * `allowLocalhost` is for this server only: in production a key set is fetched with https, never from a private address.
 */
import { NodeRuntime } from "@effect/platform-node"
import { JwksCache, KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Console, Data, Effect, Layer, References } from "effect"
import { decodeProtectedHeader, jwtVerify } from "jose"
import { makeProvider, type Provider } from "./jwks/provider.ts"
import { counted } from "./text.ts"

class InvalidToken extends Data.TaggedError("InvalidToken")<{ readonly cause: unknown }> {}

/** Verifies a token with the issuer's keys and returns its claims. An application uses `@keelson/token` for this. */
const verify = Effect.fnUntraced(function*(issuer: string, token: string) {
  const keys = yield* KeySource.KeySource
  const { alg, kid } = yield* Effect.try({
    try: () => decodeProtectedHeader(token),
    catch: (cause) => new InvalidToken({ cause })
  })
  const candidates = yield* keys.find(issuer, { alg: alg ?? "", kid })
  return yield* Effect.firstSuccessOf(candidates.map(({ key }) =>
    Effect.tryPromise({
      try: () => jwtVerify(token, key, { issuer, audience: "api", algorithms: ["ES256"], requiredClaims: ["exp"] }),
      catch: (cause) => new InvalidToken({ cause })
    })
  ))
})

/** Verifies a token; returns the subject, or the error and its HTTP status if it has one. */
const outcome = (provider: Provider, token: string) =>
  Effect.match(verify(provider.issuer, token), {
    onSuccess: ({ payload }) => `verified, subject ${payload.sub ?? "missing"}`,
    onFailure: (error) => "status" in error ? `${error._tag}, status ${error.status}` : error._tag
  })

const demo = Effect.fnUntraced(function*(provider: Provider) {
  const cache = yield* JwksCache.JwksCache
  const report = Effect.fnUntraced(function*(title: string, result: string) {
    const { health, state } = yield* cache.status
    const requests = provider.takeRequests()
    yield* Console.log(
      `${title}\n  ${result}\n  requests: ${
        requests.length === 0 ? "none" : requests.join(", ")
      }; ${state}, ${health}\n`
    )
  })
  const check = (token: string) => outcome(provider, token)

  const first = yield* provider.token()
  const cold = yield* Effect.all(Array.from({ length: 100 }, () => check(first)), { concurrency: "unbounded" })
  yield* report("100 tokens at once, before any key was fetched", counted(cold))

  const warm = yield* Effect.all(Array.from({ length: 100 }, () => check(first)), { concurrency: "unbounded" })
  yield* report("100 more, with cached keys", counted(warm))

  const unknownKey = yield* Effect.forEach(Array.from({ length: 500 }, (_, index) => `bad-${index}`), provider.token)
  const flood = yield* Effect.all(unknownKey.map(check), { concurrency: 50 })
  yield* report("500 tokens that name 500 unknown keys", counted(flood))

  yield* provider.rotate
  yield* Effect.sleep("2100 millis")
  const second = yield* provider.token()
  yield* report("A token of a new key, after the cooldown for unknown keys", counted([yield* check(second)]))
  yield* report("A token of the old key, which was removed from the set", counted([yield* check(first)]))

  yield* cache.refresh
  yield* report("A manual refresh: the key set is unchanged", counted([yield* check(second)]))

  provider.isDown = true
  const { code } = yield* Effect.flip(cache.refresh)
  yield* report(`The provider is down (${code}): cached keys stay in use`, counted([yield* check(second)]))
  yield* report("The provider is down: an unknown key cannot be checked", counted([yield* check(first)]))

  provider.isDown = false
  yield* cache.refresh
  yield* report("The provider is up again", counted([yield* check(second)]))

  const { metrics } = yield* cache.status
  yield* Console.log(`${metrics.requests} lookups: ${metrics.hits} hits, ${metrics.misses} misses`)
})

const main = Effect.gen(function*() {
  const provider = yield* makeProvider
  const cache = JwksCache.layer({
    issuer: provider.issuer,
    negativeCacheTtl: "2 seconds",
    retryDelay: "20 millis",
    prefetch: false
  })
  const live = KeySource.layerFromCache.pipe(
    Layer.provideMerge(cache),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )
  yield* Effect.provide(demo(provider), live)
})

// Hides the warning about the outage, whose stack would clutter the report.
NodeRuntime.runMain(Effect.provideService(Effect.scoped(main), References.MinimumLogLevel, "Error"))
