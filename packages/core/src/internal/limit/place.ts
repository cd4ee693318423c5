import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { CurrentDeadline } from "../../Deadline.ts"
import type { Gate, Waiter } from "./gate.ts"

/** Why a call got no permit. */
export type WaitReason = "queue" | "wait" | "deadline" | "displaced"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Nanoseconds until the current deadline; infinite without one. */
const untilDeadline = (fiber: AnyFiber): number => {
  const until = fiber.getRef(CurrentDeadline)
  return until === undefined ? Infinity : Number(until - fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe())
}

/**
 * The place of a call that has to wait: in the queue, or among the calls that hold a permit. `leave` runs however the call
 * ends, so that an interruption between a permit's hand-over and the next step of the fiber loses nothing.
 */
class Place implements Waiter {
  readonly priority: number
  readonly #gate: Gate
  previous: Waiter | undefined
  next: Waiter | undefined
  #isHeld = false
  #isQueued = false
  #fiber: AnyFiber | undefined
  #timer: AnyFiber | undefined
  #resume: ((effect: Effect.Effect<void, WaitReason>) => void) | undefined

  constructor(gate: Gate, priority: number) {
    this.#gate = gate
    this.priority = priority
  }

  /** Waits in the queue for a permit, for at most `maxWaitNanos` and at most until the current deadline. */
  wait(fiber: AnyFiber, maxWaitNanos: number): Effect.Effect<void, WaitReason> {
    return Effect.callback<void, WaitReason>((resume) => {
      this.#isHeld = this.#gate.tryAcquire()
      if (this.#isHeld) return resume(Effect.void)
      const remaining = untilDeadline(fiber)
      if (remaining <= 0) return resume(Effect.fail("deadline"))
      if (!this.#gate.enqueue(this)) return resume(Effect.fail("queue"))
      this.#isQueued = true
      this.#fiber = fiber
      this.#resume = resume
      this.#startTimer(fiber, Math.min(maxWaitNanos, remaining), remaining < maxWaitNanos ? "deadline" : "wait")
    })
  }

  /** Gives back what the call has: its permit, or its place in the queue. */
  leave(): void {
    if (this.#isQueued) this.#leaveQueue()
    if (this.#isHeld) this.#gate.release()
  }

  admit(): void {
    this.#isHeld = true
    this.#isQueued = false
    this.#wake(Effect.void)
  }

  displace(): void {
    this.#isQueued = false
    this.#wake(Effect.fail("displaced"))
  }

  #leaveQueue(): void {
    this.#isQueued = false
    this.#gate.remove(this)
    this.#timer?.interruptUnsafe()
  }

  /** Resumes the fiber in a task of its own: it would otherwise run within the call that releases, one inside the other. */
  #wake(effect: Effect.Effect<void, WaitReason>): void {
    this.#timer?.interruptUnsafe()
    this.#fiber!.currentDispatcher.scheduleTask(() => this.#resume!(effect), 0)
  }

  #startTimer(fiber: AnyFiber, nanos: number, reason: WaitReason): void {
    const clock = fiber.getRef(Clock.Clock)
    const timer = Effect.runForkWith(fiber.context)(clock.sleep(Duration.millis(nanos / 1e6)))
    this.#timer = timer
    timer.addObserver((exit) => {
      if (exit._tag === "Failure" || !this.#isQueued) return
      this.#isQueued = false
      this.#gate.remove(this)
      this.#resume!(Effect.fail(reason))
    })
  }
}

/** How calls pass a gate. */
export interface Entrance<E2> {
  readonly gate: Gate
  readonly maxWaitNanos: number
  /** The failure of a call that gets no permit. */
  readonly reject: (reason: WaitReason) => Effect.Effect<never, E2>
}

/**
 * Runs an effect once it holds a permit.
 *
 * The permit is taken inside `onExit`. The runtime may yield between any two steps of a fiber: a permit that is taken before
 * the finalizer is there could be lost to an interruption. The result runs once; make it anew for each run.
 */
export const enter = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  { gate, maxWaitNanos, reject }: Entrance<E2>,
  priority: number
): Effect.Effect<A, E | E2, R> => {
  let isHeld = false
  let place: Place | undefined
  const entered = Effect.withFiber((fiber): Effect.Effect<A, E | E2, R> => {
    isHeld = gate.tryAcquire()
    if (isHeld) return self
    if (gate.maxQueued === 0) return reject("queue")
    place = new Place(gate, priority)
    return Effect.matchEffect(place.wait(fiber, maxWaitNanos), { onFailure: reject, onSuccess: () => self })
  })
  return Effect.onExitPrimitive(entered, () => {
    if (isHeld) gate.release()
    else place?.leave()
    return undefined
  })
}
