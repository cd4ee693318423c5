/** What remembered tokens take: the heap in use after collections, beside what the cache says that they take. */
import { StaticKeys } from "@keelson/jwks"
import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Effect, Layer, Metric, Redacted, Schema, type Scope } from "effect"
import { setTimeout } from "node:timers/promises"
import type { Finding } from "../figures.ts"
import { audience, claimsOf, issuer, secretTokenOf } from "./issuer.ts"

const group = "remembered tokens"
const count = 100_000
const defaultBytes = 33_554_432
const secret = "a secret of the benchmark, that is long enough"
const header = { alg: "HS256", typ: "at+jwt", kid: "shared" }

/** Claims of one's own: as they are, so that all of a token is kept. */
const Open = Schema.StructWithRest(Schema.Struct(Claims.AccessToken.fields), [
  Schema.Record(Schema.String, Schema.Unknown)
])

const used = Effect.promise(async () => {
  for (let i = 0; i < 4; i++) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- what ends later has to end
    await setTimeout(10)
    globalThis.gc?.()
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

/** A gauge of a validator, as it is scraped. */
const gauge = (name: string, validator: string): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.find(({ attributes, id }) => id === `keelson_${name}` && attributes?.["validator"] === validator)
    return found?.type === "Gauge" ? Number(found.state.value) : Number.NaN
  })

interface Weight {
  /** Bytes of the heap. */
  readonly heap: number
  /** Bytes, as the cache has it. */
  readonly estimate: number
  readonly entries: number
}

/** The cache of a validator after so many tokens, of which it may keep so many bytes. */
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
  // What is made once is made.
  yield* weigh(1000, defaultBytes)
  const all = yield* weigh(count, 1024 * mebi)
  const bounded = yield* weigh(count, defaultBytes)
  return [
    { group, what: "one of 100,000", value: all.heap / all.entries / 1024, unit: "KiB" },
    {
      group,
      what: "what the cache takes for that, over what it is",
      value: all.estimate / all.heap,
      unit: "",
      aim: { is: "at least", value: 1 }
    },
    { group, what: "kept of 100,000 by default", value: bounded.entries, unit: "" },
    {
      group,
      what: "all that are kept by default",
      value: bounded.heap / 1024,
      unit: "KiB",
      aim: { is: "at most", value: defaultBytes / 1024 }
    }
  ]
}))
