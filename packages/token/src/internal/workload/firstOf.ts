import * as Deadline from "@keelson/core/Deadline"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type { TokenResponse } from "../../TokenSource.ts"
import { bounded } from "./sources.ts"
import { unavailable, type WorkloadIdentityError } from "./workloadToken.ts"

/** One of several sources. */
export interface Candidate {
  readonly name: string
  readonly acquire: Effect.Effect<TokenResponse, WorkloadIdentityError>
}

interface Chosen {
  readonly candidate: Candidate
  readonly token: TokenResponse
}

type Answer = readonly [Candidate, Exit.Exit<TokenResponse, WorkloadIdentityError>]

/** The code of a source's error. */
const codeOf = (cause: Cause.Cause<WorkloadIdentityError>): string =>
  Option.match(Cause.findErrorOption(cause), { onNone: () => "INTERNAL_ERROR", onSome: ({ code }) => code })

const none = (
  failures: ReadonlyArray<readonly [name: string, code: string]>,
  isLate: boolean
): WorkloadIdentityError => {
  const list = failures.map(([name, code]) => `${name}: ${code}`).join(", ")
  const message = `No source has a workload identity (${list})`
  return isLate
    ? new KeelsonError.NetworkError({ code: "TIMEOUT", message, details: { reason: "none" } })
    : unavailable(message, { reason: "none" })
}

/**
 * Asks the sources in their order. The next one is asked when one fails, and also when none has answered for an equal share of
 * the time limit. The first answer wins. Sources that are still being asked are interrupted in the background, so that one
 * that cannot be interrupted delays nobody.
 */
const select = (
  candidates: ReadonlyArray<Candidate>,
  within: Duration.Duration
): Effect.Effect<Chosen, WorkloadIdentityError> =>
  Effect.suspend(() => {
    const running = new Map<Candidate, Fiber.Fiber<unknown>>()
    const failures: Array<readonly [string, string]> = []
    const share = Duration.toMillis(within) / candidates.length
    return Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const elapsed = ((start) => () => Number(clock.monotonicTimeNanosUnsafe() - start) / 1_000_000)(
        clock.monotonicTimeNanosUnsafe()
      )
      const answers = yield* Queue.unbounded<Answer>()
      const waiting = candidates.toReversed()
      let nextAt = 0
      while (true) {
        if (elapsed() >= nextAt || running.size === 0) {
          const next = waiting.pop()
          if (next === undefined && running.size === 0) return yield* Effect.fail(none(failures, false))
          if (next !== undefined) {
            const ask = Effect.flatMap(Effect.exit(next.acquire), (exit) => Queue.offer(answers, [next, exit] as const))
            running.set(next, yield* Effect.forkDetach(ask, { startImmediately: true }))
            nextAt = elapsed() + share
          }
        }
        const left = Duration.toMillis(within) - elapsed()
        const pause = waiting.length === 0 ? left : Math.min(left, nextAt - elapsed())
        const answer = yield* Effect.timeoutOption(Queue.take(answers), Duration.millis(Math.max(pause, 0)))
        if (Option.isSome(answer)) {
          const [candidate, exit] = answer.value
          running.delete(candidate)
          if (Exit.isSuccess(exit)) return { candidate, token: exit.value }
          failures.push([candidate.name, codeOf(exit.cause)])
          nextAt = elapsed()
        } else if (elapsed() >= Duration.toMillis(within)) {
          for (const { name } of [...running.keys(), ...waiting]) failures.push([name, "TIMEOUT"])
          return yield* Effect.fail(none(failures, true))
        }
      }
    }).pipe(
      Effect.ensuring(Effect.sync(() => {
        for (const fiber of running.values()) fiber.interruptUnsafe()
      }))
    )
  })

/**
 * A token of the first source that has one. The choice is kept until that source fails. Callers that need a choice at the same
 * time share it; interrupting one of them does not affect the others.
 */
export const makeFirstOf = (
  candidates: ReadonlyArray<Candidate>,
  within: Duration.Duration
): Effect.Effect<TokenResponse, WorkloadIdentityError> => {
  let chosen: Candidate | undefined
  let logged: Candidate | undefined
  let selecting: Deferred.Deferred<TokenResponse, WorkloadIdentityError> | undefined

  const report = (candidate: Candidate) =>
    Effect.suspend(() => {
      const before = logged
      if (before === candidate) return Effect.void
      logged = candidate
      return before === undefined
        ? Effect.logInfo("Workload identity chosen", { source: candidate.name })
        : Effect.logWarning("Workload identity changed", { source: candidate.name, before: before.name })
    })

  const choose = (from: ReadonlyArray<Candidate>, time: Duration.Duration) =>
    Effect.flatMap(select(from, time), ({ candidate, token }) => {
      chosen = candidate
      return Effect.as(report(candidate), token)
    })

  const shared = (from: ReadonlyArray<Candidate>, time: Duration.Duration) =>
    Effect.uninterruptibleMask((restore) => {
      if (selecting !== undefined) return restore(Deferred.await(selecting))
      const result = Deferred.makeUnsafe<TokenResponse, WorkloadIdentityError>()
      selecting = result
      const run = Effect.flatMap(Effect.exit(choose(from, time)), (exit) => {
        selecting = undefined
        return Deferred.done(result, exit)
      })
      // Not a child of the caller, who may be interrupted or have less time than others. Its time limit bounds it.
      const alone = Effect.provideService(Effect.interruptible(run), Deadline.CurrentDeadline, undefined)
      return Effect.andThen(
        Effect.forkDetach(alone, { startImmediately: true }),
        restore(Deferred.await(result))
      )
    })

  return Effect.suspend(() => {
    const current = chosen
    if (current === undefined) return shared(candidates, within)
    return Effect.clockWith((clock) => {
      const start = clock.monotonicTimeNanosUnsafe()
      return Effect.catch(bounded(current.acquire, within), (error) => {
        if (chosen === current) chosen = undefined
        const left = Duration.toMillis(within) - Number(clock.monotonicTimeNanosUnsafe() - start) / 1_000_000
        const others = candidates.filter((candidate) => candidate !== current)
        return left <= 0 || others.length === 0 ? Effect.fail(error) : shared(others, Duration.millis(left))
      })
    })
  })
}
