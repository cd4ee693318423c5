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
export interface CacheHeaders {
  readonly etag?: string
  readonly lastModified?: string
  /** Seconds of `max-age`; zero for `no-store`. */
  readonly maxAge?: number
  /** Wall-clock milliseconds. */
  readonly expires?: number
  readonly date: number
}

export type Outcome =
  | { readonly is: "document"; readonly keys: ReadonlyArray<Key>; readonly cacheHeaders: CacheHeaders }
  | { readonly is: "notModified"; readonly cacheHeaders: CacheHeaders }
  | { readonly is: "failed"; readonly isFinal: boolean; readonly retryAfter: number }
  | { readonly is: "interrupted" }

/** One request, and how it ended. */
export interface Exchange {
  readonly sentAt: Moment
  readonly cachedAtStart: CachedKeys | undefined
  outcome: Outcome | undefined
}

/** The upstream keys as last sent to the cache. */
export interface CachedKeys {
  readonly keys: ReadonlyArray<Key>
  /** The same for all confirmations until other keys are accepted. */
  readonly trust: object
  readonly cacheHeaders: CacheHeaders
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
type CurrentCall = { readonly kind: "lookup" | "refresh" | "invalidate" | "close" } | undefined

export interface Model {
  readonly settings: Settings
  readonly now: () => Moment
  readonly violations: Array<string>
  cached: CachedKeys | undefined
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
  currentCall: CurrentCall
  /** Whether a lookup waits; and whether one waits for a key that the cached set lacks. */
  readonly waits: { any: () => boolean; unknown: () => boolean }
  started: number
  succeeded: number
  notModified: number
  failed: number
  /** Keys accepted after their stale deadline, since the wall clock was set during the fetch. */
  acceptedTooLate: number
  /** Whether a transition reported the failure of the fetch that is about to end. */
  hasReportedFailure: boolean
  /** Whether monotonic time has passed without timers, so that scheduled work may be late. */
  isLate: boolean
}

export const makeModel = (settings: Settings, now: () => Moment): Model => ({
  settings,
  now,
  violations: [],
  cached: undefined,
  fetch: undefined,
  phase: "Empty",
  failures: 0,
  retryAt: undefined,
  unknownAt: undefined,
  epoch: 0,
  isClosed: false,
  hasExpired: false,
  currentCall: undefined,
  waits: { any: () => false, unknown: () => false },
  started: 0,
  succeeded: 0,
  notModified: 0,
  failed: 0,
  acceptedTooLate: 0,
  hasReportedFailure: false,
  isLate: false
})

/** Records a violation. */
export const check = (model: Model, holds: boolean, law: string): void => {
  if (!holds) model.violations.push(law)
}

/** The keys that may verify now. */
export const trusted = (model: Model): CachedKeys | undefined =>
  model.cached === undefined || isReached(model.cached.staleUntil, model.now()) ? undefined : model.cached

/** Whether the clocks diverged by more than half a minute since the keys were confirmed. */
export const haveClocksDiverged = (cached: CachedKeys, at: Moment): boolean =>
  at.wall - cached.since.wall - passed(cached.since, at) > 30_000

/** Whether the failure backoff allows a fetch. */
export const mayRetry = (model: Model): boolean => model.retryAt === undefined || isReached(model.retryAt, model.now())

/** The limit of the running attempt: 3 s, or 1 s for the first of several after a failure. */
export const attemptLimit = ({ failures, fetch, settings }: Model): number =>
  failures > 0 && settings.maxAttempts > 1 && fetch?.requests === 1 ? 1000 : 3000

/** Whether the cooldown allows a fetch for an unknown key. */
export const mayFetchUnknown = (model: Model): boolean =>
  mayRetry(model) && (model.unknownAt === undefined || isReached(model.unknownAt, model.now()))

/** The lifetime that a response states, in milliseconds. */
const statedLifetime = ({ date, expires, maxAge }: CacheHeaders): number | undefined => {
  if (maxAge === undefined && expires === undefined) return undefined
  return maxAge === undefined ? Math.max(0, (expires ?? 0) - date) : 1000 * maxAge
}

const lifetime = (cacheHeaders: CacheHeaders, { maxTtl, minTtl, ttl }: Settings): number => {
  const stated = statedLifetime(cacheHeaders)
  return stated === undefined ? ttl : Math.min(Math.max(stated, minTtl), maxTtl)
}

const idsOf = (keys: ReadonlyArray<Key>): string => JSON.stringify(keys)

/** The cached keys after a response. */
const cachedAfter = (model: Model, { outcome, sentAt }: Exchange): CachedKeys | undefined => {
  if (outcome?.is !== "document" && outcome?.is !== "notModified") return undefined
  const before = model.cached
  const keys = outcome.is === "document" ? outcome.keys : before?.keys ?? []
  const cacheHeaders = outcome.is === "document" || before === undefined
    ? outcome.cacheHeaders
    : { ...before.cacheHeaders, ...outcome.cacheHeaders }
  const { refreshEarly, refreshJitter, staleWindow } = model.settings
  const fresh = lifetime(cacheHeaders, model.settings)
  // A lifetime that `minTtl` has raised is not refreshed early, if the keys are trusted during the refresh.
  const isAtEnd = (statedLifetime(cacheHeaders) ?? Infinity) < fresh && fresh >= 60_000 && staleWindow >= 8000
  const refreshAfter = (jitter: number) =>
    later(sentAt, isAtEnd ? fresh : Math.max(fresh - refreshEarly - jitter, fresh / 2))
  return {
    keys,
    cacheHeaders,
    trust: before !== undefined && idsOf(before.keys) === idsOf(keys) ? before.trust : {},
    since: sentAt,
    refresh: [refreshAfter(refreshJitter), refreshAfter(0)],
    expiresAt: later(sentAt, fresh),
    staleUntil: later(sentAt, fresh + staleWindow)
  }
}

const acceptKeys = (model: Model, cause: TransitionCause): void => {
  const { fetch } = model
  const exchange = fetch?.last
  const outcome = exchange?.outcome
  check(model, !model.isClosed, "L8: keys were accepted after the scope was closed")
  check(
    model,
    outcome?.is === (cause === "loaded" ? "document" : "notModified"),
    `L5: keys were accepted as ${cause} from an answer that is ${outcome?.is}`
  )
  check(model, fetch?.epoch === model.epoch, "L5: what was asked before an invalidation was accepted after it")
  check(
    model,
    cause !== "notModified" || exchange?.cachedAtStart === model.cached,
    "L5: a 304 confirmed keys that are not cached"
  )
  if (exchange !== undefined) model.cached = cachedAfter(model, exchange)
  if (trusted(model) === undefined) model.acceptedTooLate++
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
const canCause = (model: Model, cause: TransitionCause): boolean => {
  const { currentCall, cached } = model
  const at = model.now()
  switch (cause) {
    case "lookup":
      return trusted(model) === undefined && mayRetry(model) && model.waits.any()
    case "start":
      return model.settings.prefetch && model.started === 0
    case "retry":
      return model.fetch !== undefined || (mayRetry(model) && (model.failures > 0 || model.hasExpired))
    case "due":
      return cached !== undefined && isReached(cached.refresh[0], at) && mayRetry(model)
    case "clock":
      return cached !== undefined && haveClocksDiverged(cached, at) && mayRetry(model) && currentCall?.kind === "lookup"
    case "forced":
      return currentCall?.kind === "refresh"
    case "unknownKey":
      return model.waits.unknown() && mayFetchUnknown(model)
    case "expired":
      return cached !== undefined && isReached(cached.staleUntil, at)
    case "invalidated":
      return currentCall?.kind === "invalidate" || currentCall?.kind === "close"
    default:
      return model.fetch !== undefined
  }
}

const onTransition = (model: Model, { cause, from, to }: { from: Phase; to: Phase; cause: TransitionCause }): void => {
  const step = `${from} -> ${to} (${cause})`
  check(model, from === model.phase, `S1-09: ${step} follows ${model.phase}`)
  check(model, transitions.get(`${from} ${to}`)?.includes(cause) === true, `S1-09: ${step} is no transition`)
  const isEnd = cause === "expired" || cause === "invalidated"
  check(
    model,
    from !== "Ready" || isEnd || trusted(model) !== undefined,
    `S1-14: ${step} with keys past their deadline`
  )
  check(model, canCause(model, cause), `S1-09: nothing causes ${step}`)
  model.phase = to
  if (cause === "failed") model.hasReportedFailure = true
  if (to === "Ready") acceptKeys(model, cause)
  if (to === "Empty" && isEnd) {
    model.cached = undefined
    model.hasExpired = cause === "expired"
  }
}

/** The failure backoff: 1 s, doubling to 60 s, or the provider's Retry-After up to that. */
const backoff = (failures: number, retryAfter: number): number =>
  Math.max(Math.min(1000 * 2 ** (failures - 1), 60_000), Math.min(retryAfter, 60_000))

const onFailed = (model: Model, nextAttempt: number): void => {
  const { fetch, settings } = model
  const outcome = fetch?.last.outcome
  const at = model.now()
  // The time limit may end the import of the keys of a good answer.
  const isOutOfTime = fetch !== undefined &&
    (passed(fetch.startedAt, at) >= 8000 || passed(fetch.last.sentAt, at) >= attemptLimit(model))
  check(
    model,
    outcome?.is === "failed" || outcome?.is === "interrupted" || isOutOfTime,
    `S1-24: a fetch failed whose answer is ${outcome?.is}`
  )
  check(model, model.hasReportedFailure || model.phase === "Empty", "S1-09: a failure without its transition")
  model.hasReportedFailure = false
  const retryAfter = outcome?.is === "failed" ? outcome.retryAfter : 0
  if (fetch !== undefined) {
    const left = 8000 - passed(fetch.startedAt, at)
    const isOver = left <= Math.max(250 * 2 ** (fetch.requests - 1), 1.1 * retryAfter)
    const isFinal = outcome?.is === "failed" && outcome.isFinal
    check(
      model,
      fetch.requests === settings.maxAttempts || isFinal || isOver || retryAfter > 60_000,
      "S1-16: gave up early"
    )
  }
  const delay = backoff(model.failures + 1, retryAfter)
  check(model, Math.abs(nextAttempt - delay) < 0.001, `L3: ${nextAttempt} ms after a failure instead of ${delay}`)
  model.failures++
  model.failed++
  model.retryAt = later(at, delay)
  model.fetch = undefined
}

/** Handles an event of the cache. */
export const handleEvent = (model: Model, event: JwksEvent): void => {
  if (event._tag === "Changed") onTransition(model, event)
  if (event._tag === "Failed") onFailed(model, Duration.toMillis(event.nextAttempt))
}
