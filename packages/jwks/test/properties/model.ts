/**
 * A simple model of a key set cache. It observes the requests and responses of the provider and the events of the cache, and
 * reports violations.
 */
import { Duration } from "effect"
import type { JwksEvent, Phase, TransitionCause } from "../../src/JwksEvent.ts"
import type { Key, Settings } from "./modelCommands.ts"

/** A moment on both clocks: nanoseconds and milliseconds. */
export interface Moment {
  readonly monotonic: bigint
  readonly wall: number
}

const later = (at: Moment, millis: number): Moment => ({
  monotonic: at.monotonic + BigInt(Math.round(millis * 1_000_000)),
  wall: at.wall + millis
})

export const passed = (since: Moment, at: Moment): number => Number(at.monotonic - since.monotonic) / 1_000_000

/** A time limit is reached by the clock that is ahead. */
export const isReached = (moment: Moment, at: Moment): boolean =>
  at.monotonic >= moment.monotonic || at.wall >= moment.wall

/** What a response states: its lifetime, and the version of its body. */
export interface Said {
  readonly etag?: string
  readonly lastModified?: string
  /** Seconds of `max-age`; zero for `no-store`. */
  readonly maxAge?: number
  /** Wall-clock milliseconds. */
  readonly expires?: number
  readonly date: number
}

export type Outcome =
  | { readonly is: "document"; readonly keys: ReadonlyArray<Key>; readonly said: Said }
  | { readonly is: "notModified"; readonly said: Said }
  | { readonly is: "failed"; readonly isFinal: boolean; readonly retryAfter: number }
  | { readonly is: "cut" }

/** One request, and how it ended. */
export interface Exchange {
  readonly sentAt: Moment
  readonly asOf: Held | undefined
  outcome: Outcome | undefined
}

/** The upstream keys as last sent to the cache. */
export interface Held {
  readonly keys: ReadonlyArray<Key>
  /** The same for all confirmations until other keys are accepted. */
  readonly trust: object
  readonly said: Said
  readonly since: Moment
  readonly refresh: readonly [earliest: Moment, latest: Moment]
  readonly expiresAt: Moment
  readonly staleUntil: Moment
}

/** One fetch, with its requests. */
interface Fetch {
  epoch: number
  startedAt: Moment
  requests: number
  last: Exchange
}

/** What the test is doing at this moment; `undefined` for scheduled work. */
type Doing = { readonly kind: "lookup" | "refresh" | "invalidate" | "close" } | undefined

export interface Model {
  readonly settings: Settings
  readonly now: () => Moment
  readonly violations: Array<string>
  held: Held | undefined
  fetch: Fetch | undefined
  phase: Phase
  failures: number
  retryAt: Moment | undefined
  unknownAt: Moment | undefined
  /** Counts invalidations. */
  epoch: number
  isClosed: boolean
  /** Whether the dropped keys reached their stale deadline. */
  hasExpired: boolean
  doing: Doing
  /** Whether a lookup waits; and whether one waits for a key that the cached set lacks. */
  readonly waits: { any: () => boolean; unknown: () => boolean }
  started: number
  succeeded: number
  notModified: number
  failed: number
  /** Keys accepted after their stale deadline, since the wall clock was set during the fetch. */
  stillborn: number
  /** Whether a transition reported the failure of the fetch that is about to end. */
  hasToldFailure: boolean
  /** Whether monotonic time has passed without timers, so that scheduled work may be late. */
  isLate: boolean
}

export const makeModel = (settings: Settings, now: () => Moment): Model => ({
  settings,
  now,
  violations: [],
  held: undefined,
  fetch: undefined,
  phase: "Empty",
  failures: 0,
  retryAt: undefined,
  unknownAt: undefined,
  epoch: 0,
  isClosed: false,
  hasExpired: false,
  doing: undefined,
  waits: { any: () => false, unknown: () => false },
  started: 0,
  succeeded: 0,
  notModified: 0,
  failed: 0,
  stillborn: 0,
  hasToldFailure: false,
  isLate: false
})

/** Records a violation. */
export const must = (model: Model, holds: boolean, law: string): void => {
  if (!holds) model.violations.push(law)
}

/** The keys that may verify now. */
export const trusted = (model: Model): Held | undefined =>
  model.held === undefined || isReached(model.held.staleUntil, model.now()) ? undefined : model.held

/** Whether the clocks diverged by more than half a minute since the keys were confirmed. */
export const hasParted = (held: Held, at: Moment): boolean =>
  at.wall - held.since.wall - passed(held.since, at) > 30_000

/** Whether the failure backoff allows a fetch. */
export const mayRetry = (model: Model): boolean => model.retryAt === undefined || isReached(model.retryAt, model.now())

/** The limit of the running attempt: 3 s, or 1 s for the first of several after a failure. */
export const attemptLimit = ({ failures, fetch, settings }: Model): number =>
  failures > 0 && settings.maxAttempts > 1 && fetch?.requests === 1 ? 1000 : 3000

/** Whether the cooldown allows a fetch for an unknown key. */
export const mayAsk = (model: Model): boolean =>
  mayRetry(model) && (model.unknownAt === undefined || isReached(model.unknownAt, model.now()))

/** The lifetime that a response states, in milliseconds. */
const statedLifetime = ({ date, expires, maxAge }: Said): number | undefined => {
  if (maxAge === undefined && expires === undefined) return undefined
  return maxAge === undefined ? Math.max(0, (expires ?? 0) - date) : 1000 * maxAge
}

const lifetime = (said: Said, { maxTtl, minTtl, ttl }: Settings): number => {
  const stated = statedLifetime(said)
  return stated === undefined ? ttl : Math.min(Math.max(stated, minTtl), maxTtl)
}

const idsOf = (keys: ReadonlyArray<Key>): string => JSON.stringify(keys)

/** The cached keys after a response. */
const heldAfter = (model: Model, { outcome, sentAt }: Exchange): Held | undefined => {
  if (outcome?.is !== "document" && outcome?.is !== "notModified") return undefined
  const before = model.held
  const keys = outcome.is === "document" ? outcome.keys : before?.keys ?? []
  const said = outcome.is === "document" || before === undefined ? outcome.said : { ...before.said, ...outcome.said }
  const { refreshEarly, refreshJitter, staleWindow } = model.settings
  const fresh = lifetime(said, model.settings)
  // A lifetime that `minTtl` has raised is not refreshed early, if the keys are trusted during the refresh.
  const isAtEnd = (statedLifetime(said) ?? Infinity) < fresh && fresh >= 60_000 && staleWindow >= 8000
  const refreshAfter = (jitter: number) =>
    later(sentAt, isAtEnd ? fresh : Math.max(fresh - refreshEarly - jitter, fresh / 2))
  return {
    keys,
    said,
    trust: before !== undefined && idsOf(before.keys) === idsOf(keys) ? before.trust : {},
    since: sentAt,
    refresh: [refreshAfter(refreshJitter), refreshAfter(0)],
    expiresAt: later(sentAt, fresh),
    staleUntil: later(sentAt, fresh + staleWindow)
  }
}

const accepted = (model: Model, cause: TransitionCause): void => {
  const { fetch } = model
  const exchange = fetch?.last
  const outcome = exchange?.outcome
  must(model, !model.isClosed, "L8: keys were accepted after the scope was closed")
  must(
    model,
    outcome?.is === (cause === "loaded" ? "document" : "notModified"),
    `L5: keys were accepted as ${cause} from an answer that is ${outcome?.is}`
  )
  must(model, fetch?.epoch === model.epoch, "L5: what was asked before an invalidation was accepted after it")
  must(model, cause !== "notModified" || exchange?.asOf === model.held, "L5: a 304 confirmed what is not held")
  if (exchange !== undefined) model.held = heldAfter(model, exchange)
  if (trusted(model) === undefined) model.stillborn++
  model.fetch = undefined
  model.failures = 0
  model.retryAt = undefined
  model.hasExpired = false
  model.succeeded++
  if (cause === "notModified") model.notModified++
}

/** The seven transitions, with the causes of each. */
const transitions: ReadonlyMap<string, ReadonlyArray<TransitionCause>> = new Map<
  string,
  ReadonlyArray<TransitionCause>
>([
  ["Empty Loading", ["lookup", "start", "retry", "forced"]],
  ["Loading Ready", ["loaded"]],
  ["Loading Empty", ["failed"]],
  ["Ready Refreshing", ["due", "forced", "unknownKey", "clock", "expired", "invalidated"]],
  ["Refreshing Ready", ["loaded", "notModified"]],
  ["Refreshing Refreshing", ["failed"]],
  ["Refreshing Empty", ["expired", "invalidated"]]
])

/** Whether a transition may have this cause now. */
const mayCause = (model: Model, cause: TransitionCause): boolean => {
  const { doing, held } = model
  const at = model.now()
  switch (cause) {
    case "lookup":
      return trusted(model) === undefined && mayRetry(model) && model.waits.any()
    case "start":
      return model.settings.prefetch && model.started === 0
    case "retry":
      return model.fetch !== undefined || (mayRetry(model) && (model.failures > 0 || model.hasExpired))
    case "due":
      return held !== undefined && isReached(held.refresh[0], at) && mayRetry(model)
    case "clock":
      return held !== undefined && hasParted(held, at) && mayRetry(model) && doing?.kind === "lookup"
    case "forced":
      return doing?.kind === "refresh"
    case "unknownKey":
      return model.waits.unknown() && mayAsk(model)
    case "expired":
      return held !== undefined && isReached(held.staleUntil, at)
    case "invalidated":
      return doing?.kind === "invalidate" || doing?.kind === "close"
    default:
      return model.fetch !== undefined
  }
}

const changed = (model: Model, { cause, from, to }: { from: Phase; to: Phase; cause: TransitionCause }): void => {
  const step = `${from} -> ${to} (${cause})`
  must(model, from === model.phase, `S1-09: ${step} follows ${model.phase}`)
  must(model, transitions.get(`${from} ${to}`)?.includes(cause) === true, `S1-09: ${step} is no transition`)
  const isEnd = cause === "expired" || cause === "invalidated"
  must(model, from !== "Ready" || isEnd || trusted(model) !== undefined, `S1-14: ${step} with keys past their deadline`)
  must(model, mayCause(model, cause), `S1-09: nothing causes ${step}`)
  model.phase = to
  if (cause === "failed") model.hasToldFailure = true
  if (to === "Ready") accepted(model, cause)
  if (to === "Empty" && isEnd) {
    model.held = undefined
    model.hasExpired = cause === "expired"
  }
}

/** The failure backoff: 1 s, doubling to 60 s, or the provider's Retry-After up to that. */
const backoff = (failures: number, retryAfter: number): number =>
  Math.max(Math.min(1000 * 2 ** (failures - 1), 60_000), Math.min(retryAfter, 60_000))

const gaveUp = (model: Model, nextAttempt: number): void => {
  const { fetch, settings } = model
  const outcome = fetch?.last.outcome
  const at = model.now()
  must(model, outcome?.is === "failed" || outcome?.is === "cut", `S1-24: a fetch failed whose answer is ${outcome?.is}`)
  must(model, model.hasToldFailure || model.phase === "Empty", "S1-09: a failure without its transition")
  model.hasToldFailure = false
  const retryAfter = outcome?.is === "failed" ? outcome.retryAfter : 0
  if (fetch !== undefined) {
    const left = 8000 - passed(fetch.startedAt, at)
    const isOver = left <= Math.max(250 * 2 ** (fetch.requests - 1), 1.1 * retryAfter)
    const isFinal = outcome?.is === "failed" && outcome.isFinal
    must(
      model,
      fetch.requests === settings.maxAttempts || isFinal || isOver || retryAfter > 60_000,
      "S1-16: gave up early"
    )
  }
  const delay = backoff(model.failures + 1, retryAfter)
  must(model, Math.abs(nextAttempt - delay) < 0.001, `L3: ${nextAttempt} ms after a failure instead of ${delay}`)
  model.failures++
  model.failed++
  model.retryAt = later(at, delay)
  model.fetch = undefined
}

/** Handles an event of the cache. */
export const happened = (model: Model, event: JwksEvent): void => {
  if (event._tag === "Changed") changed(model, event)
  if (event._tag === "Failed") gaveUp(model, Duration.toMillis(event.nextAttempt))
}
