/** Runs the cases of the model test: each with its own virtual time and scope. */
import { issuer, url } from "@keelson/testing/scriptedProvider"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, type Fiber, Layer, Logger, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import { findIn } from "../../src/internal/cache/keyLookup.ts"
import { makeProvider, type Provider, providerServices } from "../../src/internal/cache/provider.ts"
import { makeScheduler } from "../../src/internal/cache/scheduler.ts"
import { type ImportKey, KeyImport } from "../../src/internal/keys/importKey.ts"
import * as JwksOptions from "../../src/JwksOptions.ts"
import type { JoseHeader } from "../../src/KeySource.ts"
import {
  attemptLimit,
  check,
  handleEvent,
  haveClocksDiverged,
  isReached,
  makeModel,
  mayRetry,
  type Model,
  passed,
  trusted
} from "./model.ts"
import { type Case, type Command, type KeyChoice, type Op, pool, type Settings } from "./modelCommands.ts"
import {
  type Call,
  checkTrust,
  ended,
  importedName,
  isInMemory,
  isUnknown,
  type KnownTrust,
  makeCall,
  selected,
  waitsTooLong
} from "./modelLookups.ts"
import { checkStatus } from "./modelStatus.ts"
import { egressOf, makeUpstream, type Upstream } from "./modelUpstream.ts"

/** Offsets of the clocks from the time of the timers. */
interface Skew {
  millis: number
  monotonic: bigint
}

/** The state of a running case. */
interface RunningCase {
  readonly model: Model
  readonly upstream: Upstream
  readonly provider: Provider
  readonly clock: Clock.Clock
  readonly skew: Skew
  readonly scope: Scope.Closeable
  readonly calls: Array<Call>
  readonly knownTrust: KnownTrust
  readonly importing: number
  readonly fork: <A, E>(self: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

const importKey = (millis: number): ImportKey => (key, alg) => {
  const made: CryptoKey = {
    type: "public",
    extractable: false,
    usages: ["verify"],
    algorithm: { name: importedName(alg, "x" in key.material ? key.material.x : "") }
  }
  return millis === 0 ? Effect.succeed(made) : Effect.delay(Effect.succeed(made), millis)
}

const optionsOf = (settings: Settings): JwksOptions.JwksOptions =>
  JwksOptions.make({
    issuer,
    url,
    ...settings,
    ttl: Duration.millis(settings.ttl),
    minTtl: Duration.millis(settings.minTtl),
    maxTtl: Duration.millis(settings.maxTtl),
    staleWindow: Duration.millis(settings.staleWindow),
    negativeCacheTtl: Duration.millis(settings.negativeCacheTtl),
    refreshEarly: Duration.millis(settings.refreshEarly),
    refreshJitter: Duration.millis(settings.refreshJitter)
  })

const headerOf = ({ model, upstream }: RunningCase, { alg, n, of }: KeyChoice): JoseHeader => {
  const kids = { cached: model.cached?.keys, published: upstream.keys, pool: pool.map((kid) => ({ kid })) }
  if (of === "none") return { alg }
  if (of === "long") return { alg, kid: "k".repeat(257 + n) }
  const among = of === "never" ? [] : kids[of] ?? []
  const kid = among.length === 0 ? `never-${n}` : among[n % among.length]?.kid
  return kid === undefined ? { alg } : { alg, kid }
}

/** Starts a call to the cache, and checks its result. */
const startCall = (running: RunningCase, call: Call, self: Effect.Effect<unknown, unknown>): void => {
  const { model } = running
  running.calls.push(call)
  model.currentCall = { kind: call.kind === "refresh" ? "refresh" : "lookup" }
  call.fiber = running.fork(self)
  model.currentCall = undefined
  call.fiber.addObserver((exit) => ended(model, running.knownTrust, call, exit))
}

const lookUp = (running: RunningCase, header: JoseHeader | undefined): void => {
  const { model, provider } = running
  const at = model.now()
  const cached = trusted(model)
  const before = Effect.runSync(Effect.provideService(provider.status, Clock.Clock, running.clock)).metrics
  const isFromMemory = header === undefined
    ? cached !== undefined
    : isInMemory(model, header) && header.alg !== "Ed25519"
  const isHit = cached !== undefined &&
    (header === undefined ||
      (header.alg === "EdDSA" && Array.isArray(selected(cached.keys, header)) && (header.kid?.length ?? 0) < 257))
  const mustFetch = isHit && model.fetch === undefined && mayRetry(model) &&
    (isReached(cached.refresh[1], at) || haveClocksDiverged(cached, at))
  const call = makeCall(model, header === undefined ? "keySet" : "find", header)
  const { started } = model
  startCall(running, call, header === undefined ? provider.lookup.keySet : findIn(provider.lookup, header))
  check(model, !isFromMemory || call.hasEnded || model.isClosed, "L2: a reader waits for what memory has")
  check(model, !mustFetch || model.started > started, "R23: a reader of keys that are due has nothing fetched")
  const { metrics } = Effect.runSync(Effect.provideService(provider.status, Clock.Clock, running.clock))
  const isStale = isHit && isReached(cached.expiresAt, at)
  check(model, !isHit || metrics.hits === before.hits + 1, "S1-01: a reader of keys that are cached is no hit")
  check(model, metrics.hits + metrics.misses === before.hits + before.misses + 1, "L7: a lookup is a hit or a miss")
  check(
    model,
    !isHit || metrics.stale === before.stale + (isStale ? 1 : 0),
    "S1-04: stale hits are not counted as such"
  )
}

const runOp = (running: RunningCase, op: Op): void => {
  const { model, provider } = running
  switch (op.op) {
    case "find":
      return lookUp(running, headerOf(running, op))
    case "keySet":
      return lookUp(running, undefined)
    case "refresh":
      return startCall(running, makeCall(model, "refresh", undefined), provider.refresh)
    case "invalidate":
      model.currentCall = { kind: "invalidate" }
      model.epoch++
      running.fork(provider.invalidate)
      model.currentCall = undefined
      model.retryAt = undefined
      return check(model, model.cached === undefined, "L4: an invalidation left keys behind")
    case "interrupt": {
      const waiting = running.calls.filter(({ hasEnded }) => !hasEnded)
      const chosen = waiting[op.n % Math.max(1, waiting.length)]
      if (chosen === undefined) return
      chosen.isInterrupted = true
      chosen.fiber?.interruptUnsafe()
    }
  }
}

/** Runs all fibers that do not wait for time to pass. */
const settle = Effect.gen(function*() {
  for (let i = 0; i < 8; i++) yield* Effect.yieldNow
})

/** Milliseconds of monotonic time until a limit; zero if there is none. */
const untilLimit = (
  { cached, now, retryAt, unknownAt }: Model,
  limit: Extract<Command, { do: "approach" }>["limit"]
) => {
  const limits = {
    refresh: cached?.refresh[1],
    expiry: cached?.expiresAt,
    stale: cached?.staleUntil,
    retry: retryAt,
    unknown: unknownAt
  }
  const at = limits[limit]
  return at === undefined ? 0 : Math.round(passed(now(), at))
}

const runCommand = Effect.fnUntraced(function*(running: RunningCase, command: Command) {
  const { model, upstream } = running
  switch (command.do) {
    case "ops":
      return command.ops.forEach((op) => runOp(running, op))
    case "pass":
      running.skew.millis += command.wall
      return yield* TestClock.adjust(command.millis)
    case "approach":
      return yield* TestClock.adjust(Math.max(0, untilLimit(model, command.limit) + command.past))
    case "freeze":
      running.skew.monotonic += BigInt(command.millis) * 1_000_000n
      model.isLate = true
      return
    case "behavior":
      upstream.behavior = command.behavior
      upstream.delay = command.delay
      return
    case "publish":
      upstream.keys = command.keys
      upstream.tags = command.tags
      upstream.version++
      return
    case "caching":
      upstream.caching = command.caching
      return
    case "close":
      model.isClosed = true
      model.currentCall = { kind: "close" }
      yield* Scope.close(running.scope, Exit.void)
      model.currentCall = undefined
      model.cached = undefined
      // Imports do not count as waiting for the provider.
      yield* TestClock.adjust(4 * running.importing)
      yield* settle
      check(model, running.calls.every(({ hasEnded }) => hasEnded), "L8: somebody waits after the scope was closed")
  }
})

/** How late the scheduler's fiber may be. */
const slack = 20

/** Checks that scheduled work has happened. */
const checkProgress = ({ calls, model }: RunningCase): void => {
  const { failures, fetch, cached, retryAt, settings } = model
  const now = model.now()
  const isOver = (due: { readonly monotonic: bigint }): boolean =>
    now.monotonic > due.monotonic + BigInt(slack) * 1_000_000n
  if (model.isLate) return
  check(model, !calls.some((one) => waitsTooLong(model, one)), "L1: a lookup hangs")
  if (model.isClosed) return
  check(model, cached === undefined || !isOver(cached.staleUntil), "L4: keys past their stale deadline are kept")
  if (fetch !== undefined) {
    const { outcome, sentAt } = fetch.last
    check(
      model,
      outcome !== undefined || passed(sentAt, now) <= attemptLimit(model),
      "S1-16: an attempt takes too long"
    )
    return check(model, passed(fetch.startedAt, now) <= 8000, "S1-16: a fetch takes too long")
  }
  check(model, !settings.prefetch || model.started > 0 || now.monotonic <= 20_000_000n, "S1-11: no fetch at the start")
  check(model, failures === 0 || retryAt === undefined || !isOver(retryAt), "S1-18: no fetch after the failure delay")
  check(model, cached === undefined || failures > 0 || !isOver(cached.refresh[1]), "S1-11: no fetch when one was due")
}

const checkStep = (running: RunningCase, step: number, command: unknown) =>
  Effect.gen(function*() {
    const { model } = running
    checkProgress(running)
    checkTrust(model, running.knownTrust, running.clock)
    checkStatus(model, yield* running.provider.status, running.calls.filter(({ kind }) => kind !== "refresh").length)
    const [first] = model.violations
    if (first === undefined) return
    return yield* Effect.die(new Error(`${first}\nat command ${step}: ${JSON.stringify(command)}`))
  })

const startCase = Effect.fnUntraced(function*({ importing, settings }: Case, skew: Skew) {
  const clock = yield* Clock.Clock
  const scope = yield* Scope.fork(yield* Effect.scope)
  const model = makeModel(settings, () => ({
    monotonic: clock.monotonicTimeNanosUnsafe(),
    wall: clock.currentTimeMillisUnsafe()
  }))
  const upstream = makeUpstream()
  const calls: Array<Call> = []
  const build = Effect.gen(function*() {
    const scheduler = yield* makeScheduler
    const services = yield* providerServices({ scheduler, publish: (event) => handleEvent(model, event) })
    const made = yield* Effect.acquireRelease(
      makeProvider(optionsOf(settings), { tenantId: "t", providerId: "p" }, services),
      (one) => one.close
    )
    made.start(yield* Clock.Clock)
    return made
  })
  const provider = yield* build.pipe(
    Effect.provide([egressOf(model, upstream), Layer.succeed(KeyImport, importKey(importing))]),
    Effect.provideService(Scope.Scope, scope)
  )
  model.waits.any = () => calls.some(({ hasEnded, kind }) => !hasEnded && kind !== "refresh")
  model.waits.unknown = () => calls.some((one) => isUnknown(model, one))
  const fork = Effect.runForkWith(yield* Effect.context())
  const running: RunningCase = {
    model,
    upstream,
    provider,
    clock,
    skew,
    scope,
    calls,
    knownTrust: new Map(),
    importing,
    fork
  }
  return running
})

/** Runs a case, and fails with the first violation. */
export const runCase = (one: Case): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock: base, skew: wall } = yield* skewedClock
    const skew: Skew = Object.assign(wall, { millis: 1_700_000_000_000, monotonic: 0n })
    const clock: Clock.Clock = Object.create(base, {
      monotonicTimeNanosUnsafe: { value: () => base.monotonicTimeNanosUnsafe() + skew.monotonic },
      monotonicTimeNanos: { value: Effect.sync(() => base.monotonicTimeNanosUnsafe() + skew.monotonic) }
    })
    yield* Effect.gen(function*() {
      const running = yield* startCase(one, skew)
      for (const [step, command] of one.commands.entries()) {
        yield* runCommand(running, command)
        yield* settle
        yield* checkStep(running, step, command)
      }
      yield* TestClock.adjust("1 minute")
      yield* settle
      check(running.model, running.calls.every(({ hasEnded }) => hasEnded), "L1: a lookup hangs")
      yield* checkStep(running, one.commands.length, "a minute later")
    }).pipe(Effect.provideService(Clock.Clock, clock))
  }).pipe(Random.withSeed(one.seed), Effect.provide(Logger.layer([])))
