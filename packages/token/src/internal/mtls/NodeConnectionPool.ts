import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SecureContext } from "node:tls"
import type * as Undici from "undici"

/** The connections with one certificate, or without one. */
export interface ConnectionPool {
  readonly dispatcher: Undici.Dispatcher
  /** Begins a request, which keeps the pool open until it has ended or its response has begun. */
  readonly enter: () => void
  readonly leave: () => void
  /** Closes the pool after its last request, and the connections after their last response. */
  readonly retire: () => void
}

/** Opens a pool, which is closed with the scope. */
export type OpenPool = (secureContext: SecureContext | undefined) => ConnectionPool

const ignore = () => {}

/**
 * Each certificate has its own pool: neither its connections nor its TLS sessions are used with another certificate. HTTP/2 is
 * off, because an interrupted request would leave its connection open. Callers set time limits with Effect's clock.
 */
export const connectionPools = (undici: typeof Undici): Effect.Effect<OpenPool, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Set<Undici.Agent>()),
      (live) => Effect.sync(() => live.forEach((agent) => void agent.destroy().catch(ignore)))
    ),
    (live): OpenPool => (secureContext) => {
      const agent = new undici.Agent({
        allowH2: false,
        headersTimeout: 0,
        bodyTimeout: 0,
        connect: secureContext === undefined ? {} : { secureContext }
      })
      live.add(agent)
      let requests = 0
      let isRetired = false
      // A closed agent refuses requests that are on their way to it.
      const closeIfUnused = () => {
        if (isRetired && requests === 0) void agent.close().then(() => live.delete(agent), ignore)
      }
      return {
        dispatcher: agent,
        enter: () => void requests++,
        leave: () => {
          requests--
          closeIfUnused()
        },
        retire: () => {
          isRetired = true
          closeIfUnused()
        }
      }
    }
  )
