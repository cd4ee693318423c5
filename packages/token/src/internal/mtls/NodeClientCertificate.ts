import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Bounded from "@keelson/core/unstable/Bounded"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Undici from "undici"
import { IsForeignRequest } from "./certificateUse.ts"
import { type CertificateFiles, loadCertificate, versionOf } from "./NodeCertificateFiles.ts"
import { type ConnectionPool, connectionPools, type OpenPool } from "./NodeConnectionPool.ts"

/** The files, and how often they are checked. */
export interface Settings extends CertificateFiles {
  readonly checkInterval: Duration.Duration
}

/** How long a request waits for the file system; then it uses the certificate that it has. */
const checkLimit = Duration.seconds(2)

/** The connections with a certificate, and those without. */
interface Pools {
  readonly certified: ConnectionPool
  readonly plain: ConnectionPool
}

/** The certificate in use, and when its files were last checked. */
interface State {
  pools: Pools
  version: string
  /** Monotonic, in nanoseconds. */
  checkedAt: bigint
  /** The failure that was logged, until the files are right again. */
  logged: string | undefined
}

const openAll = (settings: Settings, open: OpenPool): Effect.Effect<Pools, KeelsonError.ConfigurationError> =>
  Effect.map(loadCertificate(settings), ({ certified, plain }) => ({
    certified: open(certified),
    plain: open(plain)
  }))

/** Loads the files again if they changed. If they cannot be used, the certificate in use stays. */
const reload = Effect.fnUntraced(function*(state: State, settings: Settings, open: OpenPool) {
  const version = yield* versionOf(settings)
  if (version === state.version) {
    state.logged = undefined
    return
  }
  const old = state.pools
  state.pools = yield* openAll(settings, open)
  state.version = version
  state.logged = undefined
  old.certified.retire()
  old.plain.retire()
  yield* Effect.logInfo("Client certificate reloaded", { certFile: settings.certFile })
})

const report = (state: State, settings: Settings, error: KeelsonError.ConfigurationError) =>
  Effect.suspend(() => {
    if (state.logged === error.message) return Effect.void
    state.logged = error.message
    return Effect.logWarning("Client certificate could not be reloaded; the previous one stays in use", {
      certFile: settings.certFile,
      code: error.code,
      reason: error.message
    })
  })

/** Sends a request over the connections of a dispatcher. */
export type SendThrough = <A, E, R>(
  send: (dispatcher: Undici.Dispatcher) => Effect.Effect<A, E, R>
) => Effect.Effect<A, E, R>

/**
 * Sends requests with the certificate, which is loaded again once its files have changed; a request that leaves the origins of a
 * guard without it. The files are checked by a request, at most once in `checkInterval`.
 *
 * Fails as `loadCertificate` does if the files cannot be used at the start.
 */
export const clientCertificate = Effect.fnUntraced(function*(
  settings: Settings,
  undici: typeof Undici
): Effect.fn.Return<SendThrough, KeelsonError.ConfigurationError, Scope.Scope> {
  const open = yield* connectionPools(undici)
  const version = yield* versionOf(settings)
  const state: State = {
    pools: yield* openAll(settings, open),
    version,
    checkedAt: (yield* Clock.Clock).monotonicTimeNanosUnsafe(),
    logged: undefined
  }
  const interval = Duration.toNanosUnsafe(settings.checkInterval)
  const check = Bounded.waitAtMost(
    Effect.catch(reload(state, settings, open), (error) => report(state, settings, error)),
    checkLimit
  )
  const checkIfDue = Effect.clockWith((clock) => {
    const now = clock.monotonicTimeNanosUnsafe()
    if (now - state.checkedAt < interval) return Effect.void
    const last = state.checkedAt
    // First, so that other requests do not wait.
    state.checkedAt = now
    const interrupted = Effect.sync(() => {
      if (state.checkedAt === now) state.checkedAt = last
    })
    return Effect.asVoid(Effect.onInterrupt(check, () => interrupted))
  })
  const enter = Effect.map(IsForeignRequest, (isForeign) => {
    const pool = isForeign ? state.pools.plain : state.pools.certified
    pool.enter()
    return pool
  })
  return (send) =>
    Effect.andThen(
      checkIfDue,
      Effect.acquireUseRelease(enter, ({ dispatcher }) => send(dispatcher), (pool) => Effect.sync(pool.leave))
    )
})
