import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { CallOptions } from "../../Hedge.ts"
import type { RetryBudget } from "../../RetryBudget.ts"
import { evidenceOf } from "../errors/evidence.ts"
import { CurrentExecution, type Execution as Current, type SharedAttempts } from "../retry/execution.ts"
import { ExecutionScope } from "./executionScope.ts"

/** What all calls of a hedge have in common. */
export interface Owner {
  readonly name: string
  readonly maxHedges: number
  readonly budget: RetryBudget
  /** Holds the release of losers whose caller has no scope. */
  readonly scope: Scope.Scope
  readonly counts: { calls: number; hedges: number; wins: number; budgetSpent: number }
  /** Records how long the first execution took, or at least took. */
  readonly answered: (nanos: bigint) => void
}

/** What one call is. */
export interface Call<A, E, R> {
  readonly execution: (hedge: number) => Effect.Effect<A, E, R>
  readonly options: CallOptions<A, E> | undefined
  readonly clock: Clock.Clock
  readonly delay: Duration.Duration
  readonly began: bigint
  /** The current deadline in monotonic nanoseconds. */
  readonly until: bigint | undefined
}

interface Execution<A, E> {
  readonly number: number
  readonly current: Current
  readonly scope: ExecutionScope | undefined
  readonly fiber: Fiber.Fiber<A, E>
}

/** An execution whose outcome does not end the call, and the rank of that outcome. */
interface Fallback<A, E> {
  readonly execution: Execution<A, E>
  readonly exit: Exit.Exit<A, E>
  readonly rank: number
}

/** Runs a call with its hedges. The caller gets the outcome of exactly one execution; all others are released. */
export const hedgedCall = <A, E, R>(owner: Owner, call: Call<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<A, E>((resume) => {
      const race = new Race(owner, call, context, resume)
      race.start()
      return race.interrupt
    })
  )

/** The race of one call. Its methods run synchronously: in `callback`, or as observers of fibers. */
class Race<A, E, R> {
  readonly #owner: Owner
  readonly #call: Call<A, E, R>
  readonly #context: Context.Context<R>
  readonly #resume: (exit: Exit.Exit<A, E>) => void
  readonly #parent: Scope.Scope | undefined
  readonly #attempts: SharedAttempts = { made: 0, most: Infinity }
  readonly #running = new Set<Execution<A, E>>()
  #launched = 0
  #timer: Fiber.Fiber<void> | undefined
  #fallback: Fallback<A, E> | undefined
  #isFirstFailed = false
  #isSettled = false

  constructor(
    owner: Owner,
    call: Call<A, E, R>,
    context: Context.Context<R>,
    resume: (exit: Exit.Exit<A, E>) => void
  ) {
    this.#owner = owner
    this.#call = call
    this.#context = context
    this.#resume = resume
    this.#parent = Option.getOrUndefined(Context.getOption(context, Scope.Scope))
  }

  start(): void {
    this.#launch()
    this.#arm()
  }

  /** The caller was interrupted: interrupts and releases everything, and waits for it. */
  readonly interrupt: Effect.Effect<void> = Effect.suspend(() => {
    const running = Array.from(this.#running)
    const fallback = this.#fallback
    this.#settle()
    for (const { fiber } of running) fiber.interruptUnsafe()
    const released = fallback === undefined ? Effect.void : this.#released(fallback.execution, fallback.exit)
    return Effect.andThen(Effect.forEach(running, (one) => this.#ended(one), { discard: true }), released)
  })

  /** Starts the next execution, which may end at once. */
  #launch(): void {
    const number = this.#launched++
    const { budget, name: server } = this.#owner
    this.#attempts.made++
    const scope = this.#parent === undefined ? undefined : new ExecutionScope(this.#parent)
    const current: Current = { server, number, budget, attempts: this.#attempts }
    const own = Context.add(this.#context, CurrentExecution, current)
    const context = scope === undefined ? own : Context.add(own, Scope.Scope, scope.scope)
    const effect = Effect.suspend(() => this.#call.execution(number))
    const execution = { number, current, scope, fiber: Effect.runForkWith(context)(effect) }
    this.#running.add(execution)
    // Starting this execution may have ended another one, and with it the call.
    if (this.#isSettled) this.#release(execution)
    else execution.fiber.addObserver((exit) => this.#onExit(execution, exit))
  }

  #arm(): void {
    if (this.#isSettled || this.#launched > this.#owner.maxHedges) return
    const timer = Effect.runForkWith(this.#context)(Effect.andThen(this.#call.clock.sleep(this.#call.delay), turns))
    this.#timer = timer
    timer.addObserver((exit) => {
      if (Exit.isSuccess(exit) && !this.#isSettled) this.#hedge()
    })
  }

  /** Launches a hedge, unless the call, its attempts, its deadline or the budget forbid it; then no later one is made either. */
  #hedge(): void {
    const { clock, options, until } = this.#call
    const { budget, counts } = this.#owner
    const now = clock.monotonicTimeNanosUnsafe()
    if (this.#attempts.made >= this.#attempts.most || (until !== undefined && now >= until)) return
    try {
      if (options?.when?.(this.#launched) === false) return
    } catch (thrown) {
      this.#finish(undefined, Exit.die(thrown))
      return
    }
    if (budget.reserve(now) === undefined) {
      counts.budgetSpent++
      return
    }
    counts.hedges++
    this.#launch()
    this.#arm()
  }

  #onExit(execution: Execution<A, E>, exit: Exit.Exit<A, E>): void {
    if (this.#isSettled) return
    this.#running.delete(execution)
    let rank: number
    try {
      rank = this.#rank(exit)
    } catch (thrown) {
      this.#own(this.#released(execution, exit))
      this.#finish(undefined, Exit.die(thrown))
      return
    }
    if (rank === answer || rank === defect) {
      this.#finish(execution, exit)
      return
    }
    if (execution.number === 0) this.#isFirstFailed = true
    const other = this.#fallback
    const isBetter = other === undefined || rank > other.rank
    if (isBetter) this.#fallback = { execution, exit, rank }
    const worse = isBetter ? other : { execution, exit }
    if (worse !== undefined) this.#own(this.#released(worse.execution, worse.exit))
    if (this.#running.size === 0) this.#finish(this.#fallback?.execution, this.#fallback?.exit ?? exit)
  }

  /** How much an outcome is worth. Throws what `accept` throws; the answer is then not used and the call dies. */
  #rank(exit: Exit.Exit<A, E>): number {
    if (Exit.isSuccess(exit)) return this.#call.options?.accept?.(exit.value) === false ? unaccepted : answer
    if (Cause.hasDies(exit.cause)) return defect
    const error = Cause.findErrorOption(exit.cause)
    if (Option.isNone(error)) return interrupted
    return evidenceOf(error.value)?.breaker === "ignored" ? rejected : failed
  }

  /** Ends the call with the outcome of an execution, and releases all others. */
  #finish(winner: Execution<A, E> | undefined, exit: Exit.Exit<A, E>): void {
    const { clock, began } = this.#call
    const fallback = this.#fallback
    this.#settle()
    if (Exit.isSuccess(exit)) {
      if (!this.#isFirstFailed) this.#owner.answered(clock.monotonicTimeNanosUnsafe() - began)
      if (winner !== undefined && winner.number > 0) this.#owner.counts.wins++
    }
    for (const loser of this.#running) this.#release(loser)
    if (fallback !== undefined && fallback.execution !== winner) {
      this.#own(this.#released(fallback.execution, fallback.exit))
    }
    winner?.scope?.keep()
    this.#resume(exit)
  }

  #settle(): void {
    this.#isSettled = true
    this.#timer?.interruptUnsafe()
  }

  #release(loser: Execution<A, E>): void {
    loser.fiber.interruptUnsafe()
    this.#own(this.#ended(loser))
  }

  /** The end of a loser that was interrupted, and what follows it. */
  #ended(loser: Execution<A, E>): Effect.Effect<void> {
    return Effect.flatMap(Fiber.await(loser.fiber), (exit) => this.#released(loser, exit))
  }

  /** Releases what an execution holds whose outcome is not used. */
  #released({ current, scope }: Execution<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<void> {
    const isInterrupted = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    const discard = this.#call.options?.discard
    const discarded = isInterrupted
      ? current.release
      : discard && Effect.ignoreCause(Effect.suspend(() => discard(exit)))
    if (scope === undefined) return discarded ?? Effect.void
    const closed = Scope.close(scope.scope, exit)
    return discarded === undefined ? closed : Effect.andThen(discarded, closed)
  }

  /** Runs a release in the background. The caller's scope waits for it, or that of the hedge. */
  #own(release: Effect.Effect<void>): void {
    const fiber = Effect.runForkWith(this.#context)(release, { uninterruptible: true })
    if (fiber.pollUnsafe() === undefined) Fiber.runIn(fiber, this.#parent ?? this.#owner.scope)
  }
}

/**
 * Two turns of the event loop, in which sockets are read. After the process was busy, timers run before the answers that have
 * arrived meanwhile, and every call that waits would be hedged.
 */
const turns: Effect.Effect<void> = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** The ranks of outcomes. The higher one is used; at the same rank the earlier one. */
const interrupted = 0
/** A failure that is no evidence about the service, such as a rejection by a breaker or a bulkhead. */
const rejected = 1
const failed = 2
const unaccepted = 3
const answer = 4
const defect = 5
