import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import type * as BreakerStore from "../../BreakerStore.ts"
import * as Configuration from "../../Configuration.ts"
import { CurrentDeadline } from "../../Deadline.ts"
import type { ConfigurationError } from "../../KeelsonError.ts"
import * as Resilience from "../../Resilience.ts"
import { defaults, FleetOptions } from "../../testing/FleetOptions.ts"
import type { Client, Options, Process, Report } from "../../testing/Simulate.ts"
import { withoutStack } from "../errors/withoutStack.ts"
import { makeHttp, request } from "./clients.ts"
import { Fleet } from "./fleet.ts"
import { add, Ledger } from "./ledger.ts"
import { randomOf } from "./randomOf.ts"
import { reportOf } from "./report.ts"
import { Server } from "./server.ts"
import { VirtualTime } from "./virtualTime.ts"

/** How many timers fire before the real event loop gets a turn. */
const slice = 5000
/** How long the finalizers of the processes may take, in simulated nanoseconds. */
const closing = 60e9

const nanosOf = (duration: Duration.Duration): number => Duration.toMillis(duration) * 1e6

/**
 * The services of all processes. What belongs to the test around the simulation is replaced: its clock, its scheduler, and
 * where metrics, logs and spans go.
 */
const contextOf = (outer: Context.Context<never>, time: VirtualTime): Context.Context<never> =>
  Context.omit(Layer.CurrentMemoMap)(outer).pipe(
    Context.add(Clock.Clock, time.clock),
    Context.add(Scheduler.Scheduler, time.scheduler),
    Context.add(CurrentDeadline, undefined),
    Context.add(Metric.MetricRegistry, new Map()),
    Context.add(Logger.CurrentLoggers, new Set()),
    Context.add(References.TracerEnabled, false)
  )

/** Fires timers until none is due by `end`, or the simulation is over, which returns true. Returns false after `slice` timers. */
const fire = (time: VirtualTime, end: number, isOver: () => boolean): boolean => {
  for (let fired = 0; fired < slice; fired++) {
    if (isOver() || !time.step(end)) return true
  }
  return false
}

/**
 * Runs the timers that are due by `end`. The real event loop gets a turn after each `slice` of timers. Errors have no
 * stacks: the code that runs is our own, and a fleet in an outage makes a million errors.
 */
const advance = (time: VirtualTime, end: number, isOver: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() =>
    withoutStack(() => fire(time, end, isOver))
      ? Effect.void
      : Effect.flatMap(Effect.yieldNow, () => advance(time, end, isOver))
  )

/**
 * `advance` for clients that may use promises: time moves only after a turn of the real event loop in which nothing became
 * ready.
 */
const advanceByTurns = (time: VirtualTime, end: number, isOver: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (isOver()) return Effect.void
    while (time.isDue()) time.step(end)
    return Effect.flatMap(Effect.yieldNow, () => {
      if (time.isDue() || time.isReady()) {
        time.runReady()
        return advanceByTurns(time, end, isOver)
      }
      return time.step(end) ? advanceByTurns(time, end, isOver) : Effect.void
    })
  })

/** Makes the client of a process. `R` is in the context of every process. */
type MakeClient<E> = (process: Process) => Effect.Effect<Client, E, Scope.Scope | BreakerStore.BreakerStore>

/** The client of a process that calls the server under a policy. */
const ofPolicy = (policy: Options["policy"]): MakeClient<ConfigurationError> => ({ http, index }) =>
  Effect.map(
    Resilience.make("server", (typeof policy === "function" ? policy(index) : policy) ?? {}),
    (resilience): Client => ({
      call: Effect.flatMap(resilience.http(http).execute(request), HttpClientResponse.filterStatusOk),
      breaker: resilience.breaker
    })
  )

export const runFleet = Effect.fnUntraced(function*<E = never, R = never>(
  options: Options<E, R>
): Effect.fn.Return<Report, ConfigurationError | E, Exclude<R, Scope.Scope | BreakerStore.BreakerStore>> {
  const { client, policy, respond, ...data } = options
  const checked = yield* Configuration.decode(FleetOptions)(data)
  const time = new VirtualTime()
  const { load = defaults.load, outage, seed, server: serverPolicy = defaults.server } = checked
  const end = nanosOf(checked.duration)
  const ledger = new Ledger(end, nanosOf(checked.resolution), nanosOf(checked.goodWithin))
  const server = new Server(time, serverPolicy, outage, randomOf(seed, "server"), {
    arrived() {
      const entry = ledger.at(time.now)
      entry.requests++
      if (server.load > entry.load) entry.load = server.load
    },
    wasted: () => void ledger.at(time.now).wasted++
  })
  const { retryAfter } = serverPolicy
  const http = makeHttp(
    (answer) => server.send(answer),
    retryAfter === undefined ? undefined : Duration.toSeconds(retryAfter),
    respond
  )
  // oxlint-disable-next-line no-unsafe-type-assertion -- the processes have the services of the caller
  const makeClient = (client ?? ofPolicy(policy)) as MakeClient<E | ConfigurationError>
  const ping = Effect.asVoid(Effect.flatMap(http.execute(request), HttpClientResponse.filterStatusOk))
  const fleet = new Fleet<E | ConfigurationError>({
    time,
    ledger,
    load,
    seed,
    end,
    context: contextOf(yield* Effect.context<Exclude<R, Scope.Scope | BreakerStore.BreakerStore>>(), time),
    isShared: checked.circuits === "shared",
    makeClient: (index) =>
      makeClient({
        index,
        request: ping,
        http,
        count: (name, by = 1) => Effect.sync(() => add(ledger.at(time.now).counts, name, by))
      })
  })
  fleet.start(checked.processes, nanosOf(checked.startWithin), nanosOf(checked.resolution))
  const run = client === undefined && respond === undefined ? advance : advanceByTurns
  yield* Effect.ensuring(
    run(time, end, () => fleet.failure !== undefined),
    Effect.suspend(() => {
      fleet.stop()
      return run(time, time.now + closing, () => fleet.isClosed)
    })
  )
  if (fleet.failure !== undefined) return yield* Effect.failCause(fleet.failure)
  return reportOf(checked, ledger.entries)
})
