import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Holder, Reply, ReportedFailure, SharedFailure, SharedValue, TokenRecord } from "./record.ts"

/** Why a process asks for a token. */
export interface Want {
  /** The fencing number of the token that must be replaced; 0 without one. */
  readonly known: number
  readonly isForced: boolean
  /** In milliseconds; 0 unless a server rejected the token. */
  readonly cooldown: number
  /** Whether callers wait for the token. */
  readonly isUrgent: boolean
}

/** What the process does now. */
export type Turn =
  | { readonly _tag: "token"; readonly fence: number; readonly value: SharedValue; readonly issuedAt: Instant.Instant }
  | { readonly _tag: "failed"; readonly failure: SharedFailure }
  | { readonly _tag: "unchanged" | "alone" | "tooLate" }
  | { readonly _tag: "lease"; readonly lease: Lease }

/** The lease to request a token for all processes. */
export interface Lease extends Holder {
  /** When the store granted it, on the clock of the store and on those of this process. */
  readonly at: number
  readonly grantedAt: Instant.Instant
}

/** How the work under a lease ended. */
export type Outcome =
  | { readonly _tag: "acquired"; readonly value: SharedValue; readonly issuedAt: Instant.Instant }
  | { readonly _tag: "failed"; readonly failure: ReportedFailure }
  /** These tokens cannot be shared. */
  | { readonly _tag: "unshared" }
  /** No request was made, or nothing is known about it. */
  | { readonly _tag: "released" }

/** What became of the outcome. */
interface Settled<A> {
  readonly result: A
  /** Whether another process got the lease meanwhile, so that the token was not stored. */
  readonly isSuperseded: boolean
  /** The failed acquisitions of all processes in a row; `undefined` if this one did not fail or the store did not answer. */
  readonly failures: number | undefined
}

/** One kind of token, for one provider of this process. */
export interface SharedToken {
  /** Waits until there is a token or it is this process's turn to request one. The lease ends if the caller is interrupted. */
  readonly turn: (want: Want) => Effect.Effect<Turn>
  /** Runs the work under a lease, which is renewed meanwhile and ends with it, however it ends. */
  readonly hold: <A, R>(
    lease: Lease,
    work: Effect.Effect<A, never, R>,
    outcomeOf: (result: A) => Outcome
  ) => Effect.Effect<Settled<A>, never, R>
  readonly invalidate: (fence: number) => Effect.Effect<void>
  /** Upper bound of the pause of all processes after a failure. */
  readonly maxFailureDelay: Duration.Duration
  /** What happened, for the metrics. */
  readonly counts: Counts
}

interface Counts {
  shared: number
  holder: number
  alone: number
  failed: number
  waits: number
}

/** The times of all shared tokens. */
export interface Times {
  readonly lease: Duration.Duration
  readonly maxWait: Duration.Duration
  readonly maxFailureDelay: Duration.Duration
}

/** The pauses between two questions to the store, in milliseconds: 50, 75, 112 and so on. Each is halved by up to one half. */
const firstPoll = 50
const longestPoll = 500

/** In milliseconds: over how long the processes that waited for another begin to request tokens when the store fails. */
const spread = 1_000

/** The share of a lease after which it is renewed. */
const renewals = 3

/** One kind of token over its record. Its counters are those of the provider with this name. */
export const makeSharedToken = Effect.fnUntraced(function*(
  record: TokenRecord,
  server: string,
  { lease: leaseTime, maxFailureDelay, maxWait }: Times
): Effect.fn.Return<SharedToken, never, Scope.Scope> {
  const counts: Counts = { shared: 0, holder: 0, alone: 0, failed: 0, waits: 0 }
  for (const result of ["shared", "holder", "alone", "failed"] as const) {
    yield* MetricSeries.register("sharedTokenAcquisitions", { server, result }, () => counts[result])
  }
  yield* MetricSeries.register("sharedTokenWaits", { server }, () => counts.waits)
  const process = SecureRandom.uuidV4Unsafe()

  const poll = Effect.fnUntraced(function*(owner: string, want: Want): Effect.fn.Return<Turn> {
    const clock = yield* Clock.Clock
    const giveUpAt = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(maxWait)
    let { known } = want
    let pause = firstPoll
    let hasWaited = false
    while (true) {
      const asked = Instant.now(clock)
      const { cooldown, isForced } = want
      const reply: Reply | undefined = yield* record.begin({ owner, process, known, isForced, cooldown })
      if (reply === undefined) {
        // Waiting callers of many processes would otherwise all begin in the same instant.
        if (hasWaited || !want.isUrgent) yield* Effect.sleep(spread * (yield* Random.next))
        return { _tag: "alone" }
      }
      if (reply._tag === "token") {
        if (reply.value !== undefined) {
          return { _tag: "token", fence: reply.fence, value: reply.value, issuedAt: Instant.after(asked, -reply.age) }
        }
        known = reply.fence
        continue
      }
      if (reply._tag === "lease") {
        return { _tag: "lease", lease: { owner, fence: reply.fence, at: reply.at, grantedAt: Instant.now(clock) } }
      }
      if (reply._tag !== "wait") return reply
      if (!hasWaited) counts.waits++
      hasWaited = true
      if (clock.monotonicTimeNanosUnsafe() >= giveUpAt) return { _tag: "tooLate" }
      yield* Effect.sleep(Math.ceil(Math.min(pause, reply.millis + 1) * (0.5 + 0.5 * (yield* Random.next))))
      pause = Math.min(pause * 1.5, longestPoll)
    }
  })

  const renewing = (lease: Lease): Effect.Effect<unknown> =>
    Effect.sleep(Duration.toMillis(leaseTime) / renewals).pipe(
      Effect.andThen(record.renew(lease)),
      Effect.repeat({ while: (isHolder) => isHolder !== false })
    )

  const settle = (lease: Lease, outcome: Outcome): Effect.Effect<number | boolean | undefined | void> => {
    switch (outcome._tag) {
      case "acquired": {
        // On the clock of the store, so that the clocks of the processes need not agree.
        const since = Number(outcome.issuedAt.monotonic - lease.grantedAt.monotonic) / 1_000_000
        return record.commit(lease, outcome.value, lease.at + since)
      }
      case "failed":
        return record.fail(lease, process, outcome.failure)
      case "unshared":
        return record.unshare(lease)
      case "released":
        return record.release(lease.owner)
    }
  }

  return {
    counts,
    maxFailureDelay,
    turn: (want) =>
      Effect.suspend(() => {
        const owner = SecureRandom.uuidV4Unsafe()
        return Effect.onExit(
          poll(owner, want),
          // Also without a reply: the store may grant the lease late.
          (exit) =>
            Exit.isSuccess(exit) && exit.value._tag !== "alone" ? Effect.void : releaseLater(record.release(owner))
        )
      }),
    hold: (lease, work, outcomeOf) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const renewal = yield* Effect.forkDetach(Effect.interruptible(renewing(lease)))
          const result = yield* Effect.onExit(restore(work), (exit) =>
            Effect.suspend(() => {
              renewal.interruptUnsafe()
              return Exit.isSuccess(exit) ? Effect.void : record.release(lease.owner)
            }))
          const outcome = outcomeOf(result)
          const settled = yield* settle(lease, outcome)
          return {
            result,
            isSuperseded: outcome._tag === "acquired" && settled === false,
            failures: typeof settled === "number" && settled > 0 ? settled : undefined
          }
        })
      ),
    invalidate: record.invalidate
  }
})

/** In the background: a store that does not answer must not delay the caller twice. */
const releaseLater = (release: Effect.Effect<void>): Effect.Effect<void> => Effect.asVoid(Effect.forkDetach(release))
