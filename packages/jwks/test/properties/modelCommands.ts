/** The commands of a model test case, as plain data. */
import fc from "fast-check"

/** A published key: a kid may be published again with new material. */
export interface Key {
  readonly kid: string | undefined
  readonly version: number
}

/** Which key a lookup is for; `n` chooses among several. */
export interface KeyChoice {
  readonly of: "cached" | "published" | "pool" | "never" | "none" | "long"
  readonly n: number
  readonly alg: string
}

/** A call that is started without waiting for it. */
export type Op =
  | ({ readonly op: "find" } & KeyChoice)
  | { readonly op: "keySet" | "refresh" | "invalidate" }
  | { readonly op: "interrupt"; readonly n: number }

/** The caching headers of a response. */
export type Caching =
  | { readonly says: "nothing" | "no-store" }
  | { readonly says: "max-age" | "expires"; readonly seconds: number }

/** How the provider responds. */
export type Behavior =
  | { readonly is: "up" | "down" | "hanging" | "always304" }
  | { readonly is: "garbage"; readonly body: string }
  | { readonly is: "status"; readonly status: number; readonly retryAfter: number | undefined }

export type Command =
  | { readonly do: "ops"; readonly ops: ReadonlyArray<Op> }
  | { readonly do: "pass"; readonly millis: number; readonly wall: number }
  /** Time passes until about a limit, if there is one. */
  | {
    readonly do: "approach"
    readonly limit: "refresh" | "expiry" | "stale" | "retry" | "unknown"
    readonly past: number
  }
  /** Monotonic time passes, and no timer fires: the process was suspended. */
  | { readonly do: "freeze"; readonly millis: number }
  | { readonly do: "behavior"; readonly behavior: Behavior; readonly delay: number }
  | {
    readonly do: "publish"
    readonly keys: ReadonlyArray<Key>
    readonly tags: "both" | "etag" | "lastModified" | "none"
  }
  | { readonly do: "caching"; readonly caching: Caching }
  | { readonly do: "close" }

/** Milliseconds of the options that vary. */
export interface Settings {
  readonly ttl: number
  readonly minTtl: number
  readonly maxTtl: number
  readonly staleWindow: number
  readonly negativeCacheTtl: number
  readonly refreshEarly: number
  readonly refreshJitter: number
  readonly maxAttempts: number
  readonly retryJitter: "none" | "full"
  readonly prefetch: boolean
}

export interface Case {
  readonly settings: Settings
  /** How long an import takes. */
  readonly importing: number
  /** Of the random numbers that the cache draws. */
  readonly seed: number
  readonly commands: ReadonlyArray<Command>
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute

const settings: fc.Arbitrary<Settings> = fc.record({
  ttl: fc.constantFrom(minute, 10 * minute, hour),
  minTtl: fc.constantFrom(30 * second, 5 * minute),
  maxTtl: fc.constantFrom(10 * minute, 24 * hour),
  staleWindow: fc.constantFrom(0, minute, 15 * minute),
  negativeCacheTtl: fc.constantFrom(0, second, 30 * second, 30 * second),
  refreshEarly: fc.constantFrom(second, 30 * second),
  refreshJitter: fc.constantFrom(0, 5 * second),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  retryJitter: fc.constantFrom("none", "full"),
  prefetch: fc.boolean()
})

const n = fc.nat(9)
const alg = fc.constantFrom("EdDSA", "EdDSA", "EdDSA", "EdDSA", "Ed25519", "RS256")

const find: fc.Arbitrary<Op> = fc.record({
  op: fc.constant("find"),
  of: fc.constantFrom("cached", "cached", "published", "published", "pool", "pool", "never", "none", "long"),
  n,
  alg
})

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 10, arbitrary: find },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom("keySet", "keySet", "refresh", "invalidate") }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("interrupt"), n }) }
)

export const ops: fc.Arbitrary<Command> = fc.record({
  do: fc.constant("ops"),
  ops: fc.oneof(fc.array(find, { minLength: 1, maxLength: 1 }), fc.array(op, { minLength: 1, maxLength: 6 }))
})

const shortTime = fc.oneof(
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 50 }) },
  { weight: 3, arbitrary: fc.integer({ min: 50, max: 5 * second }) },
  { weight: 4, arbitrary: fc.integer({ min: 5 * second, max: 2 * minute }) },
  { weight: 1, arbitrary: fc.integer({ min: 2 * minute, max: 10 * minute }) }
)
/** Longest time that passes with timers: an awake day would be a thousand fetches. */
const timeWithTimers = fc.oneof(
  { weight: 60, arbitrary: shortTime },
  { weight: 1, arbitrary: fc.integer({ min: 10 * minute, max: 2 * hour }) }
)
const timeWithoutTimers = fc.oneof(shortTime, fc.integer({ min: 10 * minute, max: 72 * hour }))

/** Time passes on both clocks. */
export const pass: fc.Arbitrary<Command> = timeWithTimers.map((millis) => ({ do: "pass", millis, wall: 0 }))

/** The clocks diverge: the wall clock is set, the machine was suspended, or only monotonic time passes. */
export const divergence: fc.Arbitrary<Command> = fc.oneof(
  timeWithoutTimers.map((wall): Command => ({ do: "pass", millis: 0, wall })),
  timeWithoutTimers.map((wall): Command => ({ do: "pass", millis: 0, wall: -wall })),
  timeWithTimers.map((millis): Command => ({ do: "pass", millis, wall: -millis })),
  fc.tuple(timeWithTimers, timeWithoutTimers).map(([millis, wall]): Command => ({ do: "pass", millis, wall }))
)

/** Time passes until about one of the limits that are set. */
export const approach: fc.Arbitrary<Command> = fc.record({
  do: fc.constant("approach"),
  limit: fc.constantFrom("refresh", "expiry", "stale", "stale", "retry", "unknown"),
  past: fc.constantFrom(-1, 0, 1, 30, 900)
})

export const freeze: fc.Arbitrary<Command> = timeWithTimers.map((millis) => ({ do: "freeze", millis }))

const garbage = [
  "<!doctype html><title>Sign in</title>",
  "",
  "{}",
  "{\"keys\":[]}",
  "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
  "{\"keys\":[",
  "\uFFFF"
]

const behaviors: fc.Arbitrary<Behavior> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Behavior>({ is: "up" }) },
  { weight: 3, arbitrary: fc.record({ is: fc.constantFrom("down", "hanging", "always304") }) },
  { weight: 1, arbitrary: fc.record({ is: fc.constant("garbage"), body: fc.constantFrom(...garbage) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      is: fc.constant("status"),
      status: fc.constantFrom(404, 429, 503),
      retryAfter: fc.constantFrom(undefined, 1, 3, 30, 600)
    })
  }
)

export const behavior: fc.Arbitrary<Command> = fc.record({
  do: fc.constant("behavior"),
  behavior: behaviors,
  // A slow provider: within the 3 s of an attempt, or not.
  delay: fc.constantFrom(0, 0, 0, 1, 40, 900, 2100, 5000)
})

export const pool = ["a", "b", "c", "d"]

export const publish: fc.Arbitrary<Command> = fc.record({
  do: fc.constant("publish"),
  keys: fc.uniqueArray(
    fc.record({ kid: fc.constantFrom(...pool, ...pool, undefined), version: fc.nat(1) }),
    { minLength: 1, maxLength: 6, selector: ({ kid, version }) => `${kid}.${version}` }
  ),
  tags: fc.constantFrom("both", "etag", "etag", "lastModified", "none")
})

export const caching: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ says: fc.constantFrom("nothing", "no-store") }),
  fc.record({ says: fc.constantFrom("max-age", "expires"), seconds: fc.constantFrom(0, 45, 90, 600, 7200) })
).map((caching): Command => ({ do: "caching", caching }))

export const close: fc.Arbitrary<Command> = fc.constant<Command>({ do: "close" })

/** Cases of up to sixty commands. */
export const cases = (...weights: ReadonlyArray<readonly [number, fc.Arbitrary<Command>]>): fc.Arbitrary<Case> =>
  fc.record({
    settings,
    importing: fc.constantFrom(0, 0, 7),
    seed: fc.nat(),
    commands: fc.array(
      fc.oneof(...weights.map(([weight, arbitrary]) => ({ weight, arbitrary }))),
      { minLength: 1, maxLength: 60, size: "max" }
    )
  })
