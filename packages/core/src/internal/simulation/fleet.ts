import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as BreakerStore from "../../BreakerStore.ts"
import type { Load } from "../../testing/FleetOptions.ts"
import type { Client } from "../../testing/Simulate.ts"
import { makeArrivals } from "./arrivals.ts"
import type { Ledger, OpenCall } from "./ledger.ts"
import { randomOf } from "./randomOf.ts"
import type { VirtualTime } from "./virtualTime.ts"

/** What a fleet consists of. Times are in nanoseconds. */
export interface Parts<E> {
  readonly time: VirtualTime
  readonly ledger: Ledger
  readonly load: Load
  readonly seed: number
  /** When the last call begins. */
  readonly end: number
  /** The services of every process, apart from those that it has alone. */
  readonly context: Context.Context<never>
  /** Whether all processes have one `BreakerStore`. */
  readonly isShared: boolean
  readonly makeClient: (index: number) => Effect.Effect<Client, E, Scope.Scope | BreakerStore.BreakerStore>
}

type Run = <A, E>(self: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

interface Started {
  readonly client: Client
  readonly run: Run
}

/** Calls `done` with the exit of an effect, at once if it has ended. */
const observe = <A, E>(fiber: Fiber.Fiber<A, E>, done: (exit: Exit.Exit<A, E>) => void): void => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined) fiber.addObserver(done)
  else done(exit)
}

/** The processes: makes their clients, begins their calls, and ends them. */
export class Fleet<E> {
  /** The failure that ends the simulation. */
  failure: Cause.Cause<E> | undefined = undefined
  /** Whether the scopes of all processes are closed. */
  isClosed = false
  readonly #parts: Parts<E>
  readonly #scope = Scope.makeUnsafe()
  readonly #running = new Map<Fiber.Fiber<unknown, unknown>, OpenCall>()
  readonly #started: Array<Started> = []
  readonly #store: Context.Context<BreakerStore.BreakerStore> | undefined
  #isStopping = false

  constructor(parts: Parts<E>) {
    this.#parts = parts
    this.#store = parts.isShared ? this.#makeStore(this.#scope) : undefined
  }

  start(processes: number, startWithin: number, width: number): void {
    for (let index = 0; index < processes; index++) {
      this.#parts.time.after(startWithin * index / processes, () => this.#startProcess(index))
    }
    this.#lookAtCircuits(width)
  }

  /** Ends all calls, and closes the scopes of the processes. */
  stop(): void {
    const { context, ledger, time } = this.#parts
    this.#isStopping = true
    for (const call of this.#running.values()) ledger.cut(call, time.now)
    for (const fiber of this.#running.keys()) fiber.interruptUnsafe()
    observe(Effect.runForkWith(context)(Scope.close(this.#scope, Exit.void)), () => {
      this.isClosed = true
    })
  }

  /** A store of its own, which ends with the scope. The memory store is made at once. */
  #makeStore(scope: Scope.Scope): Context.Context<BreakerStore.BreakerStore> {
    const built = Layer.buildWithScope(Layer.fresh(BreakerStore.layerMemory), scope)
    return Effect.runSyncWith(this.#parts.context)(built)
  }

  #startProcess(index: number): void {
    const { context, load, makeClient, seed } = this.#parts
    const scope = Effect.runSync(Scope.fork(this.#scope))
    const own = Context.merge(context, this.#store ?? this.#makeStore(scope)).pipe(
      Context.add(Scope.Scope, scope),
      Context.add(Random.Random, randomOf(seed, `process ${index}`))
    )
    const run = Effect.runForkWith(own)
    observe(run(Effect.suspend(() => makeClient(index))), (exit) => {
      if (this.#isStopping) return
      if (Exit.isFailure(exit)) {
        this.failure ??= exit.cause
        return
      }
      const started: Started = { client: exit.value, run }
      this.#started.push(started)
      this.#nextCall(started, makeArrivals(load, randomOf(seed, `arrivals ${index}`)))
    })
  }

  #nextCall(process: Started, next: (now: number) => number): void {
    const { end, time } = this.#parts
    const at = next(time.now)
    if (at >= end) return
    time.after(at - time.now, () => {
      if (this.#isStopping) return
      this.#begin(process)
      this.#nextCall(process, next)
    })
  }

  #begin({ client, run }: Started): void {
    const { ledger, time } = this.#parts
    const call = ledger.begin(time.now)
    const fiber = run(client.call)
    this.#running.set(fiber, call)
    observe(fiber, (exit) => {
      this.#running.delete(fiber)
      if (this.#isStopping) return
      if (Exit.isSuccess(exit)) return ledger.succeeded(call, time.now)
      if (Cause.hasDies(exit.cause)) this.failure ??= Cause.die(Cause.squash(exit.cause))
      ledger.failed(call, Cause.squash(exit.cause))
    })
  }

  /** Counts the circuits that are not closed, at the end of each entry of the timeline. */
  #lookAtCircuits(width: number): void {
    const { end, ledger, time } = this.#parts
    time.after(Math.min(width, end - time.now), () => {
      if (this.#isStopping) return
      const entry = ledger.at(time.now - 1)
      for (const { client, run } of this.#started) {
        if (client.breaker === undefined) continue
        const exit = run(client.breaker.state).pollUnsafe()
        if (exit !== undefined && Exit.isSuccess(exit) && exit.value !== "CLOSED") entry.openCircuits++
      }
      if (time.now < end) this.#lookAtCircuits(width)
    })
  }
}
