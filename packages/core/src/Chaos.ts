/**
 * Faults on purpose, for tests and exercises: statuses, latency, resets, broken bodies, hanging calls and errors, at given
 * rates and repeatable by a seed.
 *
 * Only code can switch it on. It is neither part of the package's index nor of any policy, so no file and no environment
 * variable can, and a bundle that does not import this module does not contain it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Configuration from "./Configuration.ts"
import { withoutStack } from "./internal/errors/withoutStack.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as Field from "./unstable/Field.ts"

/** A kind of fault. */
export type Fault = "latency" | "status" | "reset" | "brokenBody" | "hang" | "error"

/** How often a fault occurs. */
export interface Rate {
  /** The share of the calls. From 0 to 1. Required. */
  readonly rate: number
}

/** Slow calls. */
export interface Latency extends Rate {
  /** Lower bound of the added time. From 0 millis to 1 hour. Default 100 millis. */
  readonly minimum?: Field.DurationInput | undefined
  /** Upper bound of the added time, which is drawn uniformly. From 0 millis to 1 hour. Default 1 second. */
  readonly maximum?: Field.DurationInput | undefined
}

/** Responses with a status, without a request. */
export interface Status extends Rate {
  /** The statuses, all equally likely. Each from 200 to 599. Default 503. */
  readonly statuses?: ReadonlyArray<number> | undefined
}

/** Responses whose body breaks off. */
export interface BrokenBody extends Rate {
  /** How many bytes of the body arrive before it breaks off. From 0 to 1000000. Default 0. */
  readonly after?: number | undefined
}

/** The options of `make`. A fault that is left out does not occur. */
export interface Options {
  /** The seed of the faults: the n-th call gets the same faults in every run. Required. */
  readonly seed: string | number
  /** Adds time before a call. A call can get another fault as well. Default none. */
  readonly latency?: Latency | undefined
  /** For a client: a response without a request. Default none. */
  readonly status?: Status | undefined
  /** For a client: the connection is reset, without a request. Default none. */
  readonly reset?: Rate | undefined
  /** For a client: the request is made, and the body of its response breaks off. Default none. */
  readonly brokenBody?: BrokenBody | undefined
  /** The call never ends. Default none. */
  readonly hang?: Rate | undefined
  /** For an effect: the call fails with the error of `execute`, without running. Default none. */
  readonly error?: Rate | undefined
}

/** The options of `execute`. Every one may be left out. */
export interface CallOptions<E> {
  /** Makes the error of the fault `error`. Default an error like that of a reset connection. */
  readonly error?: (() => E) | undefined
}

/** The options of `http`. Every one may be left out. */
export interface HttpOptions {
  /** Which requests can get faults. Default all. */
  readonly when?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
}

/** What `make` returns. */
export interface Chaos {
  /** Runs an effect, or a fault in its place: `latency`, `hang` or `error`. */
  readonly execute: <A, E, R, E2 = ConnectionReset>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions<E2>
  ) => Effect.Effect<A, E | E2, R>
  /** A client some of whose requests get faults. Put it inside retries, breakers and hedges. */
  readonly http: <E, R>(
    self: HttpClient.HttpClient.With<E, R>,
    options?: HttpOptions
  ) => HttpClient.HttpClient.With<E | HttpClientError.HttpClientError, R>
  /** How often each fault occurred. */
  readonly injected: Effect.Effect<Readonly<Record<Fault, number>>>
}

/** The error of a reset connection, in the form of Node's: its catalogue code is `NETWORK_ERROR`. */
export class ConnectionReset extends Error {
  readonly code = "ECONNRESET"
  override readonly name = "ConnectionReset"
  constructor() {
    super("Chaos: connection reset")
  }
}

const rate = { rate: Field.number(0, 1) }
const addedTime = Field.duration("0 millis", "1 hour")
const exclusive = ["status", "reset", "brokenBody", "hang", "error"] as const

const Policy = Schema.Struct({
  seed: Schema.Union([Schema.String, Schema.Number]),
  latency: Schema.optionalKey(
    Schema.Struct({
      ...rate,
      minimum: Field.defaulted(addedTime, Duration.millis(100)),
      maximum: Field.defaulted(addedTime, Duration.seconds(1))
    }).check(
      Schema.makeFilter((o: { readonly minimum: Duration.Duration; readonly maximum: Duration.Duration }) =>
        Duration.isLessThanOrEqualTo(o.minimum, o.maximum) ||
        { path: ["minimum"], issue: "at most maximum" }
      )
    )
  ),
  status: Schema.optionalKey(Schema.Struct({
    ...rate,
    statuses: Field.defaulted(
      Schema.Array(Field.int(200, 599)).check(Schema.isMinLength(1, { expected: "at least one status" })),
      [503]
    )
  })),
  reset: Schema.optionalKey(Schema.Struct(rate)),
  brokenBody: Schema.optionalKey(Schema.Struct({ ...rate, after: Field.defaulted(Field.int(0, 1_000_000), 0) })),
  hang: Schema.optionalKey(Schema.Struct(rate)),
  error: Schema.optionalKey(Schema.Struct(rate))
}).check(
  Schema.makeFilter((o: { readonly [Name in (typeof exclusive)[number]]?: Rate }) =>
    exclusive.reduce((sum, name) => sum + (o[name]?.rate ?? 0), 0) <= 1 + 1e-9 ||
    { path: [], issue: "rates of status, reset, brokenBody, hang and error whose sum is at most 1" }
  )
)
type Policy = typeof Policy.Type

/** The faults of one call. */
interface Plan {
  /** The time that is added. */
  readonly latency: Duration.Duration | undefined
  /** The fault in place of the call. */
  readonly fault: Exclude<Fault, "latency"> | undefined
  /** A number from 0 to 1 that chooses among statuses. */
  readonly choice: number
}

/** The faults of each call in turn. Every call draws the same number of times, so a fault depends on seed and order only. */
const planner =
  (policy: Policy, random: Random.Random, kinds: ReadonlyArray<(typeof exclusive)[number]>) => (): Plan => {
    const slow = random.nextDoubleUnsafe()
    const added = random.nextDoubleUnsafe()
    const drawn = random.nextDoubleUnsafe()
    const choice = random.nextDoubleUnsafe()
    const { latency } = policy
    let below = 0
    const fault = kinds.find((kind) => drawn < (below += policy[kind]?.rate ?? 0))
    return {
      fault,
      choice,
      latency: latency === undefined || slow >= latency.rate
        ? undefined
        : Duration.millis(
          Duration.toMillis(latency.minimum) +
            added * (Duration.toMillis(latency.maximum) - Duration.toMillis(latency.minimum))
        )
    }
  }

const describe = (policy: Policy): string =>
  (["latency", ...exclusive] as const)
    .flatMap((name) => policy[name] === undefined ? [] : [`${name} ${policy[name].rate}`]).join(", ")

/**
 * Makes a source of faults, and logs one warning with the seed and the rates.
 *
 * Each call draws from Effect's `Random` with the seed: the n-th call of an instance gets the same faults in every run.
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (A retry against a service that often answers 503)
 *
 * ```ts import.meta.vitest
 * import * as Chaos from "@keelson/core/Chaos"
 * import * as HttpRetry from "@keelson/core/HttpRetry"
 * import * as RetryPolicy from "@keelson/core/RetryPolicy"
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as HttpClientResponse from "effect/http/HttpClientResponse"
 *
 * const service = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(request, new Response("paid")))
 * )
 * const program = Effect.gen(function*() {
 *   const chaos = yield* Chaos.make({ seed: "friday", status: { rate: 0.3 } })
 *   const policy = RetryPolicy.make({ maxAttempts: 10, initialDelay: "1 millis" })
 *   const client = HttpRetry.retry(chaos.http(service), policy)
 *   for (let call = 0; call < 20; call++) yield* client.get("https://billing.example/")
 *   return (yield* chaos.injected).status > 0
 * })
 *
 * const hasFailed = await Effect.runPromise(program) // => true
 * ```
 */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Chaos, ConfigurationError> {
  const policy = yield* Configuration.decode(Policy)(options)
  const random = yield* Random.withSeed(Effect.service(Random.Random), policy.seed)
  const counts: Record<Fault, number> = { latency: 0, status: 0, reset: 0, brokenBody: 0, hang: 0, error: 0 }
  yield* Effect.logWarning(`Chaos is on with seed ${JSON.stringify(policy.seed)}: ${describe(policy)}`)
  const forEffect = planner(policy, random, ["hang", "error"])
  const forClient = planner(policy, random, ["status", "reset", "brokenBody", "hang"])

  /** Runs what a plan says: the latency, and then the fault or the call. */
  const follow = <A, E, R>({ fault, latency }: Plan, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    if (fault !== undefined) counts[fault]++
    const then = fault === "hang" ? Effect.never : call
    if (latency === undefined) return then
    counts.latency++
    return Effect.andThen(Effect.sleep(latency), then)
  }

  return {
    execute: <A, E, R, E2 = ConnectionReset>(self: Effect.Effect<A, E, R>, options?: CallOptions<E2>) =>
      Effect.suspend(() => {
        const plan = forEffect()
        // oxlint-disable-next-line no-unsafe-type-assertion -- without `error`, `E2` is `ConnectionReset`
        const error = (): E2 => (options?.error ?? defaultError as () => E2)()
        return follow<A, E | E2, R>(plan, plan.fault === "error" ? Effect.suspend(() => Effect.fail(error())) : self)
      }),
    http: (self, options) =>
      HttpClient.transform(self, (send, request) =>
        Effect.suspend(() => {
          if (options?.when?.(request) === false) return send
          const plan = forClient()
          return follow(plan, respond(policy, plan, send, request))
        })),
    injected: Effect.sync(() => ({ ...counts }))
  }
})

const defaultError = (): ConnectionReset => withoutStack(() => new ConnectionReset())

/** The outcome of a request with any fault but `hang`, or with none. */
const respond = <E, R>(
  policy: Policy,
  { choice, fault }: Plan,
  send: Effect.Effect<HttpClientResponse.HttpClientResponse, E, R>,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientResponse.HttpClientResponse, E | HttpClientError.HttpClientError, R> => {
  if (fault === "status") {
    const statuses = policy.status?.statuses ?? []
    const status = statuses[Math.floor(choice * statuses.length)] ?? 503
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status })))
  }
  if (fault === "reset") {
    return Effect.suspend(() =>
      Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({ request, cause: defaultError() })
        })
      )
    )
  }
  return fault === "brokenBody"
    ? Effect.map(send, (response) => breakBody(response, policy.brokenBody?.after ?? 0))
    : send
}

/** The statuses of responses that have no body (Fetch, 2.2.3), so that nothing can break off. */
const withoutBody: ReadonlySet<number> = new Set([204, 205, 304])

/** The response with a body that breaks off after some bytes, as one whose connection was reset. */
const breakBody = (
  response: HttpClientResponse.HttpClientResponse,
  after: number
): HttpClientResponse.HttpClientResponse => {
  if (withoutBody.has(response.status)) return response
  let left = after
  const first = Stream.map(
    Stream.takeUntil(response.stream, (chunk) => (left -= chunk.length) <= 0),
    (chunk) => left < 0 ? chunk.subarray(0, chunk.length + left) : chunk
  )
  const broken = Stream.concat(after === 0 ? Stream.empty : first, Stream.fail(defaultError()))
  const web = new Response(Stream.toReadableStream(broken), { status: response.status, headers: response.headers })
  return HttpClientResponse.fromWeb(response.request, web)
}
