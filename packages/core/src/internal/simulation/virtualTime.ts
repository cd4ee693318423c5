import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"
import { type Timer, TimerQueue } from "./timerQueue.ts"

/** The number of tasks at one instant after which a simulation counts as stuck. */
const stuckAfter = 1_000_000

interface Bucket {
  readonly priority: number
  tasks: Array<() => void>
  next: number
}

/**
 * A clock and a scheduler in one, for all fibers of a simulation. Everything that is ready runs, then time moves to the next
 * timer. Nothing waits for the real clock, so the order of events depends on the program alone.
 */
export class VirtualTime {
  /** Nanoseconds since the start. */
  now = 0
  readonly clock: Clock.Clock
  readonly scheduler: Scheduler.Scheduler
  readonly #timers = new TimerQueue()
  /** Ready tasks, lowest priority number first. */
  readonly #buckets: Array<Bucket> = [{ priority: 0, tasks: [], next: 0 }]
  #tasksAtNow = 0
  #nanos = 0n
  #nanosOf = 0

  constructor() {
    const millis = () => Math.floor(this.now / 1e6)
    const nanos = () => {
      if (this.#nanosOf !== this.now) {
        this.#nanosOf = this.now
        this.#nanos = BigInt(this.now)
      }
      return this.#nanos
    }
    this.clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.#sleep(duration)
    }
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task, priority) => this.#schedule(task, priority),
      flush: () => this.runReady()
    }
    this.scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
      makeDispatcher: () => dispatcher
    }
  }

  /** Runs `run` after a number of nanoseconds. */
  after(nanos: number, run: () => void): Timer {
    return this.#timers.add(this.now + Math.max(0, Math.ceil(nanos)), run)
  }

  cancel(timer: Timer): void {
    this.#timers.cancel(timer)
  }

  /** Whether a timer is due without moving the time. */
  isDue(): boolean {
    return this.#timers.nextAt() <= this.now
  }

  isReady(): boolean {
    return this.#ready() !== undefined
  }

  /** Runs everything that is ready, without moving the time. */
  runReady(): void {
    for (let bucket = this.#ready(); bucket !== undefined; bucket = this.#ready()) {
      const task = bucket.tasks[bucket.next++]!
      if (bucket.next === bucket.tasks.length) {
        bucket.tasks = []
        bucket.next = 0
      }
      this.#note()
      task()
    }
  }

  /** Moves to the next timer due by `end` and runs it, with everything that it makes ready. False if there is none. */
  step(end: number): boolean {
    const at = this.#timers.nextAt()
    if (at > end) return false
    if (at > this.now) {
      this.now = at
      this.#tasksAtNow = 0
    }
    this.#note()
    this.#timers.take()()
    this.runReady()
    return true
  }

  #ready(): Bucket | undefined {
    for (const bucket of this.#buckets) if (bucket.next < bucket.tasks.length) return bucket
    return undefined
  }

  #note(): void {
    if (++this.#tasksAtNow > stuckAfter) {
      throw new Error(
        `The simulation does not advance: more than ${stuckAfter} tasks ran at ${
          Duration.format(Duration.millis(this.now / 1e6))
        }. ` +
          "A call or a policy repeats work without a delay"
      )
    }
  }

  #schedule(task: () => void, priority: number): void {
    const buckets = this.#buckets
    let index = 0
    while (index < buckets.length && buckets[index]!.priority < priority) index++
    if (buckets[index]?.priority !== priority) buckets.splice(index, 0, { priority, tasks: [], next: 0 })
    buckets[index]!.tasks.push(task)
  }

  #sleep(duration: Duration.Duration): Effect.Effect<void> {
    if (!Duration.isFinite(duration)) return Effect.never
    return Effect.callback((resume) => {
      const timer = this.after(Duration.toMillis(duration) * 1e6, () => resume(Effect.void))
      return Effect.sync(() => this.cancel(timer))
    })
  }
}
