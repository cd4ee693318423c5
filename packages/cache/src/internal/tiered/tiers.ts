import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { CacheEntry, NewEntry } from "../../CacheEntry.ts"
import { CacheError } from "../../CacheError.ts"
import type { CacheKey } from "../../CacheKey.ts"
import type { CacheStats } from "../../CacheStats.ts"
import type { GetOptions, Refresh } from "../../CacheTier.ts"
import type { MemoryCache } from "../../MemoryCache.ts"
import { Counters } from "../tier/counters.ts"
import type { Guarded } from "./guarded.ts"
import type { KeyedLock } from "./keyedLock.ts"
import { type Task, Tasks } from "./tasks.ts"
import { accepts, copyTo, removeFrom, sinkOf, tooLarge, writeTier } from "./writes.ts"

/** What the tiers of a cache share. */
export interface TiersOptions {
  readonly tiers: ReadonlyArray<Guarded>
  /** The first tier, if it is one in memory. */
  readonly memory: MemoryCache | undefined
  readonly lock: KeyedLock
  readonly writesBehind: boolean
  readonly maxPending: number
  /** Runs an effect in the scope of the cache. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

const notFound = Effect.fail(new CacheError({ _tag: "NotFound" }))

/** The tiers of one cache, and the work between them. */
export class Tiers {
  readonly #options: TiersOptions
  readonly #tasks = new Tasks()
  readonly #counters = new Counters()

  constructor(options: TiersOptions) {
    this.#options = options
  }
  /** The number of keys that are copied or written. */
  get working(): number {
    return this.#tasks.size
  }

  get(key: CacheKey, options: GetOptions | undefined): Effect.Effect<CacheEntry | undefined> {
    const { memory } = this.#options
    if (memory === undefined) return this.#lookUp(key, options, 0)
    return Effect.withFiber((fiber) => {
      const entry = memory.getUnsafe(key, fiber.getRef(Clock.Clock), options)
      if (entry === undefined) return this.#lookUp(key, options, 1)
      this.#count(key, true, options)
      return Exit.succeed(entry)
    })
  }
  /** The entry in memory. Only one that is there counts. */
  getUnsafe(key: CacheKey, clock: Clock.Clock, options: GetOptions | undefined): CacheEntry | undefined {
    const { memory } = this.#options
    if (memory?.getUnsafe(key, clock, { ...options, peek: true }) === undefined) return undefined
    const entry = memory.getUnsafe(key, clock, options)
    if (entry !== undefined) this.#count(key, true, options)
    return entry
  }
  /** Asks the tiers from an index on. */
  #lookUp(
    key: CacheKey,
    options: GetOptions | undefined,
    from: number
  ): Effect.Effect<CacheEntry | undefined> {
    const { tiers } = this.#options
    const guarded = tiers[from]
    if (guarded === undefined) {
      this.#count(key, false, options)
      return Effect.undefined
    }
    return Effect.flatMap(guarded.attempt("get", guarded.tier.get(key, options), () => undefined), (entry) => {
      if (entry === undefined) return this.#lookUp(key, options, from + 1)
      this.#count(key, true, options)
      if (from > 0 && options?.peek !== true) this.#promote(key, guarded, tiers.slice(0, from), entry.length)
      return Effect.succeed(entry)
    })
  }
  #count({ bucket }: CacheKey, isHit: boolean, options: GetOptions | undefined): void {
    if (options?.peek === true) return
    const counts = this.#counters.of(bucket)
    if (isHit) counts.hits++
    else counts.misses++
  }

  /** Copies an entry into faster tiers, unless work on its key is in progress: that will leave it there, or replace it. */
  #promote(key: CacheKey, source: Guarded, faster: ReadonlyArray<Guarded>, length: number): void {
    const targets = faster.filter((target) => accepts(target, key.bucket, length))
    if (targets.length === 0 || this.#tasks.has(key)) return
    const task = this.#tasks.begin(key)
    this.#options.fork(this.#run(task, copyTo(source, targets, key)))
  }

  /** Runs work in the background, after other work on its key, unless that has superseded it. */
  #run(task: Task, work: Effect.Effect<void>): Effect.Effect<void> {
    return this.#locked(task, Effect.suspend(() => task.isCurrent ? this.#orGone(task, work) : Effect.void))
  }
  /** Runs work after other work on its key. */
  #locked<A, E, R>(task: Task, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.ensuring(
      this.#options.lock.withLock(task.key.id)(work),
      Effect.sync(() => this.#tasks.end(task))
    )
  }
  /** The same for work that begins now. No interruption leaves it among the work in progress. */
  #working<A, E, R>(key: CacheKey, work: (task: Task) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.acquireUseRelease(
      Effect.sync(() => this.#tasks.begin(key)),
      (task) => this.#options.lock.withLock(key.id)(Effect.suspend(() => work(task))),
      (task) => Effect.sync(() => this.#tasks.end(task))
    )
  }
  /** Removes what was written while the cache was cleared. */
  #orGone<E, R>(task: Task, work: Effect.Effect<void, E, R>): Effect.Effect<void, E, R> {
    return Effect.andThen(
      work,
      Effect.suspend(() => task.isCurrent ? Effect.void : removeFrom(this.#options.tiers, task.key))
    )
  }

  set<E, R>(key: CacheKey, entry: NewEntry<E, R>): Effect.Effect<void, CacheError | E, R> {
    return Effect.suspend(() => {
      const { tiers } = this.#options
      if (tiers.every(({ tier }) => tier.maxItemSize(key.bucket) === 0)) return Effect.void
      const { body } = entry
      return this.#working(key, (task) => {
        // Cleared while it waited: it is newer than that.
        task.isCurrent = true
        const stored = body instanceof Uint8Array
          ? this.#setBytes(task, { ...entry, body })
          : this.#setStream(task, entry)
        return this.#orGone(task, stored)
      })
    })
  }
  #setBytes(task: Task, entry: NewEntry & { readonly body: Uint8Array }): Effect.Effect<void, CacheError> {
    const { tiers } = this.#options
    const { key } = task
    const { length } = entry.body
    const takers = tiers.filter((tier) => accepts(tier, key.bucket, length))
    const [first, ...others] = takers
    const refusing = tiers.filter((tier) => !takers.includes(tier))
    return this.#sure(
      key,
      removeFrom(takers, key),
      Effect.gen({ self: this }, function*() {
        // Also what is still written behind: it is older.
        this.#tasks.supersedeOthers(task)
        yield* removeFrom(refusing, key)
        if (first === undefined) return yield* Effect.fail(tooLarge(tiers, key.bucket, length))
        const error = yield* writeTier(first, key, entry)
        if (others.length === 0) return error === undefined ? undefined : yield* Effect.fail(error)
        const rest = this.#sure(
          key,
          removeFrom(others, key),
          Effect.forEach(others, (tier) => writeTier(tier, key, entry))
        )
        if (error === undefined && this.#isBehind) return this.#later(key, Effect.asVoid(rest))
        const errors = yield* rest
        // It is cached as long as one tier has it.
        if (error !== undefined && errors.every((other) => other !== undefined)) return yield* Effect.fail(error)
      })
    )
  }
  #setStream<E, R>(task: Task, entry: NewEntry<E, R>): Effect.Effect<void, CacheError | E, R> {
    const { tiers } = this.#options
    const { key } = task
    const sink = sinkOf(tiers, key.bucket, entry.length)
    if (sink === undefined) {
      return Effect.suspend(() => {
        this.#tasks.supersedeOthers(task)
        const refused = Effect.fail(tooLarge(tiers, key.bucket, entry.length ?? 1))
        return Effect.andThen(removeFrom(tiers, key), refused)
      })
    }
    const others = tiers.filter((tier) => tier !== sink)
    // A tier may have stored it although the write was interrupted: then the others have an older one.
    return this.#sure(
      key,
      copyTo(sink, others, key),
      Effect.gen({ self: this }, function*() {
        yield* Effect.tapError(
          sink.tier.set(key, entry),
          (error) => error instanceof CacheError ? sink.note("set", error) : Effect.void
        )
        this.#tasks.supersedeOthers(task)
        if (!this.#isBehind) return yield* copyTo(sink, others, key)
        // Until then the others must not answer with what they had.
        yield* removeFrom(others, key)
        this.#later(key, this.#sure(key, removeFrom(others, key), copyTo(sink, others, key)))
      })
    )
  }
  /** After an interrupted write, `correct` runs: a tier would answer with an older item once the others have none. */
  #sure<A, E, R>(key: CacheKey, correct: Effect.Effect<void>, writes: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.#options.tiers.length === 1
      ? writes
      : Effect.onInterrupt(writes, () => Effect.sync(() => this.#later(key, correct)))
  }
  get #isBehind(): boolean {
    return this.#options.writesBehind && this.#tasks.size <= this.#options.maxPending
  }
  #later(key: CacheKey, work: Effect.Effect<void>): void {
    this.#options.fork(this.#run(this.#tasks.begin(key), work))
  }

  refresh(key: CacheKey, refresh: Refresh): Effect.Effect<void, CacheError> {
    return this.#working(key, () =>
      Effect.flatMap(
        Effect.forEach(this.#options.tiers, ({ attempt, tier }) =>
          attempt("refresh", Effect.as(tier.refresh(key, refresh), true), () => false)),
        (results) =>
          results.includes(true) ? Effect.void : notFound
      ))
  }
  delete(key: CacheKey): Effect.Effect<boolean, CacheError> {
    return this.#working(key, (task) =>
      Effect.ensuring(
        this.#inAll("delete", ({ tier }) => tier.delete(key), (results) => results.includes(true)),
        Effect.sync(() => this.#tasks.supersedeOthers(task))
      ))
  }
  clear(bucket: string | undefined): Effect.Effect<number, CacheError> {
    return Effect.suspend(() => {
      this.#tasks.supersedeAll(bucket)
      return this.#inAll("clear", ({ tier }) => tier.clear(bucket), (counts) => Math.max(0, ...counts))
    })
  }
  /** Runs a call in every tier, also after one failed; then fails with the first error. */
  #inAll<A, B>(
    operation: "delete" | "clear",
    call: (guarded: Guarded) => Effect.Effect<A, CacheError>,
    combine: (results: ReadonlyArray<A>) => B
  ): Effect.Effect<B, CacheError> {
    return Effect.flatMap(
      Effect.forEach(this.#options.tiers, (guarded) =>
        guarded.attempt(
          operation,
          Effect.map(call(guarded), (value) => ({ value })),
          (error) => ({ error })
        )),
      (results) => {
        const values: Array<A> = []
        for (const result of results) {
          if ("error" in result) return Effect.fail(result.error)
          values.push(result.value)
        }
        return Effect.succeed(combine(values))
      }
    )
  }

  /** Hits and misses of the whole cache. */
  get lookups(): CacheStats {
    return this.#counters.stats(undefined)
  }
}
