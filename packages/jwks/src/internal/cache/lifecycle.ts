import type * as ErrorCode from "@keelson/core/ErrorCode"
import { after, type Instant } from "@keelson/core/unstable/Instant"
import * as Duration from "effect/Duration"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { KeySet, Skipped } from "../../KeySet.ts"
import type { KeyTrust } from "../../unstable/KeySourceTag.ts"
import type { HeaderRecord } from "../http/freshness.ts"

/** The four states of a key set. */
export type Phase = "Empty" | "Loading" | "Ready" | "Refreshing"

/**
 * Why a state changed:
 *
 * - `lookup`, `start`, `retry`: a first fetch began, for a lookup, at the start, or after a failure;
 * - `due`, `forced`, `unknownKey`, `clock`: a refresh began, on schedule, by `refresh`, for an unknown key, or because the
 *   clocks diverged;
 * - `loaded`, `notModified`, `restored`: keys were accepted, from a 200, a 304, or a snapshot;
 * - `failed`: a fetch failed; `expired`: the stale deadline passed; `invalidated`: `invalidate` was called.
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

/** One transition of the state machine. */
export interface Transition {
  readonly from: Phase
  readonly to: Phase
  readonly cause: TransitionCause
}

/** A trusted key set in memory, with its times. */
export interface CachedKeySet {
  readonly keySet: KeySet
  readonly trust: KeyTrust
  readonly skipped: ReadonlyArray<Skipped>
  /** The URL of the document. */
  readonly url: string
  /** The document, for snapshots; empty without a snapshot store. */
  readonly body: string
  /** The response headers that later requests and the lifetime depend on. */
  readonly headers: HeaderRecord
  /** When the request that confirmed the keys was sent. */
  readonly since: Instant
  /** The `offset` of the clocks when the keys were accepted, from which later divergence is measured. */
  readonly offset: number
  readonly refreshAt: Instant
  readonly expiresAt: Instant
  readonly staleUntil: Instant
  /** Upper bound of the stale window in milliseconds, since a snapshot keeps its own; unlimited for fetched keys. */
  readonly maxStale?: number
}

/** The state of one provider. */
export type State =
  & {
    /** Consecutive failures; `errorCount` of the status. */
    readonly failures: number
    readonly lastFailure: ErrorCode.ErrorCode | undefined
    /** Before this moment only a forced refresh fetches. */
    readonly retryAt: Instant | undefined
    /** An unknown key causes no fetch before this moment. */
    readonly unknownAt: Instant | undefined
    /** When the keys were last confirmed. */
    readonly lastRefresh: Instant | undefined
  }
  & (
    | { readonly phase: "Empty" | "Loading"; readonly cached: undefined }
    | { readonly phase: "Ready" | "Refreshing"; readonly cached: CachedKeySet }
  )

/** A new state with the transitions that led to it. */
export interface Step {
  readonly state: State
  readonly transitions: ReadonlyArray<Transition>
}

export const initial: State = {
  phase: "Empty",
  cached: undefined,
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

/** Begins a fetch. No transition if one is running. */
export const begin = (state: State, cause: TransitionCause): Step => {
  if (state.phase === "Empty") return step(state, { ...state, phase: "Loading" }, cause)
  if (state.phase === "Ready") return step(state, { ...state, phase: "Refreshing" }, cause)
  return stay(state)
}

/** Accepts keys from a fetch or a snapshot. */
export const succeed = (state: State, cached: CachedKeySet, cause: "loaded" | "notModified" | "restored"): Step => {
  const begun = begin(state, "retry")
  const ready: State = {
    ...state,
    phase: "Ready",
    cached,
    failures: 0,
    lastFailure: undefined,
    retryAt: undefined,
    lastRefresh: cause === "restored" ? state.lastRefresh : cached.since
  }
  return { state: ready, transitions: [...begun.transitions, ...step(begun.state, ready, cause).transitions] }
}

/** Delay before the next fetch after this many failures in a row, in milliseconds. */
export const failureDelay = (
  failures: number,
  options: Pick<JwksOptions, "failureDelay" | "maxFailureDelay">
): number =>
  Math.min(
    Duration.toMillis(options.failureDelay) * 2 ** (failures - 1),
    Duration.toMillis(options.maxFailureDelay)
  )

/** Records a failed fetch: trusted keys stay in use, and the next fetch is delayed. */
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

/** Ends the trust in the keys, because they expired or were invalidated. */
export const drop = (state: State, cause: "expired" | "invalidated"): Step => {
  if (state.cached === undefined) return stay(state)
  const begun = begin(state, cause)
  const empty: State = { ...state, phase: "Empty", cached: undefined }
  return { state: empty, transitions: [...begun.transitions, ...step(begun.state, empty, cause).transitions] }
}
