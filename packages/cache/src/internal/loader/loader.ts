import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { CacheEntry, NewEntry } from "../../CacheEntry.ts"
import type { CacheError } from "../../CacheError.ts"
import type { CacheKey } from "../../CacheKey.ts"
import type { Confirmed, Loaded } from "../../CacheLoader.ts"
import type { CacheTier } from "../../CacheTier.ts"
import { entryOf } from "../tier/loaded.ts"

/** A load that callers wait for. */
interface Flight<E> {
  readonly done: Deferred.Deferred<CacheEntry, E | SingleFlight.Closed>
  /** Whether the item may be stored: it was not invalidated meanwhile. */
  isCurrent: boolean
}

/** How loaded items live. */
export interface LoadPolicy {
  readonly ttl?: Duration.Duration
  readonly ttlJitter: number
  readonly staleWindow: Duration.Duration
  readonly serveStale: "failure" | "always"
}

/** A loader of items that are named by a key, and found by an input. */
export interface Loader<Input, E> {
  readonly getOrLoad: (key: CacheKey, input: Input) => Effect.Effect<CacheEntry, E | SingleFlight.Closed>
  readonly reload: (key: CacheKey, input: Input) => Effect.Effect<CacheEntry, E | SingleFlight.Closed>
  readonly invalidate: (key: CacheKey) => Effect.Effect<boolean, CacheError>
}

const closed = new SingleFlight.Closed({})

/** A life shortened at random. Zero, which means for ever, stays zero. */
const shortened = (ttl: Duration.Duration, jitter: number): Effect.Effect<Duration.Duration> =>
  Duration.isZero(ttl) || jitter === 0
    ? Effect.succeed(ttl)
    : Effect.map(
      Random.next,
      (random) => Duration.millis(Math.max(1, Math.round(Duration.toMillis(ttl) * (1 - jitter * random))))
    )

/** Makes a loader. Loads run in the scope and the context of this effect. */
export const makeLoader = Effect.fnUntraced(function*<Input, E, R>(
  cache: CacheTier,
  load: (input: Input, previous: CacheEntry | undefined) => Effect.Effect<Loaded | Confirmed, E, R>,
  { serveStale, staleWindow, ttl, ttlJitter }: LoadPolicy
): Effect.fn.Return<Loader<Input, E>, never, R | Scope.Scope> {
  const flights = new Map<string, Flight<E>>()
  let isClosed = false
  const runFork = yield* FiberSet.makeRuntime<R>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const { done } of flights.values()) Deferred.doneUnsafe(done, Exit.fail(closed))
    })
  )

  const life = ({ ttl: own }: Pick<NewEntry, "ttl">) =>
    Effect.suspend((): Effect.Effect<Pick<NewEntry, "ttl" | "staleWindow">> => {
      const given = own ?? ttl
      // The ttl of the tier is not known here.
      if (given === undefined) return Effect.succeed({ staleWindow })
      return Effect.map(shortened(given, ttlJitter), (shorter) => ({ ttl: shorter, staleWindow }))
    })
  const look = (key: CacheKey) => Effect.orElseSucceed(cache.get(key), () => undefined)
  const peek = (key: CacheKey) => Effect.orElseSucceed(cache.get(key, { stale: true, peek: true }), () => undefined)

  const store = Effect.fnUntraced(function*(key: CacheKey, loaded: Loaded, flight: Flight<E>) {
    const entry = { ...loaded, ...(yield* life(loaded)) }
    if (flight.isCurrent) {
      yield* Effect.ignore(cache.set(key, entry))
      // Invalidated while it was stored.
      if (!flight.isCurrent) yield* Effect.ignore(cache.delete(key))
    }
    return entryOf(entry, yield* Clock.Clock)
  })
  const run = Effect.fnUntraced(function*(key: CacheKey, input: Input, flight: Flight<E>) {
    const previous = yield* peek(key)
    const result = yield* load(input, previous)
    if (!("confirmed" in result)) return yield* store(key, result, flight)
    if (flight.isCurrent) {
      yield* Effect.ignore(cache.refresh(key, { ...result.confirmed, ...(yield* life(result.confirmed)) }))
    }
    const confirmed = (yield* peek(key)) ?? previous
    // The source confirmed an item that it was not asked about: it must send it.
    if (confirmed !== undefined) return confirmed
    const again = yield* load(input, undefined)
    return "confirmed" in again
      ? yield* Effect.die(new Error("A source confirmed an item that the cache does not have"))
      : yield* store(key, again, flight)
  })
  const share = (key: CacheKey, input: Input): Effect.Effect<CacheEntry, E | SingleFlight.Closed> =>
    Effect.suspend(() => {
      if (isClosed) return Effect.fail(closed)
      const existing = flights.get(key.id)
      if (existing !== undefined) return Deferred.await(existing.done)
      const flight: Flight<E> = { done: Deferred.makeUnsafe(), isCurrent: true }
      flights.set(key.id, flight)
      runFork(Effect.onExit(run(key, input, flight), (exit) =>
        Effect.sync(() => {
          if (flights.get(key.id) === flight) flights.delete(key.id)
          Deferred.doneUnsafe(flight.done, exit)
        })))
      return Deferred.await(flight.done)
    })
  /** The load, or what the cache still has once it failed: a load may take longer than the stale window. */
  const orStale = (key: CacheKey, input: Input): Effect.Effect<CacheEntry, E | SingleFlight.Closed> =>
    Effect.catch(
      share(key, input),
      (error) => Effect.flatMap(peek(key), (stale) => stale === undefined ? Effect.fail(error) : Effect.succeed(stale))
    )
  const staleOr = (key: CacheKey, input: Input): Effect.Effect<CacheEntry, E | SingleFlight.Closed> =>
    Effect.flatMap(peek(key), (stale) =>
      stale === undefined
        ? share(key, input)
        : Effect.as(Effect.forkDetach(Effect.ignore(share(key, input))), stale))

  return {
    reload: share,
    invalidate: (key) =>
      Effect.suspend(() => {
        const flight = flights.get(key.id)
        if (flight !== undefined) flight.isCurrent = false
        flights.delete(key.id)
        return cache.delete(key)
      }),
    // A slower tier may have an item that has not expired.
    getOrLoad: (key, input) =>
      Effect.flatMap(look(key), (entry) => {
        if (entry !== undefined) return Effect.succeed(entry)
        return serveStale === "failure" ? orStale(key, input) : staleOr(key, input)
      })
  }
})
