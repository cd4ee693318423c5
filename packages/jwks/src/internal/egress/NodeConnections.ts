import * as Host from "@keelson/core/unstable/Host"
import { type LookupFunction, Socket } from "node:net"
import type { SecureContext } from "node:tls"
import type * as Undici from "undici"
import { pinnedIdentity } from "./NodePins.ts"
import type { Proxy } from "./NodeProxy.ts"

/** What connections are made with. */
export interface Settings {
  /** Loaded when the egress is built, so that importing `NodeEgress` does not load it. */
  readonly undici: typeof Undici
  readonly lookup: LookupFunction
  readonly trust: SecureContext | undefined
  readonly proxy: Proxy | undefined
}

/** The caller limits the time, by Effect's clock: 0 turns undici's own limits off. */
const untimed = { headersTimeout: 0, bodyTimeout: 0, connectTimeout: 0 } as const

/** With HTTP/2 an interrupted request would leave its connection open. */
const common = { timeout: 0, allowH2: false, maxCachedSessions: 0 } as const

/** How long an address is tried before the next one; the last has no limit. Node's 250 ms is short. */
const attempts = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 2_000 } as const

/** The connections of one `get`, which shares no pins, rules or sessions with another. */
export interface Connections {
  readonly dispatcherOf: (url: URL) => Undici.Dispatcher
  /** Closes all at once, also those that are still being made, which undici cannot. */
  readonly close: () => void
}

export const openConnections = (
  { lookup, proxy, trust, undici }: Settings,
  pins: ReadonlyArray<string>
): Connections => {
  const sockets = new Set<Socket>()
  const tracked = (options: Undici.buildConnector.BuildOptions): Undici.buildConnector.connector => {
    const connect = undici.buildConnector({ ...common, ...options })
    return (target, done) => {
      // Returns the socket, though its type says it does not.
      const socket: unknown = connect(target, done)
      if (socket instanceof Socket) sockets.add(socket.once("close", () => sockets.delete(socket)))
    }
  }
  const trusted = trust === undefined ? {} : { secureContext: trust }
  const peer = { ...trusted, checkServerIdentity: pinnedIdentity(pins) }
  const direct = new undici.Agent({ ...untimed, connect: tracked({ ...peer, ...attempts, lookup }) })
  const proxied = proxy === undefined ? direct : new undici.EnvHttpProxyAgent({
    ...untimed,
    httpProxy: "",
    httpsProxy: proxy.url,
    noProxy: proxy.except,
    connect: tracked({ ...peer, ...attempts, lookup }),
    // Within the tunnel, whose socket belongs to the proxy.
    requestTls: { ...common, ...peer },
    clientFactory: (origin) => new undici.Pool(origin, { ...untimed, connect: tracked({ ...trusted, ...attempts }) })
  })
  const destroy = (dispatcher: Undici.Dispatcher) => void dispatcher.destroy().catch(() => {})
  return {
    dispatcherOf: (url) => Host.isLocal(url.hostname) ? direct : proxied,
    close: () => {
      for (const socket of sockets) socket.destroy()
      destroy(direct)
      destroy(proxied)
    }
  }
}
