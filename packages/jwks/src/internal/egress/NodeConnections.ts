import * as Host from "@keelson/core/unstable/Host"
import { type LookupFunction, Socket } from "node:net"
import type { SecureContext } from "node:tls"
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent, Pool } from "undici"
import { pinnedIdentity } from "./NodePins.ts"
import type { Proxy } from "./NodeProxy.ts"

/** What connections are made with. */
export interface Settings {
  readonly lookup: LookupFunction
  readonly trust: SecureContext | undefined
  readonly proxy: Proxy | undefined
}

/** No limit in time but the caller's, whose clock is Effect's: 0 turns undici's own off. */
const untimed = { headersTimeout: 0, bodyTimeout: 0, connectTimeout: 0 } as const

/** With HTTP/2 a request that is given up would leave its connection open. */
const common = { timeout: 0, allowH2: false, maxCachedSessions: 0 } as const

/** How long each of several addresses is tried before the next; the last one as long as it takes. Node's 250 ms is short. */
const attempts = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 2_000 } as const

/** The connections of one `get`: nothing of another's pins, rules or sessions can be met in them. */
export interface Connections {
  readonly dispatcherOf: (url: URL) => Dispatcher
  /** Closes all at once, also one that is still being made, for which undici has no means. */
  readonly close: () => void
}

export const openConnections = ({ lookup, proxy, trust }: Settings, pins: ReadonlyArray<string>): Connections => {
  const sockets = new Set<Socket>()
  const tracked = (options: buildConnector.BuildOptions): buildConnector.connector => {
    const connect = buildConnector({ ...common, ...options })
    return (target, done) => {
      // It returns the socket, though its type has none.
      const socket: unknown = connect(target, done)
      if (socket instanceof Socket) sockets.add(socket.once("close", () => sockets.delete(socket)))
    }
  }
  const trusted = trust === undefined ? {} : { secureContext: trust }
  const peer = { ...trusted, checkServerIdentity: pinnedIdentity(pins) }
  const direct = new Agent({ ...untimed, connect: tracked({ ...peer, ...attempts, lookup }) })
  const proxied = proxy === undefined ? direct : new EnvHttpProxyAgent({
    ...untimed,
    httpProxy: "",
    httpsProxy: proxy.url,
    noProxy: proxy.except,
    connect: tracked({ ...peer, ...attempts, lookup }),
    // Within the tunnel, whose socket is the proxy's.
    requestTls: { ...common, ...peer },
    clientFactory: (origin) => new Pool(origin, { ...untimed, connect: tracked({ ...trusted, ...attempts }) })
  })
  const destroy = (dispatcher: Dispatcher) => void dispatcher.destroy().catch(() => {})
  return {
    dispatcherOf: (url) => Host.isLocal(url.hostname) ? direct : proxied,
    close: () => {
      for (const socket of sockets) socket.destroy()
      destroy(direct)
      destroy(proxied)
    }
  }
}
