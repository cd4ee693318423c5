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
  happened,
  hasParted,
  isReached,
  makeModel,
  mayRetry,
  type Model,
  must,
  passed,
  trusted
} from "./model.ts"
import { type Case, type Command, type Op, pool, type Settings, type Wanted } from "./modelCommands.ts"
import {
  ask,
  type Asked,
  ended,
  holdsAgree,
  importedName,
  isAnswered,
  isTooLate,
  isUnknown,
  selected,
  type Trusts
} from "./modelLookups.ts"
import { statusAgrees } from "./modelStatus.ts"
import { egressOf, makeUpstream, type Upstream } from "./modelUpstream.ts"

/** Offsets of the clocks from the time of the timers. */
interface Skew {
  millis: number
  monotonic: bigint
}

/** The state of a running case. */
interface World {
  readonly model: Model
  readonly upstream: Upstream
  readonly provider: Provider
  readonly clock: Clock.Clock
  readonly skew: Skew
  readonly scope: Scope.Closeable
  readonly asked: Array<Asked>
  readonly trusts: Trusts
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

const headerOf = ({ model, upstream }: World, { alg, n, of }: Wanted): JoseHeader => {
  const kids = { held: model.held?.keys, published: upstream.keys, pool: pool.map((kid) => ({ kid })) }
  if (of === "none") return { alg }
  if (of === "long") return { alg, kid: "k".repeat(257 + n) }
  const among = of === "never" ? [] : kids[of] ?? []
  const kid = among.length === 0 ? `never-${n}` : among[n % among.length]?.kid
  return kid === undefined ? { alg } : { alg, kid }
}

/** Starts a call to the cache, and checks its result. */
const start = (world: World, asked: Asked, self: Effect.Effect<unknown, unknown>): void => {
  const { model } = world
  world.asked.push(asked)
  model.doing = { kind: asked.kind === "refresh" ? "refresh" : "lookup" }
  asked.fiber = world.fork(self)
  model.doing = undefined
  asked.fiber.addObserver((exit) => ended(model, world.trusts, asked, exit))
}

const lookUp = (world: World, header: JoseHeader | undefined): void => {
  const { model, provider } = world
  const at = model.now()
  const held = trusted(model)
  const before = Effect.runSync(Effect.provideService(provider.status, Clock.Clock, world.clock)).metrics
  const isQuick = header === undefined ? held !== undefined : isAnswered(model, header) && header.alg !== "Ed25519"
  const isHit = held !== undefined &&
    (header === undefined ||
      (header.alg === "EdDSA" && Array.isArray(selected(held.keys, header)) && (header.kid?.length ?? 0) < 257))
  const isWanted = isHit && model.fetch === undefined && mayRetry(model) &&
    (isReached(held.refresh[1], at) || hasParted(held, at))
  const asked = ask(model, header === undefined ? "keySet" : "find", header)
  const { started } = model
  start(world, asked, header === undefined ? provider.lookup.keySet : findIn(provider.lookup, header))
  must(model, !isQuick || asked.hasEnded || model.isClosed, "L2: a reader waits for what memory has")
  must(model, !isWanted || model.started > started, "R23: a reader of keys that are due has nothing fetched")
  const { metrics } = Effect.runSync(Effect.provideService(provider.status, Clock.Clock, world.clock))
  const isStale = isHit && isReached(held.expiresAt, at)
  must(model, !isHit || metrics.hits === before.hits + 1, "S1-01: a reader of keys that are held is no hit")
  must(model, metrics.hits + metrics.misses === before.hits + before.misses + 1, "L7: a lookup is a hit or a miss")
  must(model, !isHit || metrics.stale === before.stale + (isStale ? 1 : 0), "S1-04: stale hits are not counted as such")
}

const run = (world: World, op: Op): void => {
  const { model, provider } = world
  switch (op.op) {
    case "find":
      return lookUp(world, headerOf(world, op))
    case "keySet":
      return lookUp(world, undefined)
    case "refresh":
      return start(world, ask(model, "refresh", undefined), provider.refresh)
    case "invalidate":
      model.doing = { kind: "invalidate" }
      model.epoch++
      world.fork(provider.invalidate)
      model.doing = undefined
      model.retryAt = undefined
      return must(model, model.held === undefined, "L4: an invalidation left keys behind")
    case "interrupt": {
      const waiting = world.asked.filter(({ hasEnded }) => !hasEnded)
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
const untilLimit = ({ held, now, retryAt, unknownAt }: Model, limit: Extract<Command, { do: "reach" }>["limit"]) => {
  const limits = {
    refresh: held?.refresh[1],
    expiry: held?.expiresAt,
    stale: held?.staleUntil,
    retry: retryAt,
    unknown: unknownAt
  }
  const at = limits[limit]
  return at === undefined ? 0 : Math.round(passed(now(), at))
}

const command = Effect.fnUntraced(function*(world: World, todo: Command) {
  const { model, upstream } = world
  switch (todo.do) {
    case "ops":
      return todo.ops.forEach((op) => run(world, op))
    case "pass":
      world.skew.millis += todo.wall
      return yield* TestClock.adjust(todo.millis)
    case "reach":
      return yield* TestClock.adjust(Math.max(0, untilLimit(model, todo.limit) + todo.past))
    case "freeze":
      world.skew.monotonic += BigInt(todo.millis) * 1_000_000n
      model.isLate = true
      return
    case "weather":
      upstream.weather = todo.weather
      upstream.delay = todo.delay
      return
    case "publish":
      upstream.keys = todo.keys
      upstream.tags = todo.tags
      upstream.version++
      return
    case "caching":
      upstream.caching = todo.caching
      return
    case "close":
      model.isClosed = true
      model.doing = { kind: "close" }
      yield* Scope.close(world.scope, Exit.void)
      model.doing = undefined
      model.held = undefined
      // Imports do not count as waiting for the provider.
      yield* TestClock.adjust(4 * world.importing)
      yield* settle
      must(model, world.asked.every(({ hasEnded }) => hasEnded), "L8: somebody waits after the scope was closed")
  }
})

/** How late the scheduler's fiber may be. */
const slack = 20

/** Checks that scheduled work has happened. */
const isAlive = ({ asked, model }: World): void => {
  const { failures, fetch, held, retryAt, settings } = model
  const now = model.now()
  const isOver = (due: { readonly monotonic: bigint }): boolean =>
    now.monotonic > due.monotonic + BigInt(slack) * 1_000_000n
  if (model.isLate) return
  must(model, !asked.some((one) => isTooLate(model, one)), "L1: a lookup hangs")
  if (model.isClosed) return
  must(model, held === undefined || !isOver(held.staleUntil), "L4: keys past their stale deadline are kept")
  if (fetch !== undefined) {
    const { outcome, sentAt } = fetch.last
    must(model, outcome !== undefined || passed(sentAt, now) <= attemptLimit(model), "S1-16: an attempt takes too long")
    return must(model, passed(fetch.startedAt, now) <= 8000, "S1-16: a fetch takes too long")
  }
  must(model, !settings.prefetch || model.started > 0 || now.monotonic <= 20_000_000n, "S1-11: no fetch at the start")
  must(model, failures === 0 || retryAt === undefined || !isOver(retryAt), "S1-18: no fetch after the failure delay")
  must(model, held === undefined || failures > 0 || !isOver(held.refresh[1]), "S1-11: no fetch when one was due")
}

const check = (world: World, step: number, todo: unknown) =>
  Effect.gen(function*() {
    const { model } = world
    isAlive(world)
    holdsAgree(model, world.trusts, world.clock)
    statusAgrees(model, yield* world.provider.status, world.asked.filter(({ kind }) => kind !== "refresh").length)
    const [first] = model.violations
    if (first === undefined) return
    return yield* Effect.die(new Error(`${first}\nat command ${step}: ${JSON.stringify(todo)}`))
  })

const makeWorld = Effect.fnUntraced(function*({ importing, settings }: Case, skew: Skew) {
  const clock = yield* Clock.Clock
  const scope = yield* Scope.fork(yield* Effect.scope)
  const model = makeModel(settings, () => ({
    monotonic: clock.monotonicTimeNanosUnsafe(),
    wall: clock.currentTimeMillisUnsafe()
  }))
  const upstream = makeUpstream()
  const asked: Array<Asked> = []
  const build = Effect.gen(function*() {
    const scheduler = yield* makeScheduler
    const services = yield* providerServices({ scheduler, publish: (event) => happened(model, event) })
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
  model.waits.any = () => asked.some(({ hasEnded, kind }) => !hasEnded && kind !== "refresh")
  model.waits.unknown = () => asked.some((one) => isUnknown(model, one))
  const fork = Effect.runForkWith(yield* Effect.context())
  const world: World = { model, upstream, provider, clock, skew, scope, asked, trusts: new Map(), importing, fork }
  return world
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
      const world = yield* makeWorld(one, skew)
      for (const [step, todo] of one.commands.entries()) {
        yield* command(world, todo)
        yield* settle
        yield* check(world, step, todo)
      }
      yield* TestClock.adjust("1 minute")
      yield* settle
      must(world.model, world.asked.every(({ hasEnded }) => hasEnded), "L1: a lookup hangs")
      yield* check(world, one.commands.length, "a minute later")
    }).pipe(Effect.provideService(Clock.Clock, clock))
  }).pipe(Random.withSeed(one.seed), Effect.provide(Logger.layer([])))
