/**
 * The HTTP server of a gateway: its limits, its connections, and its end.
 */
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import type { Listen } from "../../ListenOptions.ts"

/** Answers a request. `awaitsContinue`: the client waits for a 100 before it sends the body. */
export type Answer = (request: Http.IncomingMessage, response: Http.ServerResponse, awaitsContinue: boolean) => void

/** Key and certificate of a TLS listener, in PEM. */
export interface Certificate {
  readonly key: Uint8Array
  readonly cert: Uint8Array
}

/** What a listener takes of its options. */
export type Limits = Omit<Listen, "tls" | "proxies">

/** A listener that accepts connections. */
export interface Listener {
  readonly host: string
  readonly port: number
  /** Closes the connection after each further answer. */
  readonly announceEnd: () => void
  /** Accepts no further connection, and ends once all are closed. Connections without a request are closed. */
  readonly stop: Effect.Effect<void>
  /** Closes all connections. */
  readonly cut: () => void
  /** Takes another certificate for connections that begin now. */
  readonly renew: (certificate: Certificate) => void
}

const serverOf = (limits: Limits, certificate: Certificate | undefined): Http.Server | Https.Server => {
  const options = {
    maxHeaderSize: Number(limits.maxHeaderSize),
    headersTimeout: Duration.toMillis(limits.headersTimeout),
    requestTimeout: Duration.toMillis(limits.requestTimeout),
    keepAliveTimeout: Duration.toMillis(limits.keepAliveTimeout),
    // Node accepts requests that others read differently otherwise.
    insecureHTTPParser: false,
    requireHostHeader: true
  }
  return certificate === undefined
    ? Http.createServer(options)
    : Https.createServer({ ...options, key: Buffer.from(certificate.key), cert: Buffer.from(certificate.cert) })
}

/**
 * Closes the connection of a client that reads nothing. The socket's time passes from its last progress in either direction: a connection
 * that waits for the gateway has nothing to read.
 */
const cutStalled = (socket: Socket): void => {
  if (socket.writableLength > 0) socket.destroy()
}

/** What a client gets for a request that cannot be read (RFC 9112). */
const refuseUnreadable = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy()
    return
  }
  const status = error.code === "HPE_HEADER_OVERFLOW"
    ? "431 Request Header Fields Too Large"
    : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
    ? "408 Request Timeout"
    : "400 Bad Request"
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** Listens until the scope closes. Fails with `ConfigurationError` (`INVALID_CONFIG`) if the address cannot be used. */
export const listen = Effect.fnUntraced(function*(
  section: string,
  limits: Limits,
  certificate: Certificate | undefined,
  answer: Answer
): Effect.fn.Return<Listener, ConfigurationError, Scope.Scope> {
  const server = serverOf(limits, certificate)
  let isEnding = false
  const open = new Set<Http.ServerResponse>()
  const accept = (request: Http.IncomingMessage, response: Http.ServerResponse, awaitsContinue: boolean) => {
    if (isEnding) response.shouldKeepAlive = false
    open.add(response)
    response.on("close", () => open.delete(response))
    // A client that leaves is no failure.
    response.on("error", () => {})
    answer(request, response, awaitsContinue)
  }
  server.maxHeadersCount = limits.maxHeaders
  server.maxConnections = limits.maxConnections
  server.on("request", (request, response) => accept(request, response, false))
  server.on("checkContinue", (request, response) => accept(request, response, true))
  server.on("clientError", refuseUnreadable)
  server.setTimeout(Duration.toMillis(limits.sendTimeout), cutStalled)
  yield* Effect.acquireRelease(
    Effect.callback<void, ConfigurationError>((resume) => {
      const fail = (cause: Error) =>
        resume(Effect.fail(InvalidConfig.option(`${section}.port`, "an address that is free", { cause })))
      server.once("error", fail)
      server.listen({ host: limits.host, port: limits.port, backlog: 4096 }, () => {
        server.off("error", fail)
        server.on("error", () => {})
        resume(Effect.void)
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        if (server.listening) server.close(() => resume(Effect.void))
        else resume(Effect.void)
        server.closeAllConnections()
      })
  )
  const address = server.address()
  return {
    host: limits.host,
    port: typeof address === "object" && address !== null ? address.port : limits.port,
    announceEnd: () => {
      isEnding = true
      for (const response of open) response.shouldKeepAlive = false
    },
    stop: Effect.callback<void>((resume) => {
      if (!server.listening) return resume(Effect.void)
      server.close(() => resume(Effect.void))
    }),
    cut: () => server.closeAllConnections(),
    renew: ({ cert, key }) => {
      if (server instanceof Https.Server) server.setSecureContext({ key: Buffer.from(key), cert: Buffer.from(cert) })
    }
  }
})
