/**
 * A running gateway: its listener, the configuration in use, and its end.
 */
import type { AuditEntry } from "@keelson/audit/AuditEntry"
import * as CorrelationId from "@keelson/audit/CorrelationId"
import type { TieredCache } from "@keelson/cache/TieredCache"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { IncomingMessage, ServerResponse } from "node:http"
import { Fills } from "../fill/fills.ts"
import { BucketCounts } from "./counts.ts"
import { NodeExchange } from "./NodeExchange.ts"
import type { Answer, Listener } from "./NodeListener.ts"
import { entryOf, logOf, traceOf } from "./NodeRecord.ts"
import type { Shared, Snapshot } from "./NodeServed.ts"
import type { Lease } from "./NodeSnapshot.ts"
import { answerRequest } from "./NodeWay.ts"

/** Keeps an audit entry. Returns what waits for room, if it has to wait. */
export type RecordEntry = (entry: AuditEntry) => Effect.Effect<void> | undefined

/** What a server consists of. */
export interface ServerParts {
  readonly cache: TieredCache
  /** Keeps the audit entry of a request. */
  readonly record: RecordEntry | undefined
  readonly context: Context.Context<never>
}

/** Upper bound of the bytes of all bodies that are read for the cache. */
const fillBudget = 128 * 1024 * 1024

/** The paths of the gateway itself, which no key can be reached by. */
const health = { live: "/-/live", ready: "/-/ready" } as const

/** Answers requests under the configuration in use. */
export class NodeServer {
  readonly shared: Shared
  readonly #parts: ServerParts
  readonly #tracer: Tracer.Tracer | undefined
  #lease: Lease
  #active = 0
  #isReady = true
  readonly #whenIdle = new Set<() => void>()

  constructor(parts: ServerParts, lease: Lease, shared: Shared, tracer: Tracer.Tracer | undefined) {
    this.#parts = parts
    this.#lease = lease
    this.shared = shared
    this.#tracer = tracer
  }
  get snapshot(): Snapshot {
    return this.#lease.snapshot
  }
  get active(): number {
    return this.#active
  }
  get isReady(): boolean {
    return this.#isReady
  }

  /** Takes another configuration for requests that begin now. */
  use(lease: Lease): Effect.Effect<void> {
    return Effect.suspend(() => {
      const before = this.#lease
      this.#lease = lease
      return before.replace()
    })
  }

  readonly answer: Answer = (request, response, awaitsContinue) => {
    if (request.url === health.live || request.url === health.ready) return this.#answerHealth(request, response)
    const lease = this.#lease
    const given = request.headers[CorrelationId.header]
    const id = CorrelationId.fromHeader(typeof given === "string" ? given : undefined)
    const x = new NodeExchange(request, response, this.shared, id, awaitsContinue)
    const wall = this.shared.clock.currentTimeMillisUnsafe()
    this.#active++
    lease.take()
    response.on("close", () => this.#finish(x, lease, wall))
    answerRequest(x, lease.snapshot)
  }
  #answerHealth(request: IncomingMessage, response: ServerResponse): void {
    const isGood = request.url === health.live || this.#isReady
    response.writeHead(isGood ? 200 : 503, { "content-type": "text/plain", "cache-control": "no-store" })
    response.end(isGood ? "ok\n" : "ending\n")
  }
  #finish(x: NodeExchange, lease: Lease, wall: number): void {
    const duration = x.since(x.started)
    this.#active--
    const { record } = this.#parts
    const recorded = record?.(entryOf(x, wall, duration))
    if (recorded !== undefined) this.shared.fork(recorded)
    const logs = logOf(x, lease.snapshot.config.log, duration)
    if (logs !== undefined) this.shared.run(logs)
    if (this.#tracer !== undefined) traceOf(x, this.#tracer, this.shared.clock.currentTimeNanosUnsafe(), duration)
    const rest = lease.giveBack()
    if (rest !== undefined) this.shared.fork(rest)
    if (this.#active > 0) return
    for (const resume of Array.from(this.#whenIdle)) resume()
  }

  /** Returns once no request is being answered. */
  readonly idle: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const done = () => {
      this.#whenIdle.delete(done)
      resume(Effect.void)
    }
    if (this.#active === 0) return done()
    this.#whenIdle.add(done)
    return Effect.sync(() => this.#whenIdle.delete(done))
  })

  /**
   * Ends in two phases. While load balancers learn that the gateway is not ready, it still accepts requests, and closes each connection
   * with its answer. Then it accepts none, and running answers end, or are cut at the limit.
   */
  drain(listener: Listener): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.#isReady) return Effect.void
      this.#isReady = false
      const { delay, timeout } = this.snapshot.config.drain
      return Effect.sync(() => listener.announceEnd()).pipe(
        Effect.andThen(Effect.sleep(delay)),
        Effect.andThen(Effect.timeoutOption(Effect.andThen(listener.stop, this.idle), timeout)),
        Effect.andThen(Effect.sync(() => listener.cut())),
        // What was read is stored, and what was answered is recorded.
        Effect.andThen(Effect.timeoutOption(this.shared.settled, Duration.seconds(10))),
        Effect.asVoid
      )
    })
  }
}

/** Makes a server, whose metrics are those of the scope. */
export const makeServer = Effect.fnUntraced(function*(
  parts: ServerParts,
  lease: Lease
): Effect.fn.Return<NodeServer, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const tracer = yield* Tracer.Tracer
  const background = yield* FiberSet.make<void>()
  const fork = yield* FiberSet.runtime(background)()
  const unrouted = new BucketCounts()
  const fills = new Fills(fillBudget)
  const shared: Shared = {
    cache: parts.cache,
    fills,
    clock,
    unrouted,
    run: Effect.runForkWith(parts.context),
    fork: (effect) => void fork(effect),
    settled: FiberSet.awaitEmpty(background)
  }
  const server = new NodeServer(parts, lease, shared, tracer === Tracer.nativeTracer ? undefined : tracer)
  yield* unrouted.register("")
  yield* MetricSeries.register("gatewayFillBytes", {}, () => fills.bytes)
  yield* MetricSeries.register("gatewayActiveRequests", {}, () => server.active)
  return server
})
