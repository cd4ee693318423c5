/**
 * Simulates a fleet of processes that call one server through an outage, in virtual time: how much load the policy adds, how
 * long the fleet takes to recover, and whether it recovers at all.
 *
 * Every process runs the real code of its policy: breaker, retries, budget, limits. Only the server, the network and the clock
 * are simulated. A simulation is an ordinary effect for a test; ten simulated minutes of 200 processes take seconds. The same
 * options and seed give the same report.
 */
import type * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Scope from "effect/Scope"
import type * as Breaker from "../Breaker.ts"
import type { BreakerStore } from "../BreakerStore.ts"
import { renderReport } from "../internal/simulation/render.ts"
import { runFleet } from "../internal/simulation/runFleet.ts"
import type { ConfigurationError } from "../KeelsonError.ts"
import type * as Resilience from "../Resilience.ts"
import type * as FleetOptions from "./FleetOptions.ts"

/** One process of the fleet, for the `client` of a simulation. */
export interface Process {
  /** Its number, from 0. */
  readonly index: number
  /** One request to the simulated server. Fails as an `HttpClient` does: `HttpClientError` for 429, 503 and no connection. */
  readonly request: Effect.Effect<void, HttpClientError.HttpClientError>
  /** The simulated server as an `HttpClient`. Each request to any URL is one request to the server. */
  readonly http: HttpClient.HttpClient
  /** Adds to a count of the report. Use few, fixed names. */
  readonly count: (name: string, by?: number) => Effect.Effect<void>
}

/** What a process does. */
export interface Client<R = never> {
  /** One call, run at each arrival of the load. */
  readonly call: Effect.Effect<unknown, unknown, R>
  /** The breaker whose state the report counts. Default none. */
  readonly breaker?: Breaker.Breaker | undefined
}

/** The options of `fleet`. */
export interface Options<E = never, R = never> extends FleetOptions.Options {
  /** One policy for all processes, or a function of the number of a process. Default: one attempt, no breaker. */
  readonly policy?: Resilience.Options | ((process: number) => Resilience.Options) | undefined
  /**
   * Makes the client of a process, in place of a `GET` under `policy`. It runs in the scope of the process, with the
   * `BreakerStore` of its `circuits`. Default none.
   */
  readonly client?: ((process: Process) => Effect.Effect<Client<R>, E, R>) | undefined
  /** What the server answers to a request that it served. Default: 200 without a body. */
  readonly respond?: ((request: HttpClientRequest.HttpClientRequest) => Response) | undefined
}

/** What happened in a part of a simulation. Calls count where they began, requests where they arrived. */
export interface Phase {
  readonly beginMillis: number
  readonly endMillis: number
  readonly calls: number
  /** Calls that succeeded within `goodWithin`. */
  readonly good: number
  readonly failed: number
  /** Calls that were still running at the end of the simulation. */
  readonly unfinished: number
  /** The share of good calls among those that ended, from 0 to 1. */
  readonly goodShare: number
  readonly goodPerSecond: number
  /** Requests that reached the server, or were refused by it. */
  readonly requests: number
  /** The load multiplication: requests for each call. */
  readonly requestsPerCall: number
  /** The highest load multiplication of any five entries of the timeline in a row. */
  readonly peakRequestsPerCall: number
  /** The highest rate of requests of one entry of the timeline. */
  readonly peakRequestsPerSecond: number
  /** Requests that the server worked on although their callers had given up. */
  readonly wasted: number
  /** Half of the good calls took at most this long. */
  readonly p50Millis: number
  readonly p99Millis: number
  readonly peakOpenCircuits: number
  /** Failed calls by the code of their error; `OTHER` without one, `TOO_LATE` beyond `goodWithin`. */
  readonly errors: Readonly<Record<string, number>>
  /** What the clients counted. */
  readonly counts: Readonly<Record<string, number>>
}

/** One entry of the timeline. */
export interface Moment {
  readonly atMillis: number
  readonly calls: number
  readonly good: number
  readonly requests: number
  /** The most requests at the server, in work and waiting. */
  readonly load: number
  /** Circuits that are not closed, at the end of the entry. */
  readonly openCircuits: number
  readonly p50Millis: number
  readonly p99Millis: number
}

/** The result of a simulation. Plain data: `JSON.stringify` keeps all of it. */
export interface Report {
  readonly processes: number
  readonly seed: number
  readonly durationMillis: number
  readonly resolutionMillis: number
  readonly total: Phase
  /** Before the outage or surge; all of the simulation without one. */
  readonly before: Phase
  readonly during: Phase
  readonly after: Phase
  /**
   * Milliseconds from the end of the outage or surge until the fleet has recovered: the share of good calls is at least 0.9 of
   * the share before, and stays so to the end. `null` if that never happens, or without an outage and a surge.
   */
  readonly recoveryMillis: number | null
  /** Whether the outage or surge ended, and the fleet did not recover before the end of the simulation. */
  readonly metastable: boolean
  readonly timeline: ReadonlyArray<Moment>
}

/**
 * Runs a simulation to its end.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range, and with the error of a `client` that
 * cannot be made. Metrics, logs and spans of the processes are discarded.
 *
 * **Example** (A policy that survives an outage)
 *
 * ```ts import.meta.vitest
 * import * as Simulate from "@keelson/core/testing/Simulate"
 * import * as Effect from "effect/Effect"
 *
 * const report = await Effect.runPromise(Simulate.fleet({
 *   processes: 20,
 *   duration: "3 minutes",
 *   load: { perSecond: 2 },
 *   outage: { begin: "1 minute", end: "90 seconds", mode: "refuse" },
 *   policy: { retry: { maxAttempts: 3 }, breaker: { openDuration: "5 seconds" } },
 *   seed: 1
 * }))
 *
 * report.metastable // => false
 * report.during.requestsPerCall < 1 // => true
 * ```
 */
export const fleet: <E = never, R = never>(
  options: Options<E, R>
) => Effect.Effect<Report, ConfigurationError | E, Exclude<R, Scope.Scope | BreakerStore>> = runFleet

/** A report as text: its phases as a table, and its timeline as a chart of at most `rows` lines. Default 24. */
export const render: (report: Report, rows?: number) => string = renderReport
