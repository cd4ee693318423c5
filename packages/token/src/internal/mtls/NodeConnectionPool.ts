import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SecureContext } from "node:tls"
import type * as Undici from "undici"

/** Opens pools of connections. All are closed with the scope. */
export interface ConnectionPools {
  readonly open: (secureContext: SecureContext | undefined) => Undici.Agent
  /** Lets running requests end, and closes their connections then. No new request may use the pool. */
  readonly retire: (pool: Undici.Agent) => void
}

const ignore = () => {}

/**
 * Each certificate has its own pool: neither its connections nor its TLS sessions are used with another certificate. HTTP/2 is
 * off, because an interrupted request would leave its connection open. Callers set time limits with Effect's clock.
 */
export const connectionPools = (undici: typeof Undici): Effect.Effect<ConnectionPools, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Set<Undici.Agent>()),
      (live) => Effect.sync(() => live.forEach((pool) => void pool.destroy().catch(ignore)))
    ),
    (live) => ({
      open: (secureContext) => {
        const pool = new undici.Agent({
          allowH2: false,
          headersTimeout: 0,
          bodyTimeout: 0,
          connect: secureContext === undefined ? {} : { secureContext }
        })
        live.add(pool)
        return pool
      },
      retire: (pool) => void pool.close().then(() => live.delete(pool), ignore)
    })
  )
