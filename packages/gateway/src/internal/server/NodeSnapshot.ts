/**
 * One configuration in use: its buckets with their stores, policies, limits and lists.
 *
 * A part whose options did not change is taken over from the configuration before: its connections, circuits, keys and remembered tokens
 * stay. A part ends with the last configuration that uses it, after the last request that began under that.
 */
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import type { Egress } from "@keelson/jwks/Egress"
import type * as KeySource from "@keelson/jwks/KeySource"
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import type { Bucket, RateLimit } from "../../BucketOptions.ts"
import * as Cors from "../../Cors.ts"
import type { GatewayConfig } from "../../GatewayConfig.ts"
import * as HeaderRules from "../../HeaderRules.ts"
import * as ObjectKey from "../../ObjectKey.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import { BucketCounts } from "./counts.ts"
import { type Authentication, makeAuthentication } from "./NodeAuthentication.ts"
import type { BucketCaching, Limits, RoutedBucket, ServedBucket, Snapshot } from "./NodeServed.ts"

/** What makes the parts of a configuration. */
export interface Makers {
  readonly store: (bucket: Bucket) => Effect.Effect<ObjectStore, ConfigurationError, Scope.Scope>
  /** Makes the limits of buckets, with the store of a configuration. */
  readonly limits: (config: GatewayConfig) => Effect.Effect<MakeLimits, ConfigurationError, Scope.Scope>
  readonly access: (bucket: Bucket) => (address: string) => boolean
  readonly clientAddress: (config: GatewayConfig) => Snapshot["clientAddress"]
}

/** Makes the limits of a bucket. */
export type MakeLimits = (name: string, options: RateLimit) => Limits

/** A part with the options that it was made of. */
interface Part<A> {
  readonly name: string
  readonly options: unknown
  readonly value: A
  readonly scope: Scope.Closeable
  users: number
}

/** The parts of one kind. */
class Parts<A> {
  readonly #scope: Scope.Scope
  #parts: ReadonlyArray<Part<A>> = []

  constructor(scope: Scope.Scope) {
    this.#scope = scope
  }
  /** The part with these options, or a new one. `used` gets what releases it again. */
  use<E, R>(
    used: Array<Effect.Effect<void>>,
    name: string,
    options: unknown,
    make: Effect.Effect<A, E, R | Scope.Scope>
  ): Effect.Effect<A, E, Exclude<R, Scope.Scope>> {
    return Effect.suspend(() => {
      const existing = this.#parts.find((one) => one.name === name && Equal.equals(one.options, options))
      if (existing !== undefined) {
        existing.users++
        used.push(this.#release(existing))
        return Effect.succeed(existing.value)
      }
      return Effect.flatMap(Scope.fork(this.#scope), (scope) =>
        Effect.map(
          Effect.onError(Scope.provide(make, scope), () => Scope.close(scope, Exit.void)),
          (value) => {
            const part = { name, options, value, scope, users: 1 }
            this.#parts = [...this.#parts, part]
            used.push(this.#release(part))
            return value
          }
        ))
    })
  }
  #release(part: Part<A>): Effect.Effect<void> {
    return Effect.suspend(() => {
      part.users--
      if (part.users > 0) return Effect.void
      this.#parts = this.#parts.filter((one) => one !== part)
      return Scope.close(part.scope, Exit.void)
    })
  }
}

export type SnapshotError = ConfigurationError | KeySource.BuildError

type Requirements = Egress | FileSystem.FileSystem

/** The configurations in use: the current one, and older ones with running requests. */
export class Snapshots {
  readonly #makers: Makers
  readonly #scope: Scope.Scope
  readonly #counts = new Map<string, BucketCounts>()
  readonly #authentications: Parts<Authentication>
  readonly #stores: Parts<ObjectStore>
  readonly #limitStores: Parts<MakeLimits>
  readonly #limits: Parts<Limits>

  constructor(makers: Makers, scope: Scope.Scope) {
    this.#makers = makers
    this.#scope = scope
    this.#authentications = new Parts(scope)
    this.#stores = new Parts(scope)
    this.#limitStores = new Parts(scope)
    this.#limits = new Parts(scope)
  }

  /** Makes the parts of a configuration. Nothing of a configuration that fails stays. */
  make(config: GatewayConfig): Effect.Effect<Lease, SnapshotError, Requirements> {
    const used: Array<Effect.Effect<void>> = []
    const release = Effect.suspend(() => Effect.all(used, { discard: true }))
    const authentication = (name: string) =>
      Effect.suspend((): Effect.Effect<Authentication | undefined, SnapshotError, Requirements> => {
        const auth = Object.hasOwn(config.auth, name) ? config.auth[name] : undefined
        return auth === undefined
          ? Effect.undefined
          : this.#authentications.use(used, name, auth, makeAuthentication(name, auth))
      })
    const bucketOf = (options: Bucket) =>
      Effect.gen({ self: this }, function*(): Effect.fn.Return<ServedBucket, SnapshotError, Requirements> {
        const { name } = options
        const limits = yield* this.#limitStores.use(used, "", config.rateLimits, this.#makers.limits(config))
        const policy = options.public ? undefined : yield* authentication(options.auth)
        const { breaker, replicas, rateLimit } = options
        return {
          options,
          variant: variantOf(options),
          cors: Cors.make(options.methods, options.cors),
          headers: HeaderRules.make(options.headers ?? { request: [], response: [] }),
          store: yield* this.#stores.use(used, name, { breaker, replicas }, this.#makers.store(options)),
          limits: rateLimit === undefined
            ? undefined
            : yield* this.#limits.use(used, name, { rateLimit, limits }, Effect.sync(() => limits(name, rateLimit))),
          // A bucket that is not public and has no policy, which the configuration refuses, admits nobody.
          authenticate: options.public ? undefined : policy?.authenticate ?? (() => Effect.die("no policy")),
          allows: this.#makers.access(options),
          caching: cachingOf(config, options),
          counts: yield* this.#countsOf(name),
          vary: policy?.vary,
          tokenParameter: policy?.tokenParameter,
          prepared: new WeakMap()
        }
      })
    const parts = Effect.all([
      Effect.forEach(config.buckets, bucketOf),
      config.admin.enabled ? authentication(config.admin.auth) : Effect.undefined
    ])
    return Effect.map(
      Effect.onError(parts, () => release),
      ([buckets, admin]): Lease => {
        const routed = buckets.map((served): RoutedBucket => ({ ...served.options, served }))
        return new Lease(
          {
            config,
            buckets,
            route: ObjectKey.router(routed),
            admin: admin?.authenticate,
            clientAddress: this.#makers.clientAddress(config)
          },
          release
        )
      }
    )
  }

  /** Counters must not fall: they stay over reloads. */
  #countsOf(name: string): Effect.Effect<BucketCounts> {
    const existing = this.#counts.get(name)
    if (existing !== undefined) return Effect.succeed(existing)
    const counts = new BucketCounts()
    this.#counts.set(name, counts)
    return Effect.as(Scope.provide(counts.register(name), this.#scope), counts)
  }
}

/** A configuration in use, which ends after the last request that began under it. */
export class Lease {
  readonly snapshot: Snapshot
  readonly #release: Effect.Effect<void>
  #requests = 0
  #isReplaced = false

  constructor(snapshot: Snapshot, release: Effect.Effect<void>) {
    this.snapshot = snapshot
    this.#release = release
  }
  /** A request begins under the configuration. */
  take(): void {
    this.#requests++
  }
  /** A request has ended. Returns what is left to do. */
  giveBack(): Effect.Effect<void> | undefined {
    this.#requests--
    return this.#isReplaced && this.#requests === 0 ? this.#release : undefined
  }
  /** Another configuration took its place. */
  replace(): Effect.Effect<void> {
    this.#isReplaced = true
    return this.#requests === 0 ? this.#release : Effect.void
  }
}

/**
 * Another store under the same name, also after a restart, must not be answered with entries of the one before. The first replica names it:
 * the others have the same objects.
 */
const variantOf = ({ replicas: [first] }: Bucket): string =>
  createHash("sha256").update(JSON.stringify([first?.endpoint, first?.bucket])).digest("hex").slice(0, 16)

const tiersOf = ({ cache }: GatewayConfig) =>
  cache.layers.map((layer) => {
    const own = cache[layer]
    return {
      ttl: own?.ttl ?? Duration.hours(1),
      maxItemSize: Number(own?.maxItemSize ?? (layer === "disk" ? ByteSize.gibibytes(1) : ByteSize.mebibytes(10)))
    }
  })

/** How entries of a bucket are stored: its own options over those for its name over those of the tiers. */
const cachingOf = (config: GatewayConfig, { cache, name, staleWindow }: Bucket): BucketCaching => {
  const own = cache ?? (Object.hasOwn(config.cache.buckets, name) ? config.cache.buckets[name] : undefined)
  const tiers = tiersOf(config)
  const isEnabled = config.cache.enabled && own?.enabled !== false
  const largest = Math.max(...tiers.map(({ maxItemSize }) => maxItemSize))
  const millis = tiers.map(({ ttl }) => Duration.isZero(ttl) ? Number.POSITIVE_INFINITY : Duration.toMillis(ttl))
  return {
    maxItemSize: isEnabled ? Math.min(largest, Number(own?.maxItemSize ?? largest)) : 0,
    ttl: own?.ttl ?? (new Set(millis).size === 1 ? tiers[0]?.ttl : undefined),
    shortest: Math.min(...millis),
    staleMillis: Duration.toMillis(staleWindow)
  }
}
