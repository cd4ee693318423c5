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
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Bucket } from "./BucketOptions.ts"
import * as GatewayConfig from "./GatewayConfig.ts"
import { makeAdmin } from "./internal/admin/NodeAdmin.ts"
import { checkFixed, type ReloadRefused } from "./internal/operation/fixedSections.ts"
import { listen } from "./internal/server/NodeListener.ts"
import { makeServer } from "./internal/server/NodeServer.ts"
import { Snapshots } from "./internal/server/NodeSnapshot.ts"
import * as NodeAccessRules from "./NodeAccessRules.ts"
import * as NodeS3Store from "./NodeS3Store.ts"
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

/** A configuration given in code, or what reads one: a reload reads it again. */
export type Source = GatewayConfig.Options | Effect.Effect<GatewayConfig.GatewayConfig, ConfigurationError>

const read = (source: Source): Effect.Effect<GatewayConfig.GatewayConfig, ConfigurationError> =>
  Effect.isEffect(source) ? source : decode(source)

const noAccess = { allow: [], block: [] }

/** Without a tracer, a logger or a clock of its own, the gateway has those of the effect. */
const services = Layer.mergeAll(NodeEgress.layer(), NodeFileSystem.layer)

/**
 * Starts a gateway. It ends when the scope closes, after a drain.
 */
export const make = Effect.fnUntraced(function*(
  source: Source,
  { record, store }: MakeOptions = {}
): Effect.fn.Return<Gateway, BuildError, Scope.Scope> {
  const config = yield* read(source)
  const scope = yield* Effect.scope
  const environment = yield* Layer.build(services)
  const cache = yield* NodeCache.make(cacheOptions(config))
  const snapshots = new Snapshots({
    store: (bucket) => store === undefined ? makeStore(bucket) : store(bucket),
    limits: () => Effect.undefined,
    access: ({ access = noAccess }) => NodeAccessRules.make(access),
    clientAddress: ({ listen: { proxies } }) => {
      const client = NodeAccessRules.clientAddress(proxies)
      return (request) => client(request.socket.remoteAddress, request.headers["x-forwarded-for"])
    }
  }, scope)
  const take = (next: GatewayConfig.GatewayConfig) => Effect.provideContext(snapshots.make(next), environment)
  const server = yield* makeServer(
    { cache, record, context: yield* Effect.context() },
    yield* take(config)
  )
  const lock = yield* Semaphore.make(1)
  const change = Effect.gen(function*() {
    const next = yield* read(source)
    yield* checkFixed(config, next)
    yield* server.use(yield* take(next))
  })
  const reload = lock.withPermit(change.pipe(
    Effect.tap(() => MetricSeries.increment("gatewayReloads", { result: "applied" })),
    Effect.tapError(() => MetricSeries.increment("gatewayReloads", { result: "refused" }))
  ))
  const { admin } = config
  const adminListener = admin.enabled
    ? yield* listen(
      "admin",
      { ...config.listen, host: admin.host, port: admin.port },
      undefined,
      makeAdmin({ server, scope: admin.scope, reload, record })
    )
    : undefined
  const listener = yield* listen("listen", config.listen, undefined, server.answer)
  yield* Effect.addFinalizer(() => server.drain(listener))
  return {
    address: { host: listener.host, port: listener.port },
    adminAddress: adminListener === undefined ? undefined : { host: adminListener.host, port: adminListener.port },
    reload,
    drain: server.drain(listener)
  }
})

/** Lifetimes and sizes of buckets are those of the configuration in use, and given with each entry. */
const cacheOptions = ({ cache: { buckets: _, ...cache } }: GatewayConfig.GatewayConfig) => cache

const makeStore = (bucket: Bucket): Effect.Effect<ObjectStore, ConfigurationError, Scope.Scope> => {
  const [first] = bucket.replicas
  return first === undefined ? Effect.die("a bucket without a store") : NodeS3Store.make(first)
}

/** The gateway as a service of an application. */
export const layer = (source: Source, options: MakeOptions = {}): Layer.Layer<NodeGateway, BuildError> =>
  Layer.effect(NodeGateway, make(source, options))
