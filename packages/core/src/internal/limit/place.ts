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
 * The place of one run of a call: in the queue, or among the calls that hold a permit. `leave` runs however the call ends, so
 * that an interruption between a permit's hand-over and the next step of the fiber loses nothing.
 */
export class Place implements Waiter {
  readonly gate: Gate
  readonly priority: number
  previous: Waiter | undefined
  next: Waiter | undefined
  isHeld = false
  #isQueued = false
  #fiber: AnyFiber | undefined
  #timer: AnyFiber | undefined
  #resume: ((effect: Effect.Effect<void, WaitReason>) => void) | undefined

  constructor(gate: Gate, priority: number) {
    this.gate = gate
    this.priority = priority
  }

  tryHold(): boolean {
    return this.isHeld = this.gate.tryAcquire()
  }

  /** Waits in the queue for a permit, for at most `maxWaitNanos` and at most until the current deadline. */
  wait(fiber: AnyFiber, maxWaitNanos: number): Effect.Effect<void, WaitReason> {
    return Effect.callback<void, WaitReason>((resume) => {
      if (this.tryHold()) return resume(Effect.void)
      const remaining = untilDeadline(fiber)
      if (remaining <= 0) return resume(Effect.fail("deadline"))
      if (!this.gate.enqueue(this)) return resume(Effect.fail("queue"))
      this.#isQueued = true
      this.#fiber = fiber
      this.#resume = resume
      this.#startTimer(fiber, Math.min(maxWaitNanos, remaining), remaining < maxWaitNanos ? "deadline" : "wait")
    })
  }

  /** Gives back what the call has: its permit, or its place in the queue. Returns whether it held a permit. */
  leave(): boolean {
    const { isHeld } = this
    this.isHeld = false
    if (this.#isQueued) this.#leaveQueue()
    if (isHeld) this.gate.release()
    return isHeld
  }

  admit(): void {
    this.isHeld = true
    this.#isQueued = false
    this.#wake(Effect.void)
  }

  displace(): void {
    this.#isQueued = false
    this.#wake(Effect.fail("displaced"))
  }

  #leaveQueue(): void {
    this.#isQueued = false
    this.gate.remove(this)
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
      this.gate.remove(this)
      this.#resume!(Effect.fail(reason))
    })
  }
}

/**
 * Runs an effect once its place holds a permit. `reject` makes the failure of one that gets none. The caller runs this under
 * `onExit` with `leave`, which an interruption cannot pass by.
 */
export const enter = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  place: Place,
  maxWaitNanos: number,
  reject: (reason: WaitReason) => Effect.Effect<never, E2>
): Effect.Effect<A, E | E2, R> =>
  Effect.withFiber((fiber): Effect.Effect<A, E | E2, R> => {
    if (place.tryHold()) return self
    if (place.gate.maxQueued === 0) return reject("queue")
    return Effect.matchEffect(place.wait(fiber, maxWaitNanos), { onFailure: reject, onSuccess: () => self })
  })
