/** Memory of cached tokens: the heap in use after garbage collection, and the cache's own estimate. */
import { StaticKeys } from "@keelson/jwks"
import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Effect, Layer, Metric, Redacted, Schema, type Scope } from "effect"
import { setTimeout } from "node:timers/promises"
import type { Finding } from "../figures.ts"
import { audience, claimsOf, issuer, secretTokenOf } from "./issuer.ts"

const group = "cached tokens"
const count = 100_000
const defaultBytes = 33_554_432
const secret = "a secret of the benchmark, that is long enough"
const header = { alg: "HS256", typ: "at+jwt", kid: "shared" }

/** Open claims: unknown claims are kept, so that the cache stores all of a token. */
const Open = Schema.StructWithRest(Schema.Struct(Claims.AccessToken.fields), [
  Schema.Record(Schema.String, Schema.Unknown)
])

const used = Effect.promise(async () => {
  for (let i = 0; i < 4; i++) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- lets pending work end before the collection
    await setTimeout(10)
    globalThis.gc?.()
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

/** Reads a gauge of a validator. */
const gauge = (name: string, validator: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.find(({ attributes, id }) => id === `keelson_${name}` && attributes?.["validator"] === validator)
    return found?.type === "Gauge" ? Number(found.state.value) : Number.NaN
  })

interface Weight {
  /** Measured bytes of the heap. */
  readonly heap: number
  /** Bytes, as the cache estimates. */
  readonly estimate: number
  readonly entries: number
}

/** Measures a validator's cache of at most `cacheBytes` after `tokens` tokens. */
const weigh = Effect.fnUntraced(function*(
  tokens: number,
  cacheBytes: number
): Effect.fn.Return<Weight, unknown, Scope.Scope> {
  const id = `memory of ${tokens}`
  const policy = ValidationPolicy.accessToken({
    issuers: [issuer],
    audiences: [audience],
    algorithms: ["HS256"],
    cacheEntries: count,
    cacheBytes
  })
  const keys = StaticKeys.layer({
    issuers: [issuer],
    keys: [{ id: "shared", algorithm: "HS256", secret: Redacted.make(secret) }]
  })
  const context = yield* Layer.build(keys)
  const before = yield* used
  const { validate } = yield* Effect.provide(TokenValidator.make(id, { claims: Open, policy }), context)
  yield* Effect.forEach(
    Array.from({ length: tokens }, (_, index) => index),
    (index) => validate(secretTokenOf(secret, claimsOf(index), header)),
    { concurrency: 64, discard: true }
  )
  const heap = (yield* used) - before
  return {
    heap,
    estimate: yield* gauge("token_cache_bytes", id),
    entries: yield* gauge("token_cache_entries", id)
  }
}, Effect.scoped)

const mebi = 1024 * 1024

export const memory: Effect.Effect<ReadonlyArray<Finding>, unknown> = Effect.scoped(Effect.gen(function*() {
  // Warms up, so that one-time allocations are not measured.
  yield* weigh(1000, defaultBytes)
  const all = yield* weigh(count, 1024 * mebi)
  const bounded = yield* weigh(count, defaultBytes)
  return [
    { group, what: "memory of one of 100,000", value: all.heap / all.entries / 1024, unit: "KiB" },
    {
      group,
      what: "the cache's estimate, divided by the measured memory",
      value: all.estimate / all.heap,
      unit: "",
      aim: { is: "at least", value: 1 }
    },
    { group, what: "entries of 100,000 in the default cache", value: bounded.entries, unit: "" },
    {
      group,
      what: "memory of the default cache",
      value: bounded.heap / 1024,
      unit: "KiB",
      aim: { is: "at most", value: defaultBytes / 1024 }
    }
  ]
}))
