/** Real servers for egress, with certificates of a test authority, a proxy that tunnels, and an egress that trusts them. */
import type { KeelsonError } from "@keelson/core"
import { Egress } from "@keelson/jwks/Egress"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { ConfigProvider, Context, Effect, Layer, type Scope } from "effect"
import { createHash, X509Certificate } from "node:crypto"
import type { LookupAddress } from "node:dns"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { join } from "node:path"
import { type Resolve, Resolver } from "../../jwks/src/internal/egress/NodeResolver.ts"

export const fixturePath = (name: string): string => join(import.meta.dirname, "fixtures", name)
const fixture = (name: string): string => readFileSync(fixturePath(name), "utf8")

/** The root that signed the authority of `server.cert.pem`. */
export const caFile = fixturePath("root.cert.pem")

/** The pin of the first certificate of a fixture, as OpenSSL computes it. */
export const pinOf = (name: string): string =>
  createHash("sha256").update(new X509Certificate(fixture(name)).publicKey.export({ type: "spki", format: "der" }))
    .digest("base64")

export type Handle = (request: Http.IncomingMessage, response: Http.ServerResponse) => void

export interface Origin {
  readonly port: number
  /** `method path` of every request so far. */
  readonly requests: ReadonlyArray<string>
  readonly headers: ReadonlyArray<Http.IncomingHttpHeaders>
  /** How many connections were ever made to it, and how many are still open. */
  readonly connections: () => number
  readonly open: () => number
  /** Bytes sent to the network over connections that are closed now. */
  readonly written: () => number
}

const counted = (server: Net.Server, host: string, own: Pick<Origin, "requests" | "headers">) => {
  const sockets = new Set<Net.Socket>()
  let connections = 0
  let written = 0
  server.on("connection", (socket: Net.Socket) => {
    connections++
    sockets.add(socket)
    socket.on("error", () => {})
    socket.once("close", () => {
      written += socket.bytesWritten
      sockets.delete(socket)
    })
  })
  return Effect.acquireRelease(
    Effect.callback<Origin>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(0, host, () => {
        const address = server.address()
        resume(Effect.succeed({
          ...own,
          port: typeof address === "object" && address !== null ? address.port : 0,
          connections: () => connections,
          open: () => sockets.size,
          written: () => written
        }))
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
}

export interface OriginOptions {
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** The fixture with its certificates; the key is the same for all. Default `server.cert.pem`. */
  readonly cert?: string | undefined
  /** Without TLS. */
  readonly plain?: boolean | undefined
}

/** An origin over TLS that responds by a function. */
export const httpsOrigin = (handle: Handle, options: OriginOptions = {}): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.suspend(() => {
    const requests: Array<string> = []
    const headers: Array<Http.IncomingHttpHeaders> = []
    const listener: Handle = (request, response) => {
      requests.push(`${request.method} ${request.url}`)
      headers.push(request.headers)
      handle(request, response)
    }
    const tls = { key: fixture("server.key.pem"), cert: fixture(options.cert ?? "server.cert.pem") }
    const server = options.plain === true ? Http.createServer(listener) : Https.createServer(tls, listener)
    return counted(server, options.host ?? "127.0.0.1", { requests, headers })
  })

/** A server that accepts connections, reads, and never responds. */
export const silentOrigin: Effect.Effect<Origin, never, Scope.Scope> = Effect.suspend(() =>
  counted(Net.createServer((socket) => socket.resume()), "127.0.0.1", { requests: [], headers: [] })
)

/** A proxy that tunnels every CONNECT to a port of this machine; `requests` lists the requested targets. */
export const connectProxy = (port: number): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.suspend(() => {
    const requests: Array<string> = []
    const headers: Array<Http.IncomingHttpHeaders> = []
    const server = Http.createServer((_, response) => response.writeHead(405).end())
    server.on("connect", (request: Http.IncomingMessage, client: Net.Socket) => {
      requests.push(`CONNECT ${request.url}`)
      headers.push(request.headers)
      const upstream = Net.connect(port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.pipe(client).pipe(upstream)
      })
      upstream.on("error", () => client.destroy())
      client.once("close", () => upstream.destroy())
    })
    return counted(server, "127.0.0.1", { requests, headers })
  })

/** The machine's own networks, where the tests' servers are. */
const own = ["127.0.0.0/8", "::1/128"]

export const addresses = (...list: ReadonlyArray<string>): ReadonlyArray<LookupAddress> =>
  list.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))

/** Every name has these addresses, and is resolved at once. */
export const resolved = (...list: ReadonlyArray<string>): Resolve => (_, done) => done(null, addresses(...list))

export interface Setup extends NodeEgress.Options {
  readonly resolve?: Resolve | undefined
  readonly environment?: Record<string, string> | undefined
}

/** By default names resolve to 127.0.0.1, and there is no proxy. With `resolve: undefined` they resolve as without tests. */
export const nodeEgress = (
  { environment = {}, ...setup }: Setup = {}
): Effect.Effect<Egress["Service"], KeelsonError.ConfigurationError, Scope.Scope> => {
  const { resolve, ...options } = { resolve: resolved("127.0.0.1"), ...setup }
  return NodeEgress.layer({ caFile, allowedNetworks: own, ...options }).pipe(
    Layer.build,
    Effect.map((context) => Context.get(context, Egress)),
    Effect.provideService(Resolver, resolve),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
  )
}
