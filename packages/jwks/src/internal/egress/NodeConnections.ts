import * as Host from "@keelson/core/unstable/Host"
import { Socket } from "node:net"
import type { SecureContext } from "node:tls"
import type * as Undici from "undici"
import { pinnedIdentity } from "./NodePins.ts"
import type { Proxy } from "./NodeProxy.ts"
import { guardedLookup, lookupOf, type Resolve } from "./NodeResolver.ts"
import type { ServiceRules } from "./rules.ts"

/** The settings that all connections of an egress share. */
export interface Settings {
  /** Imported when the egress is built, so that importing `NodeEgress` does not load undici. */
  readonly undici: typeof Undici
  readonly resolve: Resolve
  readonly rules: ServiceRules
  readonly trust: SecureContext | undefined
  readonly proxy: Proxy | undefined
}

/** Callers set time limits with Effect's clock, so undici's own limits are turned off (0). */
const untimed = { headersTimeout: 0, bodyTimeout: 0, connectTimeout: 0 } as const

/** HTTP/2 is off, because an interrupted request would leave its connection open. */
const common = { timeout: 0, allowH2: false, maxCachedSessions: 0 } as const

/** How long an address is tried before the next one; the last has no limit. Node's default of 250 ms is too short. */
const attempts = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 2_000 } as const

/** The connections of one `get`. Pins, rules and TLS sessions are not shared with other calls. */
export interface Connections {
  readonly dispatcherOf: (url: URL) => Undici.Dispatcher
  /** Closes all connections at once. Unlike undici's `destroy`, it also ends those still being resolved or established. */
  readonly close: () => void
}

/** Resolves names until it is closed, which cancels what is running. */
const cancellable = (resolve: Resolve) => {
  const running = new Set<() => void>()
  const tracked: Resolve = (hostname, done) => {
    // A name may be resolved before `resolve` returns.
    const resolution = { cancel: () => {} }
    const cancel = () => resolution.cancel()
    running.add(cancel)
    resolution.cancel = resolve(hostname, (error, addresses) => {
      running.delete(cancel)
      done(error, addresses)
    }) ?? resolution.cancel
  }
  return { resolve: tracked, close: () => running.forEach((cancel) => cancel()) }
}

export const openConnections = (
  { proxy, resolve, rules, trust, undici }: Settings,
  pins: ReadonlyArray<string>
): Connections => {
  const names = cancellable(resolve)
  const lookup = guardedLookup(names.resolve, rules)
  const plainLookup = guardedLookup(names.resolve, rules, true)
  const sockets = new Set<Socket>()
  const tracked = (options: Undici.buildConnector.BuildOptions): Undici.buildConnector.connector => {
    const connect = undici.buildConnector({ ...common, ...options })
    return (target, done) => {
      // Returns the socket, although its type is `void`.
      const socket: unknown = connect(target, done)
      if (socket instanceof Socket) sockets.add(socket.once("close", () => sockets.delete(socket)))
    }
  }
  const trusted = trust === undefined ? {} : { secureContext: trust }
  const peer = { ...trusted, checkServerIdentity: pinnedIdentity(pins) }
  const direct = new undici.Agent({ ...untimed, connect: tracked({ ...peer, ...attempts, lookup }) })
  // A proxy resolves names itself, so that it could lead to a public address.
  const plain = new undici.Agent({ ...untimed, connect: tracked({ ...attempts, lookup: plainLookup }) })
  const proxied = proxy === undefined ? direct : new undici.EnvHttpProxyAgent({
    ...untimed,
    httpProxy: "",
    httpsProxy: proxy.url,
    noProxy: proxy.except,
    connect: tracked({ ...peer, ...attempts, lookup }),
    // TLS to the server inside the tunnel. The tunnel's socket belongs to the proxy.
    requestTls: { ...common, ...peer },
    clientFactory: (origin) =>
      new undici.Pool(origin, {
        ...untimed,
        connect: tracked({ ...trusted, ...attempts, lookup: lookupOf(names.resolve) })
      })
  })
  const destroy = (dispatcher: Undici.Dispatcher) => void dispatcher.destroy().catch(() => {})
  return {
    dispatcherOf: (url) => {
      if (url.protocol === "http:") return plain
      return Host.isLocal(url.hostname) ? direct : proxied
    },
    close: () => {
      names.close()
      for (const socket of sockets) socket.destroy()
      destroy(direct)
      destroy(plain)
      destroy(proxied)
    }
  }
}
