import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Policy } from "../../Throttle.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import * as SharedError from "../../unstable/SharedError.ts"
import { left as timeLeft } from "./deadline.ts"
import { Throttled } from "./throttled.ts"

/** Holds back calls to a service while the service has asked its callers to wait. Times are in monotonic nanoseconds. */
export interface Gate<G> {
  /** Whether calls are held back. Every call asks it, so it reads one field. */
  readonly isClosed: (now: bigint) => boolean
  /** How long a call waits from now on, by its random number on [0, 1); zero if calls are let through. */
  readonly delay: (now: bigint, random: number) => Duration.Duration
  /** Waits until calls are let through again; fails if that is after `until`, the deadline of the call, or too long. */
  readonly pass: (until: bigint | undefined) => Effect.Effect<void, G>
  /** Holds calls back for at least a duration. A pause never becomes shorter. */
  readonly pause: (duration: Duration.Duration, now: bigint) => void
  /** Lets calls through again. */
  readonly open: () => void
}

/** The pause of one service, which all its callers in this process share. */
interface Pause {
  until: bigint
  /** How long the pause was when it was set. */
  length: bigint
  /** How many gates use it. */
  holders: number
}

/** The pauses of this process by the name of the service. Tests may provide their own. */
export const Pauses = Context.Reference<Map<string, Pause>>("@keelson/core/internal/Pauses", {
  defaultValue: () => new Map()
})

const acquire = (name: string) =>
  Effect.acquireRelease(
    Effect.map(Pauses, (pauses) => {
      const pause = pauses.get(name) ?? { until: 0n, length: 0n, holders: 0 }
      pauses.set(name, pause)
      pause.holders++
      return { pause, pauses }
    }),
    ({ pause, pauses }) =>
      Effect.sync(() => {
        if (--pause.holders === 0) pauses.delete(name)
      })
  )

/** Makes the gate of a service. Gates with the same name share the pause. */
export const makeGate = Effect.fnUntraced(function*(
  name: string,
  policy: Policy
): Effect.fn.Return<Gate<Throttled>, never, Scope.Scope> {
  const { pause } = yield* acquire(name)
  const clock = yield* Clock.Clock
  const ceiling = Duration.toNanosUnsafe(policy.ceiling)
  const maxWait = Duration.toNanosUnsafe(policy.maxWait)
  const totals = { pauses: 0, held: 0, rejected: 0 }
  /** The error of the last rejection. Calls that are rejected within the same millisecond share it. */
  let last: { readonly millis: number; readonly error: Throttled } | undefined

  yield* MetricSeries.register("throttlePauses", { server: name }, () => totals.pauses)
  yield* MetricSeries.register("throttleHeld", { server: name }, () => totals.held)
  yield* MetricSeries.register("throttleRejections", { server: name }, () => totals.rejected)
  yield* MetricSeries.register(
    "throttlePause",
    { server: name },
    () => Duration.toSeconds(left(clock.monotonicTimeNanosUnsafe()))
  )

  const isClosed = (now: bigint): boolean => pause.until > now
  const delay = (now: bigint, random: number): bigint =>
    isClosed(now) ? pause.until - now + BigInt(Math.round(Number(pause.length) * policy.spread * random)) : 0n
  const left = (now: bigint): Duration.Duration => timeLeft(pause.until, now)

  const reject = (now: bigint): Effect.Effect<never, Throttled> => {
    totals.rejected++
    const millis = Math.ceil(Duration.toMillis(left(now)))
    if (last?.millis !== millis) {
      const retryAfter = Duration.millis(millis)
      last = { millis, error: SharedError.make(() => new Throttled({ server: name, retryAfter })) }
    }
    return Effect.fail(last.error)
  }

  /** Waits for the end of the pause and a random part of `spread` more, so that waiting calls do not return all at once. */
  const wait = (until: bigint | undefined, since: bigint): Effect.Effect<void, Throttled> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const now = clock.monotonicTimeNanosUnsafe()
      if (!isClosed(now)) return Effect.void
      const time = delay(now, fiber.getRef(Random.Random).nextDoubleUnsafe())
      if (pause.until - since > maxWait || (until !== undefined && now + time >= until)) return reject(now)
      if (since === now) totals.held++
      // The service may have asked again while this call waited.
      return Effect.flatMap(clock.sleep(Duration.nanos(time)), () => wait(until, since))
    })

  return {
    isClosed,
    delay: (now, random) => Duration.millis(Number(delay(now, random)) / 1e6),
    pass: (until) => Effect.withFiber((fiber) => wait(until, fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe())),
    pause(duration, now) {
      const asked = Duration.isFinite(duration) ? Duration.toNanosUnsafe(duration) : ceiling
      const length = asked < ceiling ? asked : ceiling
      if (now + length <= pause.until) return
      // One burst of throttled answers is one pause.
      if (!isClosed(now)) totals.pauses++
      pause.until = now + length
      pause.length = length
    },
    open() {
      pause.until = 0n
    }
  }
})
