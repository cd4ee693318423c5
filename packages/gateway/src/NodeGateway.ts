/**
 * The gateway on Node.js: authenticated, cached and audited access to S3-compatible stores.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type { AuditEntry } from "@keelson/audit/AuditEntry"
import * as NodeCache from "@keelson/cache/NodeCache"
import * as Configuration from "@keelson/core/Configuration"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type * as KeySource from "@keelson/jwks/KeySource"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Bucket } from "./BucketOptions.ts"
import * as GatewayConfig from "./GatewayConfig.ts"
import { checkFixed, type ReloadRefused } from "./internal/operation/fixedSections.ts"
import { listen } from "./internal/server/NodeListener.ts"
import { makeServer } from "./internal/server/NodeServer.ts"
import { Snapshots } from "./internal/server/NodeSnapshot.ts"
import * as NodeAccessRules from "./NodeAccessRules.ts"
import type { ObjectStore } from "./ObjectStore.ts"

/** Where a listener accepts connections. */
export interface Address {
  readonly host: string
  /** The port, also where the configuration has 0. */
  readonly port: number
}

/** A running gateway. */
export interface Gateway {
  /** The listener for clients. */
  readonly address: Address
  /** The listener for administrators, if there is one. */
  readonly adminAddress: Address | undefined
  /**
   * Reads the configuration again, checks all of it, and takes it for requests that begin now. One that is not valid changes nothing. The
   * cache and running requests keep what they have. Fails with `ConfigurationError` as at the start, and with `ReloadRefused`
   * (`GATEWAY_RELOAD_REFUSED`) for a change of the sections `listen`, `admin`, `audit`, `workers`, or of `cache` beyond its buckets.
   */
  readonly reload: Effect.Effect<void, BuildError | ReloadRefused>
  /** Ends in two phases, as when the scope closes: see `DrainOptions`. Returns when all answers have ended. */
  readonly drain: Effect.Effect<void>
}

/** Why a gateway does not start, or does not take a configuration. */
export type BuildError = ConfigurationError | KeySource.BuildError

/** The gateway of an application. */
export class NodeGateway extends Context.Service<NodeGateway, Gateway>()("@keelson/gateway/NodeGateway") {}

/** What `make` takes beside the configuration. Every one may be left out. */
export interface MakeOptions {
  /** Makes the store of a bucket, in place of the S3-compatible one that `replicas` describe. Default none. */
  readonly store?: ((bucket: Bucket) => Effect.Effect<ObjectStore, ConfigurationError, Scope.Scope>) | undefined
  /** Keeps the audit entry of each request. Default none. */
  readonly record?: ((entry: AuditEntry) => Effect.Effect<void>) | undefined
}

const decode = Configuration.decode(GatewayConfig.GatewayConfig)
