import { type KeelsonError, Metrics } from "@keelson/core"
import { Clock, Effect, Option, type Scope } from "effect"
import { Egress } from "../Egress.ts"
import type { JwksOptions } from "../JwksOptions.ts"
import { JwksSnapshots } from "../JwksSnapshots.ts"
import type { Health, JwksStatus } from "../JwksStatus.ts"
import { acceptSeed } from "./accept.ts"
import { Engine, FetchPermits, type Surroundings } from "./engine.ts"
import { rulesOf } from "./fetchKeySet.ts"
import { type Flight, type FlightError, makeFlight } from "./flight.ts"
import { KeyImport } from "./importKey.ts"
import { hasCome, type Instant, now } from "./instant.ts"
import type { Held } from "./lifecycle.ts"
import { Lookups } from "./lookup.ts"
import { makeOrigin } from "./origin.ts"
import { registerHealth } from "./providerMetrics.ts"
import { healthOf, statusOf } from "./providerStatus.ts"
import { invalidate, refresh, type Refreshed } from "./refresher.ts"
import { makeSaver, type Saver } from "./saver.ts"
import type { Scheduled } from "./scheduler.ts"

/** How many events are kept for a subscriber that is slow, before it loses the oldest. */
export const eventCapacity = 1024

/** Keys that are handed on, with where they came from. */
export interface Seed {
  readonly configured: string
  readonly held: Held | undefined
}

/** The keys of one provider. */
export class Provider extends Lookups implements Scheduled {
  readonly #saver: Saver<Held> | undefined
  /** When the first fetch is due by itself, which the scheduler's fiber starts. */
  readonly #startAt: Instant | undefined

  constructor(engine: Engine, flight: Flight, saver: Saver<Held> | undefined, startAt: Instant | undefined) {
    super(engine, flight)
    this.#saver = saver
    this.#startAt = startAt
  }

  dueAt(): Instant | undefined {
    const staleUntil = this.engine.state.held?.staleUntil
    const next = this.flight.isUnderWay() ? undefined : this.#nextFetch()
    if (next === undefined || staleUntil === undefined) return next ?? staleUntil
    return next.monotonic < staleUntil.monotonic ? next : staleUntil
  }
  tick(clock: Clock.Clock): void {
    const next = this.#nextFetch()
    this.engine.expire(clock)
    if (this.flight.isUnderWay() || next === undefined || !hasCome(next, clock)) return
    const first = this.engine.isStarted ? "retry" : "start"
    this.flight.start({ cause: this.engine.state.held === undefined ? first : "due", noCache: false })
  }
  /** When a fetch is made by itself. */
  #nextFetch(): Instant | undefined {
    const { held, phase, retryAt } = this.engine.state
    if (phase === "Ready") return held.refreshAt
    if (phase === "Refreshing") return retryAt ?? held.refreshAt
    return retryAt ?? (this.engine.isStarted ? undefined : this.#startAt)
  }

  /** Fetches now, or joins the fetch that is under way. */
  get refresh(): Effect.Effect<Refreshed, FlightError> {
    return this.flight.join({ cause: "forced", noCache: true })
  }
  /** Ends the trust in the keys. */
  get invalidate(): Effect.Effect<void> {
    return Effect.sync(() => invalidate(this.engine))
  }
  get status(): Effect.Effect<JwksStatus> {
    return Effect.clockWith((clock) => Effect.sync(() => statusOf(this.engine, clock)))
  }
  get health(): Effect.Effect<Health> {
    return Effect.clockWith((clock) => Effect.sync(() => healthOf(this.engine, clock)))
  }
  /** Writes what is not written yet to the store of snapshots. */
  get persist(): Effect.Effect<void> {
    return this.#saver?.flush ?? Effect.void
  }
  /** Takes its snapshot out of the store. */
  get forget(): Effect.Effect<void> {
    const { around: { providerId, tenantId }, options: { issuer }, origin, snapshots } = this.engine.parts
    return snapshots === undefined
      ? Effect.void
      : Effect.ignore(snapshots.remove({ tenantId, providerId, issuer, url: origin.configured }))
  }
  /** The keys that are trusted now. */
  held(clock: Clock.Clock): Held | undefined {
    const { held } = this.engine.state
    return held !== undefined && !hasCome(held.staleUntil, clock) ? held : undefined
  }
  /** Another one takes its place: it tells of nothing any more. */
  replaced(): void {
    this.engine.isReplaced = true
  }
  /** What it can hand on. */
  seed(clock: Clock.Clock): Seed {
    return { configured: this.engine.parts.origin.configured, held: this.held(clock) }
  }
}

const save = ({ labels, parts }: Engine, snapshots: JwksSnapshots["Service"], held: Held): Effect.Effect<void> =>
  snapshots.save({
    tenantId: parts.around.tenantId,
    providerId: parts.around.providerId,
    issuer: parts.options.issuer,
    url: parts.origin.configured,
    body: held.body,
    etag: held.headers["etag"],
    lastModified: held.headers["last-modified"],
    receivedAt: held.since.wall,
    expiresAt: held.expiresAt.wall,
    staleUntil: held.staleUntil.wall
  }).pipe(
    Effect.catch((error) =>
      Effect.andThen(
        Metrics.increment("jwksSnapshotErrors", labels),
        Effect.logDebug("The snapshot of a key set was not written", error)
      )
    )
  )

/**
 * The keys of one provider, which live in the scope: its end stops a fetch that is under way, fails who waits for it at
 * once, and ends the trust in the keys. `seed` is what a provider that this one replaces holds.
 *
 * Fails with `NetworkError` (`EGRESS_REFUSED`, `DISCOVERY_INVALID`) for a URL or issuer that could never be fetched.
 */
export const makeProvider = Effect.fnUntraced(function*(
  options: JwksOptions,
  around: Surroundings,
  seed?: Seed
): Effect.fn.Return<Provider, KeelsonError.NetworkError, Egress | Scope.Scope> {
  const clock = yield* Clock.Clock
  const egress = yield* Egress
  const snapshots = Option.getOrUndefined(yield* Effect.serviceOption(JwksSnapshots))
  const origin = yield* Effect.fromResult(makeOrigin(options, egress))
  yield* egress.check(origin.configured, rulesOf(options))

  const permits = yield* FetchPermits
  const engine = new Engine({ around, options, egress, importKey: yield* KeyImport, permits, snapshots, origin })
  engine.context = yield* Effect.context<Scope.Scope>()
  yield* registerHealth(engine)
  const saver = snapshots === undefined ? undefined : yield* makeSaver((held: Held) => save(engine, snapshots, held))
  engine.onAccepted = saver?.save
  const flight = yield* makeFlight((request) => refresh(engine, request), () => engine.poke())
  const provider = new Provider(engine, flight, saver, options.prefetch ? now(clock) : undefined)
  engine.scheduled = provider
  yield* Effect.acquireRelease(
    Effect.sync(() => around.scheduler.add(provider)),
    () =>
      Effect.sync(() => {
        around.scheduler.remove(provider)
        invalidate(engine)
      })
  )
  if (seed?.held !== undefined && seed.configured === origin.configured) acceptSeed(engine, seed.held, now(clock))
  return provider
})
