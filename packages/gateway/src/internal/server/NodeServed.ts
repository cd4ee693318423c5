/**
 * What a request needs to know of its bucket, and what all requests share.
 */
import type { CacheEntry } from "@keelson/cache/CacheEntry"
import type { TieredCache } from "@keelson/cache/TieredCache"
import type { HttpSecurityError } from "@keelson/token/HttpSecurityError"
import type { Principal } from "@keelson/token/Principal"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { IncomingMessage } from "node:http"
import type { Bucket } from "../../BucketOptions.ts"

import type { Cors } from "../../Cors.ts"
import type { GatewayConfig } from "../../GatewayConfig.ts"
import type { HeaderRules } from "../../HeaderRules.ts"
import type { Routed, Router } from "../../ObjectKey.ts"
import type { ObjectStore } from "../../ObjectStore.ts"
import type { Rejection } from "../../RateLimits.ts"
import type { Fills } from "../fill/fills.ts"
import type { BucketCounts } from "./counts.ts"
import type { PreparedEntry } from "./preparedEntry.ts"

/** Authenticates the caller of a request, as `BearerAuthentication` does. */
export type Authenticate = (request: IncomingMessage) => Effect.Effect<Principal<object>, HttpSecurityError>

/** How entries of a bucket are stored. */
export interface BucketCaching {
  /** Upper bound of a stored body; 0 for a bucket that is not cached. */
  readonly maxItemSize: number
  /** How long entries live; zero means for ever. `undefined`: as long as each tier says. */
  readonly ttl: Duration.Duration | undefined
  /** The shortest lifetime of the tiers in milliseconds, which a store can only lower; infinite for ever. */
  readonly shortest: number
  /** How long an expired entry may be served while the store is down, in milliseconds. */
  readonly staleMillis: number
}

/** Why a rate limit refuses a request, if it does; an effect where processes count together. */
export type Admission = Rejection | undefined | Effect.Effect<Rejection | undefined>

/** The rate limits of a bucket: `BucketLimits` or `SharedBucketLimits`. */
export interface Limits {
  readonly address: ((address: string) => Admission) | undefined
  readonly caller: ((user: string | undefined) => Admission) | undefined
}

/** A bucket as it is served under one configuration. */
export interface ServedBucket {
  readonly options: Bucket
  readonly store: ObjectStore
  readonly cors: Cors
  readonly headers: HeaderRules
  /** What tells entries of this store from those of another one that had the bucket's name before. */
  readonly variant: string
  /** `undefined` for a public bucket. */
  readonly authenticate: Authenticate | undefined
  /** Whether an address may reach it. */
  readonly allows: (address: string) => boolean
  readonly limits: Limits | undefined
  readonly caching: BucketCaching
  readonly counts: BucketCounts
  /** The names of request headers that answers depend on: those with tokens. */
  readonly vary: string | undefined
  /** The query parameter that may contain a token. */
  readonly tokenParameter: string | undefined
  /** What is made once for each entry in memory under this configuration. */
  readonly prepared: WeakMap<CacheEntry, PreparedEntry>
}

/** One configuration in use. A request keeps the one that it began with. */
export interface Snapshot {
  readonly config: GatewayConfig
  readonly buckets: ReadonlyArray<ServedBucket>
  readonly route: Router<RoutedBucket>
  /** Authenticates administrators; `undefined` without a listener for them. */
  readonly admin: Authenticate | undefined
  /** The address of the client, also behind trusted proxies. */
  readonly clientAddress: (request: IncomingMessage) => string
}

/** A bucket as the router of targets knows it. */
export interface RoutedBucket extends Routed {
  readonly served: ServedBucket
}

/** What all requests share. */
export interface Shared {
  readonly cache: TieredCache
  readonly fills: Fills
  readonly clock: Clock.Clock
  /** Counts of requests for no bucket. */
  readonly unrouted: BucketCounts
  /** Runs the effect of a request. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Runs an effect that a request leaves behind: it ends before the gateway does. */
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Returns once nothing that was left behind runs. */
  readonly settled: Effect.Effect<void>
}
