import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Bounded from "@keelson/core/unstable/Bounded"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Undici from "undici"
import { IsForeignRequest } from "./certificateUse.ts"
import { type CertificateFiles, loadCertificate, versionOf } from "./NodeCertificateFiles.ts"
import { type ConnectionPools, connectionPools } from "./NodeConnectionPool.ts"

/** The files, and how often they are checked. */
export interface Settings extends CertificateFiles {
  readonly checkInterval: Duration.Duration
}

/** How long a request waits for the file system; then it uses the certificate that it has. */
const checkLimit = Duration.seconds(2)

/** The certificate in use, and when its files were last checked. */
interface State {
  pool: Undici.Agent
  version: string
  /** Monotonic, in nanoseconds. */
  checkedAt: bigint
  /** The failure that was logged, until the files are right again. */
  logged: string | undefined
}

/** Loads the files again if they changed. If they cannot be used, the certificate in use stays. */
const reload = Effect.fnUntraced(function*(state: State, settings: Settings, pools: ConnectionPools) {
  const version = yield* versionOf(settings)
  if (version === state.version) {
    state.logged = undefined
    return
  }
  const secureContext = yield* loadCertificate(settings)
  const old = state.pool
  state.pool = pools.open(secureContext)
  state.version = version
  state.logged = undefined
  pools.retire(old)
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

/**
 * The pool for a request: with the certificate, which is loaded again once its files have changed, or without one for a request
 * that leaves the origins of a guard. The files are checked by a request, at most once in `checkInterval`.
 *
 * Fails as `loadCertificate` does if the files cannot be used at the start.
 */
export const clientCertificate = Effect.fnUntraced(function*(
  settings: Settings,
  undici: typeof Undici
): Effect.fn.Return<Effect.Effect<Undici.Dispatcher>, KeelsonError.ConfigurationError, Scope.Scope> {
  const pools = yield* connectionPools(undici)
  const version = yield* versionOf(settings)
  const state: State = {
    pool: pools.open(yield* loadCertificate(settings)),
    version,
    checkedAt: (yield* Clock.Clock).monotonicTimeNanosUnsafe(),
    logged: undefined
  }
  const plain = pools.open(undefined)
  const interval = Duration.toNanosUnsafe(settings.checkInterval)
  const check = Bounded.waitAtMost(
    Effect.catch(reload(state, settings, pools), (error) => report(state, settings, error)),
    checkLimit
  )
  return Effect.withFiber((fiber) => {
    if (fiber.getRef(IsForeignRequest)) return Effect.succeed(plain)
    const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
    if (now - state.checkedAt < interval) return Effect.succeed(state.pool)
    const last = state.checkedAt
    // First, so that other requests do not wait.
    state.checkedAt = now
    const interrupted = Effect.sync(() => {
      if (state.checkedAt === now) state.checkedAt = last
    })
    return Effect.map(Effect.onInterrupt(check, () => interrupted), () => state.pool)
  })
})
