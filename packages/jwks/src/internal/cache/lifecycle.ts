import type * as ErrorCode from "@keelson/core/ErrorCode"
import { after, type Instant } from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { KeySet, Skipped } from "../../KeySet.ts"
import type { HeaderRecord } from "../http/freshness.ts"
import type { KeyTrust } from "../keys/candidate.ts"

/** The four states of a key set. */
export type Phase = "Empty" | "Loading" | "Ready" | "Refreshing"

/**
 * Why a state changed:
 *
 * - `lookup`, `start`, `retry`: the first fetch, for a lookup, at the start, or again after a failure;
 * - `due`, `forced`, `unknownKey`, `clock`: a renewal in time, by hand, for an unknown key, or since the clocks diverged;
 * - `loaded`, `notModified`, `restored`: keys from a 200, a 304, or a snapshot;
 * - `failed`: a fetch failed; `expired`: the stale deadline passed; `invalidated`: the trust was ended by hand.
 */
export type TransitionCause =
  | "lookup"
  | "start"
  | "retry"
  | "due"
  | "forced"
  | "unknownKey"
  | "clock"
  | "loaded"
  | "notModified"
  | "restored"
  | "failed"
  | "expired"
  | "invalidated"

/** One step of the state machine. */
export interface Transition {
  readonly from: Phase
  readonly to: Phase
  readonly cause: TransitionCause
}

/** Keys with what is known about them. */
export interface CachedKeySet {
  readonly set: KeySet
  readonly trust: KeyTrust
  readonly skipped: ReadonlyArray<Skipped>
  /** Where the document came from, to be fetched again. */
  readonly url: string
  /** The document, for snapshots. */
  readonly body: string
  /** What its response said about caching. */
  readonly headers: HeaderRecord
  /** When the request that confirmed the keys was sent. */
  readonly since: Instant
  /** The `offset` of that moment. */
  readonly offset: number
  readonly refreshAt: Instant
  readonly expiresAt: Instant
  readonly staleUntil: Instant
}

/** Everything about one provider that changes, in its `Ref`. */
export type State =
  & {
    /** Consecutive failures; `errorCount` of the status. */
    readonly failures: number
    readonly lastFailure: ErrorCode.ErrorCode | undefined
    /** Nothing is fetched by itself before this moment. */
    readonly retryAt: Instant | undefined
    /** No unknown key may ask before this moment. */
    readonly unknownAt: Instant | undefined
    /** When the keys were last confirmed. */
    readonly lastRefresh: Instant | undefined
  }
  & (
    | { readonly phase: "Empty" | "Loading"; readonly held: undefined }
    | { readonly phase: "Ready" | "Refreshing"; readonly held: CachedKeySet }
  )

/** A next state with the steps that led there. */
export interface Step {
  readonly state: State
  readonly transitions: ReadonlyArray<Transition>
}

export const initial: State = {
  phase: "Empty",
  held: undefined,
  failures: 0,
  lastFailure: undefined,
  retryAt: undefined,
  unknownAt: undefined,
  lastRefresh: undefined
}

const stay = (state: State): Step => ({ state, transitions: [] })

const step = (from: State, to: State, cause: TransitionCause): Step => ({
  state: to,
  transitions: [{ from: from.phase, to: to.phase, cause }]
})

/** A fetch begins. One that is under way goes on. */
export const begin = (state: State, cause: TransitionCause): Step => {
  if (state.phase === "Empty") return step(state, { ...state, phase: "Loading" }, cause)
  if (state.phase === "Ready") return step(state, { ...state, phase: "Refreshing" }, cause)
  return stay(state)
}

/** Keys came. */
export const succeed = (state: State, held: CachedKeySet, cause: "loaded" | "notModified" | "restored"): Step => {
  const begun = begin(state, "retry")
  const ready: State = {
    ...state,
    phase: "Ready",
    held,
    failures: 0,
    lastFailure: undefined,
    retryAt: undefined,
    lastRefresh: cause === "restored" ? state.lastRefresh : held.since
  }
  return { state: ready, transitions: [...begun.transitions, ...step(begun.state, ready, cause).transitions] }
}

/** How long nothing is fetched after so many failures. */
export const failureDelay = (
  failures: number,
  options: Pick<JwksOptions, "failureDelay" | "maxFailureDelay">
): number =>
  Math.min(
    Duration.toMillis(options.failureDelay) * 2 ** (failures - 1),
    Duration.toMillis(options.maxFailureDelay)
  )

/** A fetch failed: trusted keys stay, and the next fetch is put off. */
export const fail = (
  state: State,
  failure: { readonly code: ErrorCode.ErrorCode; readonly retryAfter: number; readonly at: Instant },
  options: Pick<JwksOptions, "failureDelay" | "maxFailureDelay">
): Step => {
  const failures = state.failures + 1
  const longest = Duration.toMillis(options.maxFailureDelay)
  const delay = Math.max(failureDelay(failures, options), Math.min(failure.retryAfter, longest))
  const failed = { failures, lastFailure: failure.code, retryAt: after(failure.at, delay) }
  if (state.phase === "Loading") return step(state, { ...state, ...failed, phase: "Empty" }, "failed")
  if (state.phase === "Refreshing") return step(state, { ...state, ...failed }, "failed")
  return stay({ ...state, ...failed })
}

/** The trust in the keys ends: past their stale deadline, or by hand. */
export const drop = (state: State, cause: "expired" | "invalidated"): Step => {
  if (state.held === undefined) return stay(state)
  const begun = begin(state, cause)
  const empty: State = { ...state, phase: "Empty", held: undefined }
  return { state: empty, transitions: [...begun.transitions, ...step(begun.state, empty, cause).transitions] }
}
