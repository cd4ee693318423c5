/**
 * A cache of one issuer's keys at a real server on 127.0.0.1 that rotates its key, is flooded with bad tokens and goes
 * down: `node examples/src/jwks-cache.ts`. It ends by itself after about three seconds.
 *
 * `allowLocalhost` is for this server only: a key set of production is fetched with https, and from no private address.
 */
import { NodeRuntime } from "@effect/platform-node"
import { JwksCache, KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Console, Data, Effect, Layer, References } from "effect"
import { decodeProtectedHeader, jwtVerify } from "jose"
import { makeProvider, type Provider } from "./jwks/provider.ts"
import { counted } from "./text.ts"

class InvalidToken extends Data.TaggedError("InvalidToken")<{ readonly cause: unknown }> {}

/** The claims of a token that one of the issuer's keys verifies, with the checks that `@keelson/token` will do. */
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

/** What became of verifying: the subject, or the error with its status where it has one. */
const outcome = (provider: Provider, token: string) =>
  Effect.match(verify(provider.issuer, token), {
    onSuccess: ({ payload }) => `verified, of ${payload.sub ?? "nobody"}`,
    onFailure: (error) => "status" in error ? `${error._tag}, a ${error.status}` : error._tag
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
  yield* report("100 tokens at once, with nothing fetched yet", counted(cold))

  const warm = yield* Effect.all(Array.from({ length: 100 }, () => check(first)), { concurrency: "unbounded" })
  yield* report("100 more, from memory", counted(warm))

  const foreign = yield* Effect.forEach(Array.from({ length: 500 }, (_, index) => `bad-${index}`), provider.token)
  const flood = yield* Effect.all(foreign.map(check), { concurrency: 50 })
  yield* report("500 tokens that name 500 keys which nobody has", counted(flood))

  yield* provider.rotate
  yield* Effect.sleep("2100 millis")
  const second = yield* provider.token()
  yield* report("A new key, once the cooldown of unknown keys is over", counted([yield* check(second)]))
  yield* report("A token of the old key, which is gone from the set", counted([yield* check(first)]))

  yield* cache.refresh
  yield* report("A refresh by hand: nothing has changed", counted([yield* check(second)]))

  provider.isDown = true
  const { code } = yield* Effect.flip(cache.refresh)
  yield* report(`The provider is down (${code}): keys that are held go on`, counted([yield* check(second)]))
  yield* report("and nobody can tell whether an unknown key is good", counted([yield* check(first)]))

  provider.isDown = false
  yield* cache.refresh
  yield* report("The provider is back", counted([yield* check(second)]))

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

// The warning about the outage, with its stack, would tear the report apart.
NodeRuntime.runMain(Effect.provideService(Effect.scoped(main), References.MinimumLogLevel, "Error"))
