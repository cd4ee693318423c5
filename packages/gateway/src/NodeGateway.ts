/**
 * The gateway on Node.js: authenticated, cached and audited access to S3-compatible stores.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { AuditLog } from "@keelson/audit/AuditLog"
import * as NodeAudit from "@keelson/audit/NodeAudit"
import { ObjectStore as ObjectStoreTag } from "@keelson/audit/ObjectStore"
import * as NodeCache from "@keelson/cache/NodeCache"
import * as BreakerStore from "@keelson/core/BreakerStore"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type * as KeySource from "@keelson/jwks/KeySource"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Struct from "effect/Struct"
import { readFile } from "node:fs/promises"
import * as AuditObjectStore from "./AuditObjectStore.ts"
import type { Bucket } from "./BucketOptions.ts"
import * as GatewayConfig from "./GatewayConfig.ts"
import { makeAdmin } from "./internal/admin/NodeAdmin.ts"
import { checkFixed, type ReloadRefused } from "./internal/operation/fixedSections.ts"
import { readCertificate, renewCertificate } from "./internal/operation/NodeCertificate.ts"
import { onChange, onSignal } from "./internal/operation/NodeWatch.ts"
import { type Answer, type Limits, listen } from "./internal/server/NodeListener.ts"
import { logLevels } from "./internal/server/NodeRecord.ts"
import { makeServer } from "./internal/server/NodeServer.ts"
import { Snapshots } from "./internal/server/NodeSnapshot.ts"
import type { Tls } from "./ListenOptions.ts"
import * as NodeAccessRules from "./NodeAccessRules.ts"
import * as NodeS3Store from "./NodeS3Store.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import * as RateLimits from "./RateLimits.ts"
import * as Replicas from "./Replicas.ts"

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
}

/** A configuration given in code, or what reads one: a reload reads it again. */
export type Source = GatewayConfig.Options | Effect.Effect<GatewayConfig.GatewayConfig, ConfigurationError>

const read = (source: Source): Effect.Effect<GatewayConfig.GatewayConfig, ConfigurationError> =>
  Effect.isEffect(source) ? source : GatewayConfig.decode(source)

const noAccess = { allow: [], block: [] }

/** Without a tracer, a logger or a clock of its own, the gateway has those of the effect. */
const services = Layer.mergeAll(NodeEgress.layer(), NodeFileSystem.layer)

/**
 * Starts a gateway. It ends when the scope closes, after a drain.
 */
export const make = Effect.fnUntraced(function*(
  source: Source,
  { store }: MakeOptions = {}
): Effect.fn.Return<Gateway, BuildError, Scope.Scope> {
  const config = yield* read(source)
  if (config.workers > 1) return yield* InvalidConfig.option("workers", "1: several processes are not supported")
  const scope = yield* Effect.scope
  const record = (yield* auditLog(config))?.recordUnsafe
  const environment = yield* Layer.build(services)
  const cache = yield* NodeCache.make(cacheOptions(config))
  const snapshots = new Snapshots({
    store: (bucket) => store === undefined ? makeStore(bucket) : store(bucket),
    limits: makeLimits,
    access: ({ access = noAccess }) => NodeAccessRules.make(access),
    clientAddress: ({ listen: { proxies } }) => {
      const client = NodeAccessRules.clientAddress(proxies)
      return (request) => client(request.socket.remoteAddress, request.headers["x-forwarded-for"])
    }
  }, scope)
  const take = (next: GatewayConfig.GatewayConfig) => Effect.provideContext(snapshots.make(next), environment)
  const server = yield* makeServer(
    {
      cache,
      record,
      context: Context.add(yield* Effect.context(), References.MinimumLogLevel, logLevels[config.log.level])
    },
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
  const open = (section: "listen" | "admin", limits: Limits, tls: Tls | undefined, answer: Answer) =>
    Effect.provideContext(openListener(section, limits, tls, answer), Context.add(environment, Scope.Scope, scope))
  const adminListener = admin.enabled
    ? yield* open(
      "admin",
      { ...config.listen, host: admin.host, port: admin.port },
      admin.tls,
      makeAdmin({ server, scope: admin.scope, reload, record })
    )
    : undefined
  const listener = yield* open("listen", config.listen, config.listen.tls, server.answer)
  yield* Effect.addFinalizer(() => server.drain(listener))
  return {
    address: { host: listener.host, port: listener.port },
    adminAddress: adminListener === undefined ? undefined : { host: adminListener.host, port: adminListener.port },
    reload,
    drain: server.drain(listener)
  }
})

/** The audit log of the configuration, or else the one that is provided, if there is one. */
const auditLog = (
  { audit }: GatewayConfig.GatewayConfig
): Effect.Effect<AuditLog["Service"] | undefined, ConfigurationError, Scope.Scope> => {
  if (audit?.enabled !== true) return Effect.map(Effect.serviceOption(AuditLog), Option.getOrUndefined)
  return NodeAudit.make(audit, {
    objectStore: ({ bucket, endpoint, region }) =>
      Effect.map(
        Layer.build(AuditObjectStore.layer(NodeS3Store.make({
          endpoint: endpoint ?? `https://s3.${region}.amazonaws.com`,
          region,
          bucket,
          credentials: { platform: true }
        }))),
        (context) => Context.get(context, ObjectStoreTag)
      )
  })
}

const openListener = Effect.fnUntraced(function*(
  section: "listen" | "admin",
  limits: Limits,
  tls: Tls | undefined,
  answer: Answer
) {
  const certificate = tls === undefined ? undefined : yield* readCertificate(section, tls)
  const listener = yield* listen(section, limits, certificate, answer)
  if (tls !== undefined) yield* renewCertificate(section, tls, listener)
  return listener
})

/** Loaded where limits have Redis: others need no client of it. */
const nodeRedis = Effect.tryPromise({
  try: () => import("@effect/platform-node/NodeRedis"),
  catch: (cause) => InvalidConfig.option("rateLimits.redis", "left out, or install redis", { cause })
})

const makeLimits = ({ rateLimits }: GatewayConfig.GatewayConfig) => {
  const { redis } = rateLimits
  if (redis === undefined) return Effect.map(Clock.Clock, (clock) => RateLimits.local(clock, rateLimits))
  const { database, password, url } = redis
  return Effect.flatMap(nodeRedis, ({ layer: connect }) =>
    RateLimits.shared(
      connect({ url, database, ...(password === undefined ? undefined : { password: Redacted.value(password) }) }),
      rateLimits
    ))
}

/** Lifetimes and sizes of buckets are those of the configuration in use, and given with each entry. */
const cacheOptions = ({ cache }: GatewayConfig.GatewayConfig) => Struct.omit(cache, ["buckets"])

const makeStore = ({ breaker, name, replicas }: Bucket): Effect.Effect<ObjectStore, ConfigurationError, Scope.Scope> =>
  Effect.forEach(
    replicas,
    (replica) => Effect.map(NodeS3Store.make(replica), (store) => ({ name: replica.name, store }))
  ).pipe(
    Effect.flatMap((stores) => Replicas.make(name, stores, breaker === undefined ? {} : { breaker })),
    Effect.provide(BreakerStore.layerMemory)
  )

/** The gateway as a service of an application. */
export const layer = (source: Source, options: MakeOptions = {}): Layer.Layer<NodeGateway, BuildError> =>
  Layer.effect(NodeGateway, make(source, options))

const fromFile = (path: string): Effect.Effect<GatewayConfig.GatewayConfig, ConfigurationError> =>
  Effect.flatMap(
    Effect.tryPromise({
      try: () => readFile(path, "utf8"),
      catch: (cause) => InvalidConfig.option("path", "a file that can be read", { cause })
    }),
    (text) => GatewayConfig.parse(text)
  )

/**
 * A gateway with the configuration in a file, in YAML or JSON. It is reloaded when the file changes, also as part of a ConfigMap,
 * and at `SIGHUP`. A file that is not valid is logged, and changes nothing. Fails as `make` does.
 */
export const layerFile = (path: string, options: MakeOptions = {}): Layer.Layer<NodeGateway, BuildError> =>
  Layer.effect(
    NodeGateway,
    Effect.gen(function*() {
      const gateway = yield* make(fromFile(path), options)
      const reload = gateway.reload.pipe(
        Effect.andThen(Effect.logInfo("Configuration reloaded")),
        Effect.catch((error) => Effect.logError("The configuration was not reloaded; the one before stays", error))
      )
      yield* onChange([path], reload)
      yield* onSignal("SIGHUP", reload)
      return gateway
    })
  )

/** The end of a process that runs a gateway: exit code 0 after `SIGTERM` and `SIGINT`, 1 after a failure. For `NodeRuntime.runMain`. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
