/**
 * What `Simulate.fleet` simulates: the processes, their load, the server that they call, and the outage.
 *
 * Checked data, so that a scenario can be kept in a file and shared by several tests.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Decoders from "../unstable/Decoders.ts"
import * as Field from "../unstable/Field.ts"

/** An interval in which every process makes more calls, or fewer. */
export interface SurgeOptions {
  /** When it begins, from the start. From 0 millis to 168 hours. Required. */
  readonly begin: Field.DurationInput
  /** When it ends, from the start. From 0 millis to 168 hours. Required. */
  readonly end: Field.DurationInput
  /** What the rate of calls is multiplied by. From 0 to 1000. Required. */
  readonly factor: number
}

/** The calls that each process makes, whether earlier calls have ended or not. Every option may be left out. */
export interface LoadOptions {
  /** Calls per second of each process. From 0.001 to 10000. Default 1. */
  readonly perSecond?: number | undefined
  /** `poisson`: calls arrive independently of each other. `even`: at equal distances. Default poisson. */
  readonly arrivals?: "poisson" | "even" | undefined
  /** An interval of more calls. Recovery is measured after it, as after an outage. Default none. */
  readonly surge?: SurgeOptions | undefined
}

/** The called server. Every option may be left out. */
export interface ServerOptions {
  /** Requests that it works on at the same time. From 1 to 1000000. Default 100. */
  readonly concurrency?: number | undefined
  /** Requests that wait for one of these places, in the order of their arrival. From 0 to 1000000. Default 100. */
  readonly queue?: number | undefined
  /**
   * How a request ends that finds the queue full. `reject`: with a 503 at once. `hang`: it gets no answer. For a server that
   * becomes slow instead, use a long `queue`. Default reject.
   */
  readonly overload?: "reject" | "hang" | undefined
  /** Requests per second above which it answers 429. From 0.1 to 1000000. Default none. */
  readonly rateLimit?: number | undefined
  /** The `Retry-After` of its 429 and 503, in whole seconds. From 1 second to 24 hours. Default none. */
  readonly retryAfter?: Field.DurationInput | undefined
  /** The average time that it works on a request. From 0 millis to 1 hour. Default 50 millis. */
  readonly serviceTime?: Field.DurationInput | undefined
  /** `exponential`: service times vary. `fixed`: all are equal. Default exponential. */
  readonly variation?: "exponential" | "fixed" | undefined
  /** The share of requests that take `slowTime` instead. From 0 to 1. Default 0. */
  readonly slowShare?: number | undefined
  /** The service time of these requests. From 0 millis to 1 hour. Default 1 second. */
  readonly slowTime?: Field.DurationInput | undefined
  /** The time from an answer to its caller, also for a request that is rejected. From 0 millis to 1 minute. Default 1 milli. */
  readonly latency?: Field.DurationInput | undefined
  /**
   * A request whose caller has given up: `serve` it like any other, since most servers do not notice, or `drop` it. Default
   * serve.
   */
  readonly abandoned?: "serve" | "drop" | undefined
}

/** What goes wrong, and when. */
export interface OutageOptions {
  /** When it begins, from the start. From 0 millis to 168 hours. Required. */
  readonly begin: Field.DurationInput
  /** When it ends, from the start. From 0 millis to 168 hours. Required. */
  readonly end: Field.DurationInput
  /**
   * `refuse`: connections are refused. `error`: answers 503 at once. `hang`: no answers. `slow`: service times are multiplied
   * by `slowdown`. `shrink`: only `capacity` of the server is left. Default error.
   */
  readonly mode?: "refuse" | "error" | "hang" | "slow" | "shrink" | undefined
  /** The share of requests that it affects; not used by `shrink`. From 0 to 1. Default 1. */
  readonly share?: number | undefined
  /** For `slow`: what service times are multiplied by. From 1 to 10000. Default 10. */
  readonly slowdown?: number | undefined
  /** For `shrink`: the share of `concurrency` and `rateLimit` that is left. From 0 to 1. Default 0.33. */
  readonly capacity?: number | undefined
}

/** The options of a simulation that are data. */
export interface Options {
  /** How many processes there are. From 1 to 100000. Required. */
  readonly processes: number
  /** How long the simulation runs, in simulated time. From 1 second to 168 hours. Default 10 minutes. */
  readonly duration?: Field.DurationInput | undefined
  /** The seed of all random numbers. The same options and seed give the same report. From 0 to 4294967295. Default 1. */
  readonly seed?: number | undefined
  /** The calls of each process. Without it, the defaults of `LoadOptions`. Default none. */
  readonly load?: LoadOptions | undefined
  /** The called server. Without it, the defaults of `ServerOptions`. Default none. */
  readonly server?: ServerOptions | undefined
  /** The outage. Default none. */
  readonly outage?: OutageOptions | undefined
  /** Processes start evenly spread over this time, as in a deployment. From 0 millis to 24 hours. Default 0 millis. */
  readonly startWithin?: Field.DurationInput | undefined
  /** Circuits of each process (`own`), or one store for all, as with Redis (`shared`). Default own. */
  readonly circuits?: "own" | "shared" | undefined
  /** A call that takes longer counts as failed, even if it succeeds. From 1 milli to 1 hour. Default 10 seconds. */
  readonly goodWithin?: Field.DurationInput | undefined
  /** The length of one entry of the timeline. From 100 millis to 10 minutes. Default 1 second. */
  readonly resolution?: Field.DurationInput | undefined
}

const moment = () => Field.duration("0 millis", "168 hours")

const isOrdered = Schema.makeFilter((o: { readonly begin: Duration.Duration; readonly end: Duration.Duration }) =>
  Duration.isLessThan(o.begin, o.end) || { path: ["end"], issue: "after begin" }
)

/** Checked options of a surge. */
export const Surge = Schema.Struct({ begin: moment(), end: moment(), factor: Field.number(0, 1000) }).check(isOrdered)

/** Checked options of a load. */
export const Load = Schema.Struct({
  perSecond: Field.defaulted(Field.number(0.001, 10_000), 1),
  arrivals: Field.defaulted(Schema.Literals(["poisson", "even"]), "poisson"),
  surge: Schema.optionalKey(Surge)
})
export type Load = typeof Load.Type

/** Checked options of a server. */
export const Server = Schema.Struct({
  concurrency: Field.defaulted(Field.int(1, 1_000_000), 100),
  queue: Field.defaulted(Field.int(0, 1_000_000), 100),
  overload: Field.defaulted(Schema.Literals(["reject", "hang"]), "reject"),
  rateLimit: Schema.optionalKey(Field.number(0.1, 1_000_000)),
  retryAfter: Schema.optionalKey(Field.duration("1 second", "24 hours")),
  serviceTime: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.millis(50)),
  variation: Field.defaulted(Schema.Literals(["exponential", "fixed"]), "exponential"),
  slowShare: Field.defaulted(Field.number(0, 1), 0),
  slowTime: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(1)),
  latency: Field.defaulted(Field.duration("0 millis", "1 minute"), Duration.millis(1)),
  abandoned: Field.defaulted(Schema.Literals(["serve", "drop"]), "serve")
})
export type Server = typeof Server.Type

/** Checked options of an outage. */
export const Outage = Schema.Struct({
  begin: moment(),
  end: moment(),
  mode: Field.defaulted(Schema.Literals(["refuse", "error", "hang", "slow", "shrink"]), "error"),
  share: Field.defaulted(Field.number(0, 1), 1),
  slowdown: Field.defaulted(Field.number(1, 10_000), 10),
  capacity: Field.defaulted(Field.number(0, 1), 0.33)
}).check(isOrdered)
export type Outage = typeof Outage.Type

/** Checked options. */
export const FleetOptions = Schema.Struct({
  processes: Field.int(1, 100_000),
  duration: Field.defaulted(Field.duration("1 second", "168 hours"), Duration.minutes(10)),
  seed: Field.defaulted(Field.int(0, 4_294_967_295), 1),
  load: Schema.optionalKey(Load),
  server: Schema.optionalKey(Server),
  outage: Schema.optionalKey(Outage),
  startWithin: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.zero),
  circuits: Field.defaulted(Schema.Literals(["own", "shared"]), "own"),
  goodWithin: Field.defaulted(Field.duration("1 milli", "1 hour"), Duration.seconds(10)),
  resolution: Field.defaulted(Field.duration("100 millis", "10 minutes"), Duration.seconds(1))
})
export type FleetOptions = typeof FleetOptions.Type

const loadOf = Decoders.maker<LoadOptions, typeof Load>(Load)
const serverOf = Decoders.maker<ServerOptions, typeof Server>(Server)
const fromCode = Decoders.maker<Options, typeof FleetOptions>(FleetOptions)

/** The options of a load or a server that was left out. */
export const defaults: { readonly load: Load; readonly server: Server } = { load: loadOf(), server: serverOf() }

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A scenario for several tests)
 *
 * ```ts import.meta.vitest
 * import * as FleetOptions from "@keelson/core/testing/FleetOptions"
 *
 * const outage = FleetOptions.make({ processes: 50, outage: { begin: "1 minute", end: "2 minutes", mode: "hang" } })
 * outage.circuits // => "own"
 * ```
 */
export const make: (options: Options) => FleetOptions = fromCode
