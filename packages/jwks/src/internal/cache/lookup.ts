import * as Metrics from "@keelson/core/Metrics"
import { after, hasCome, type Instant, now, until } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { JwksKeyNotFound, JwksUnavailable, type NotFoundReason } from "../../JwksError.ts"
import type { ImportedKey, KeySet } from "../../KeySet.ts"
import type { FetchRequest } from "../http/fetchKeySet.ts"
import type { Candidate, JoseHeader } from "../keys/candidate.ts"
import { maxKidLength, select } from "../keys/keySelection.ts"
import { type Found, Hits } from "./hits.ts"
import type { CachedKeySet } from "./lifecycle.ts"

export type FindError = JwksKeyNotFound | JwksUnavailable

type Candidates = Effect.Effect<ReadonlyArray<Candidate>, FindError>

/** Looking up keys of one provider. */
export interface Lookup {
  /** The candidates, where memory has them: counts a hit, and never waits. */
  readonly hit: (header: JoseHeader, clock: Clock.Clock) => Found | undefined
  /** The candidates, for a header that `hit` does not answer: counts a miss. */
  readonly miss: (header: JoseHeader) => Candidates
}

/**
 * How far a lookup has come: it waits for one fetch that was under way, which may have begun before a rotation, and for one
 * that began after; and causes one, or two where the keys that came were too old at once, since the wall clock was set
 * meanwhile.
 */
interface Progress {
  readonly joined: number
  readonly asked: number
}

/**
 * How much longer than the deadline of a fetch a lookup waits: for a snapshot, and for a permit, of which there may be too
 * few for long, as thousands may be due at once.
 */
const patience = Duration.seconds(1)

const start: Progress = { joined: 0, asked: 0 }

const notFound = (reason: NotFoundReason) => Effect.fail(new JwksKeyNotFound({ reason }))

/** Lookups, which wait for a fetch where they have to. */
export class Lookups extends Hits implements Lookup {
  #floodTold: { readonly cooldown: Instant | undefined } | undefined

  miss(header: JoseHeader): Candidates {
    return this.#missed(this.#search(header, start))
  }

  /** All keys that are trusted, which are fetched if there are none: counts a hit or a miss. */
  get keySet(): Effect.Effect<KeySet, JwksUnavailable> {
    return Effect.clockWith((clock) => {
      const found = this.set(clock)
      return found === undefined ? this.#missed(this.#searchSet(start)) : Effect.succeed(found)
    })
  }

  #failed(error: FindError): Effect.Effect<void> {
    const reason = error._tag === "JwksKeyNotFound" ? error.reason : "unavailable"
    return Metrics.increment("jwksLookupFailures", { ...this.engine.labels, reason })
  }
  #missed<A, E extends FindError>(search: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.engine.noteLookup()
      this.engine.counts.misses++
      const counted = Effect.tapError(search, (error) => this.#failed(error))
      return Effect.withSpan(counted, "JwksCache.find", { attributes: this.engine.labels, captureStackTrace: false })
    })
  }

  #search(header: JoseHeader, progress: Progress): Candidates {
    return Effect.clockWith((clock) => {
      if (header.kid !== undefined && header.kid.length > maxKidLength) return notFound("unknown")
      const held = this.#trustedNow(clock)
      if (held === undefined) return this.#load((next) => this.#search(header, next), progress, clock)
      const selection = select(held.set, header)
      if (selection._tag === "Found") return this.#imported(held, header, selection.keys, progress)
      return selection.reason === "unknown" ? this.#unknown(header, progress, clock) : notFound(selection.reason)
    })
  }
  #searchSet(progress: Progress): Effect.Effect<KeySet, JwksUnavailable> {
    return Effect.clockWith((clock) => {
      const held = this.#trustedNow(clock)
      return held === undefined
        ? this.#load((next) => this.#searchSet(next), progress, clock)
        : Effect.succeed(held.set)
    })
  }
  /** The keys that are trusted. */
  #trustedNow(clock: Clock.Clock): CachedKeySet | undefined {
    this.engine.expire(clock)
    return this.engine.state.held
  }

  /** No trusted keys: the fetch that is under way, or a new one where the last failure allows it. */
  #load<A, E>(
    again: (progress: Progress) => Effect.Effect<A, E>,
    progress: Progress,
    clock: Clock.Clock
  ): Effect.Effect<A, E | JwksUnavailable> {
    const { retryAt } = this.engine.state
    const isAllowed = this.flight.isUnderWay() || retryAt === undefined || hasCome(retryAt, clock)
    return progress.asked > 1 || !isAllowed
      ? this.#unavailable(clock)
      : this.#fetchThen({ cause: "lookup", noCache: false }, again, progress, clock)
  }

  /**
   * A key that the set does not have may ask the provider, once in each cooldown for all of them. Where the last fetch
   * failed, nobody knows whether the key exists: that is no 401.
   */
  #unknown(header: JoseHeader, progress: Progress, clock: Clock.Clock): Candidates {
    const { state } = this.engine
    if (progress.asked > 0) return notFound("unknown")
    const isUnderWay = this.flight.isUnderWay()
    const isLimited = [state.unknownAt, state.retryAt].some((at) => at !== undefined && !hasCome(at, clock))
    if (isUnderWay ? progress.joined > 1 : isLimited) {
      this.#flooded(state.unknownAt)
      return state.failures > 0 ? this.#unavailable(clock) : notFound("unknown")
    }
    if (!isUnderWay) {
      const unknownAt = after(now(clock), Duration.toMillis(this.engine.parts.options.negativeCacheTtl))
      this.engine.apply({ state: { ...state, unknownAt }, transitions: [] })
    }
    const request: FetchRequest = { cause: "unknownKey", noCache: true }
    return this.#fetchThen(request, (next) => this.#search(header, next), progress, clock)
  }
  #flooded(cooldown: Instant | undefined): void {
    this.engine.counts.floodLimited++
    if (this.#floodTold !== undefined && this.#floodTold.cooldown === cooldown) return
    this.#floodTold = { cooldown }
    this.engine.publish({ _tag: "FloodLimited" })
  }

  /** Waits for a fetch, and looks again. */
  #fetchThen<A, E>(
    request: FetchRequest,
    again: (progress: Progress) => Effect.Effect<A, E>,
    progress: Progress,
    clock: Clock.Clock
  ): Effect.Effect<A, E | JwksUnavailable> {
    const isOwn = !this.flight.isUnderWay()
    const waited = Effect.timeoutOrElse(this.flight.join(request), {
      duration: Duration.sum(this.engine.parts.options.deadline, patience),
      orElse: () => Effect.fail({ code: "TIMEOUT" } as const)
    })
    return Effect.matchEffect(waited, {
      onFailure: ({ code }) =>
        code === "SHUTTING_DOWN" ? Effect.fail(new JwksUnavailable({ lastFailure: code })) : this.#unavailable(clock),
      // A snapshot is no answer of the provider: what it lacks is still to be asked for.
      onSuccess: (how) =>
        again({
          asked: progress.asked + (isOwn && how !== "restored" ? 1 : 0),
          joined: progress.joined + (isOwn || how === "restored" ? 0 : 1)
        })
    })
  }
  #unavailable(clock: Clock.Clock): Effect.Effect<never, JwksUnavailable> {
    const { lastFailure = "TIMEOUT", retryAt } = this.engine.state
    const wait = retryAt === undefined ? 0 : until(retryAt, now(clock))
    return Effect.fail(new JwksUnavailable({ lastFailure, retryAfter: Duration.millis(wait) }))
  }

  /** Keys that are not imported for the algorithm yet; one that can't be is no candidate. */
  #imported(
    held: CachedKeySet,
    header: JoseHeader,
    keys: ReadonlyArray<ImportedKey>,
    progress: Progress
  ): Candidates {
    // Once for each algorithm: what was refused is not tried again for each token.
    const tried = Effect.forEach(keys.filter((key) => !key.imported.has(header.alg)), (key) =>
      Effect.map(
        Effect.option(this.engine.parts.importKey(key, header.alg)),
        (made) => key.imported.set(header.alg, Option.getOrUndefined(made))
      ))
    return Effect.flatMap(Effect.andThen(tried, Clock.Clock), (clock) => {
      const found = keys.filter((key) => key.imported.get(header.alg) !== undefined)
      // The trust in the keys may have ended meanwhile.
      if (!held.trust.holds(clock)) return this.#search(header, progress)
      return found.length === 0 ? notFound("mismatched") : this.remember(held, header, found) ?? notFound("mismatched")
    })
  }
}

/** A lookup that costs nothing beyond itself where memory has the key. */
export const findIn = (provider: Lookup, header: JoseHeader): Candidates =>
  Effect.withFiber((fiber) => provider.hit(header, fiber.getRef(Clock.Clock)) ?? provider.miss(header))
