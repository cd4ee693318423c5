import type * as ErrorCode from "@keelson/core/ErrorCode"
import { after, hasCome, type Instant, now, offset, until } from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { JwksKeyNotFound, JwksUnavailable, type NotFoundReason } from "../../JwksError.ts"
import type { KeySet } from "../../KeySet.ts"
import type { Candidate, JoseHeader, KeyTrust } from "../../unstable/KeySourceTag.ts"
import type { FetchRequest } from "../http/fetchKeySet.ts"
import { candidatesOf } from "../keys/candidates.ts"
import { ImportedKey } from "../keys/importedKey.ts"
import { maxKidLength, select } from "../keys/keySelection.ts"
import type { CachedKeySet } from "./lifecycle.ts"
import type { ProviderState } from "./providerState.ts"
import type { SharedFetch } from "./sharedFetch.ts"

export type FindError = JwksKeyNotFound | JwksUnavailable

type Candidates = Effect.Effect<ReadonlyArray<Candidate>, FindError>

/** The candidates of a header, as an effect that is made once: a hit allocates nothing. */
export type Hit = Exit.Exit<ReadonlyArray<Candidate>>

/** How many fetches a lookup has waited for. */
interface Progress {
  /** Running fetches that the lookup joined, which may have begun before a key rotation; for an unknown key at most two. */
  readonly joined: number
  /** Fetches that the lookup started: one, or two if the keys of the first one expired immediately because the clock was set. */
  readonly started: number
}

const start: Progress = { joined: 0, started: 0 }

/**
 * How long a lookup waits beyond the deadline of a fetch: loading a snapshot takes time, and so does waiting for a permit
 * when thousands of providers are due at once.
 */
export const patience = Duration.seconds(1)

/** Divergence of the clocks, in milliseconds, above which the machine was suspended or its wall clock was set. */
const divergenceLimit = 30_000

const notFound = (reason: NotFoundReason): Exit.Exit<never, JwksKeyNotFound> =>
  Exit.fail(SharedError.make(() => new JwksKeyNotFound({ reason })))

/** Made once: a flood of hostile tokens creates no errors. */
const failures = { unknown: notFound("unknown"), mismatched: notFound("mismatched"), ambiguous: notFound("ambiguous") }

/** The precision of `retryAfter`, in milliseconds. */
const stepMillis = 100

/** Finds keys of one provider: in memory, or else by waiting for a fetch. */
export class KeyLookup {
  #memo: Map<string, Map<string | undefined, Hit>> | undefined
  #memoOf: KeyTrust | undefined
  #lastStale: CachedKeySet | undefined
  #lastFlood: { readonly cooldown: Instant | undefined } | undefined
  #lastUnavailable: {
    readonly millis: number
    readonly lastFailure: ErrorCode.ErrorCode
    readonly exit: Exit.Exit<never, JwksUnavailable>
  } | undefined
  #failureCounters: Map<string, Effect.Effect<void>> | undefined
  readonly #state: ProviderState
  readonly #sharedFetch: SharedFetch<ProviderState>

  constructor(state: ProviderState, sharedFetch: SharedFetch<ProviderState>) {
    this.#state = state
    this.#sharedFetch = sharedFetch
  }

  /** Returns the candidates if memory has them, and counts a hit. Never waits. */
  hit(header: JoseHeader, clock: Clock.Clock): Hit | undefined {
    const at = now(clock)
    const cached = this.#trusted(at)
    if (cached === undefined) return undefined
    const hit = this.#remembered(cached, header) ?? this.#firstHit(cached, header)
    if (hit !== undefined) this.#countHit(cached, at, clock)
    return hit
  }

  /** Returns the candidates of a header for which `hit` returned `undefined`, and counts a miss. */
  miss(header: JoseHeader): Candidates {
    return Effect.clockWith((clock) => this.#countMiss(this.#searchAt(header, start, clock)))
  }

  /** Returns all trusted keys, and fetches them if there are none. Counts a hit or a miss. */
  get keySet(): Effect.Effect<KeySet, JwksUnavailable> {
    return Effect.clockWith((clock) => {
      const at = now(clock)
      const cached = this.#trusted(at)
      if (cached === undefined) return this.#countMiss(this.#searchSet(start))
      this.#countHit(cached, at, clock)
      return Effect.succeed(cached.keySet)
    })
  }

  #trusted({ monotonic, wall }: Instant): CachedKeySet | undefined {
    const { cached } = this.#state.current
    return cached === undefined || monotonic >= cached.staleUntil.monotonic || wall >= cached.staleUntil.wall
      ? undefined
      : cached
  }
  #remembered({ trust }: CachedKeySet, header: JoseHeader): Hit | undefined {
    const memo = this.#memoOf === trust && header.use === undefined ? this.#memo : undefined
    return memo?.get(header.alg)?.get(header.kid)
  }
  #firstHit(cached: CachedKeySet, header: JoseHeader): Hit | undefined {
    const selection = select(cached.keySet, header, ImportedKey.identityOf)
    return selection._tag === "Found" ? this.#memoize(cached, header, selection.keys) : undefined
  }
  /** Remembers the candidates of a set, except for JWT-SVIDs; `undefined` if a key is not imported for the algorithm. */
  #memoize(cached: CachedKeySet, header: JoseHeader, keys: ReadonlyArray<ImportedKey>): Hit | undefined {
    const candidates = candidatesOf(keys, header.alg, cached.trust)
    if (candidates === undefined) return undefined
    if (this.#memo === undefined || this.#memoOf !== cached.trust) {
      this.#memo = new Map()
      this.#memoOf = cached.trust
    }
    const byKid = this.#memo.get(header.alg) ?? new Map<string | undefined, Hit>()
    this.#memo.set(header.alg, byKid)
    const hit = Exit.succeed(candidates)
    if (header.use === undefined) byKid.set(header.kid, hit)
    return hit
  }
  #countHit(cached: CachedKeySet, at: Instant, clock: Clock.Clock): void {
    const { monotonic, wall } = at
    this.#state.noteLookup()
    this.#state.counts.hits++
    if (monotonic >= cached.expiresAt.monotonic || wall >= cached.expiresAt.wall) this.#countStale(cached)
    const isDue = monotonic >= cached.refreshAt.monotonic || wall >= cached.refreshAt.wall
    if (isDue || offset(at) - cached.offset > divergenceLimit) this.#refreshLate(cached, clock)
  }
  #countStale(cached: CachedKeySet): void {
    this.#state.counts.stale++
    if (this.#lastStale === cached) return
    this.#lastStale = cached
    this.#state.publish({ _tag: "StaleServed" })
  }
  /** Starts a refresh that the scheduler missed, as after a suspension. The lookup does not wait for it. */
  #refreshLate(cached: CachedKeySet, clock: Clock.Clock): void {
    if (this.#sharedFetch.isRunning()) return
    const { retryAt } = this.#state.current
    if (retryAt !== undefined && !hasCome(retryAt, clock)) return
    this.#sharedFetch.start({ cause: hasCome(cached.refreshAt, clock) ? "due" : "clock", noCache: false })
  }
  /** A failure without a fetch, as most in a flood or an outage, has no span. */
  #countMiss<A, E extends FindError>(search: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      this.#state.noteLookup()
      this.#state.counts.misses++
      const counted = Effect.tapError(search, (error) => this.#countFailure(error))
      // Nothing exports the spans of Effect's native tracer, and a thousand callers may wait for one fetch.
      return Exit.isExit(search) || fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
        ? counted
        : Effect.withSpan(counted, "JwksCache.find", { attributes: this.#state.labels, captureStackTrace: false })
    })
  }
  #countFailure(error: FindError): Effect.Effect<void> {
    // The series of a closed provider are removed.
    if (this.#state.isClosed) return Effect.void
    const reason = error._tag === "JwksKeyNotFound" ? error.reason : "unavailable"
    const existing = this.#failureCounters?.get(reason)
    if (existing !== undefined) return existing
    const counter = MetricSeries.incrementer("jwksLookupFailures", { ...this.#state.labels, reason })
    this.#failureCounters ??= new Map()
    this.#failureCounters.set(reason, counter)
    return counter
  }

  #search(header: JoseHeader, progress: Progress): Candidates {
    return Effect.clockWith((clock) => this.#searchAt(header, progress, clock))
  }
  #searchAt(header: JoseHeader, progress: Progress, clock: Clock.Clock): Candidates {
    if (header.kid !== undefined && header.kid.length > maxKidLength) return failures.unknown
    const cached = this.#unexpired(clock)
    if (cached === undefined) return this.#load((next) => this.#search(header, next), progress, clock)
    const remembered = this.#remembered(cached, header)
    if (remembered !== undefined) return remembered
    const selection = select(cached.keySet, header, ImportedKey.identityOf)
    if (selection._tag === "Found") return this.#importThen(cached, header, selection.keys, progress)
    return selection.reason === "unknown" ? this.#unknown(header, progress, clock) : failures[selection.reason]
  }
  #searchSet(progress: Progress): Effect.Effect<KeySet, JwksUnavailable> {
    return Effect.clockWith((clock) => {
      const cached = this.#unexpired(clock)
      return cached === undefined
        ? this.#load((next) => this.#searchSet(next), progress, clock)
        : Effect.succeed(cached.keySet)
    })
  }
  #unexpired(clock: Clock.Clock): CachedKeySet | undefined {
    this.#state.expire(clock)
    return this.#state.current.cached
  }

  /** Loads keys if none are trusted: joins the running fetch, or starts one unless the delay after a failure forbids it. */
  #load<A, E>(
    again: (progress: Progress) => Effect.Effect<A, E>,
    progress: Progress,
    clock: Clock.Clock
  ): Effect.Effect<A, E | JwksUnavailable> {
    const { retryAt } = this.#state.current
    const isAllowed = this.#sharedFetch.isRunning() || retryAt === undefined || hasCome(retryAt, clock)
    return progress.started > 1 || !isAllowed
      ? this.#unavailable(clock)
      : this.#fetchThen({ cause: "lookup", noCache: false }, again, progress, clock)
  }

  /**
   * Handles a key that is not in the set: it causes one fetch in each cooldown, shared by all unknown keys. If the last fetch
   * failed, the key may exist: the lookup fails as unavailable (503), not as not found (401).
   */
  #unknown(header: JoseHeader, progress: Progress, clock: Clock.Clock): Candidates {
    const { current } = this.#state
    if (progress.started > 0) return failures.unknown
    const isRunning = this.#sharedFetch.isRunning()
    const isLimited = [current.unknownAt, current.retryAt].some((at) => at !== undefined && !hasCome(at, clock))
    if (isRunning ? progress.joined > 1 : isLimited) {
      this.#countFlood(current.unknownAt)
      return current.failures > 0 ? this.#unavailable(clock) : failures.unknown
    }
    if (!isRunning) {
      const unknownAt = after(now(clock), Duration.toMillis(this.#state.options.negativeCacheTtl))
      this.#state.apply({ state: { ...current, unknownAt }, transitions: [] })
    }
    const request: FetchRequest = { cause: "unknownKey", noCache: true }
    return this.#fetchThen(request, (next) => this.#search(header, next), progress, clock)
  }
  #countFlood(cooldown: Instant | undefined): void {
    this.#state.counts.floodLimited++
    if (this.#lastFlood !== undefined && this.#lastFlood.cooldown === cooldown) return
    this.#lastFlood = { cooldown }
    this.#state.publish({ _tag: "FloodLimited" })
  }

  /** Waits for a fetch, then searches again. */
  #fetchThen<A, E>(
    request: FetchRequest,
    again: (progress: Progress) => Effect.Effect<A, E>,
    progress: Progress,
    clock: Clock.Clock
  ): Effect.Effect<A, E | JwksUnavailable> {
    const isOwn = !this.#sharedFetch.isRunning()
    return Effect.matchEffect(this.#sharedFetch.wait(request, clock), {
      onFailure: ({ code }) =>
        code === "SHUTTING_DOWN" ? Effect.fail(new JwksUnavailable({ lastFailure: code })) : this.#unavailable(clock),
      // A restored snapshot is not a response of the provider: a key that it lacks may still be fetched.
      onSuccess: (result) =>
        again({
          started: progress.started + (isOwn && result !== "restored" ? 1 : 0),
          joined: progress.joined + (isOwn || result === "restored" ? 0 : 1)
        })
    })
  }
  /** One error for each tenth of a second and cause: in an outage every token fails here. */
  #unavailable(clock: Clock.Clock): Exit.Exit<never, JwksUnavailable> {
    const { lastFailure = "TIMEOUT", retryAt } = this.#state.current
    const millis = retryAt === undefined ? 0 : Math.ceil(until(retryAt, now(clock)) / stepMillis) * stepMillis
    const last = this.#lastUnavailable
    if (last?.millis === millis && last.lastFailure === lastFailure) return last.exit
    const retryAfter = Duration.millis(millis)
    const exit = Exit.fail(SharedError.make(() => new JwksUnavailable({ lastFailure, retryAfter })))
    this.#lastUnavailable = { millis, lastFailure, exit }
    return exit
  }

  /** Imports the keys for the algorithm of the header, then returns them. A key that the platform rejects is left out. */
  #importThen(
    cached: CachedKeySet,
    header: JoseHeader,
    keys: ReadonlyArray<ImportedKey>,
    progress: Progress
  ): Candidates {
    // Once for each algorithm: a rejected key is not imported again for each token.
    const { importsOf } = ImportedKey
    const imports = Effect.forEach(keys.filter((key) => !importsOf(key).has(header.alg)), (key) =>
      Effect.map(
        Effect.option(this.#state.services.importKey(key, header.alg)),
        (imported) => importsOf(key).set(header.alg, Option.getOrUndefined(imported))
      ))
    return Effect.flatMap(Effect.andThen(imports, Clock.Clock), (clock) => {
      const usable = keys.filter((key) => importsOf(key).get(header.alg) !== undefined)
      // The trust in the keys may have ended during the import.
      if (!cached.trust.holds(clock)) return this.#search(header, progress)
      return usable.length === 0
        ? failures.mismatched
        : this.#memoize(cached, header, usable) ?? failures.mismatched
    })
  }
}

/** Finds the candidates of a header in memory, or else by `miss`. */
export const findIn = (lookup: KeyLookup, header: JoseHeader): Candidates =>
  Effect.withFiber((fiber) => lookup.hit(header, fiber.getRef(Clock.Clock)) ?? lookup.miss(header))
