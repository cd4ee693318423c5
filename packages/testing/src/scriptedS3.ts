/**
 * A scripted S3 on a free loopback port, for what a real store does not do on demand: faults, delays, wrong lengths, objects of
 * any size, a clock that is wrong. It checks signatures on the path as it came, and answers as AWS does.
 */
import { Clock, Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import { type Fault, Faults } from "./s3/faults.ts"
import { type Bucket, stored, type StoredObject, synthetic } from "./s3/objects.ts"
import { serve, type Service } from "./s3/service.ts"

export type { Fault } from "./s3/faults.ts"
export { type StoredObject, syntheticBytes } from "./s3/objects.ts"

/** The options of the server. Every one may be left out. */
export interface ScriptedS3Options {
  /** Secrets by access key. Default `{ "keelson-test": "keelson-test-secret" }`. */
  readonly secrets?: Readonly<Record<string, string>> | undefined
  /** Session tokens by access key. Default none. */
  readonly sessionTokens?: Readonly<Record<string, string>> | undefined
  /** Default us-east-1. */
  readonly region?: string | undefined
  /** Whether signatures are checked. Default true. */
  readonly signatures?: boolean | undefined
  /** The buckets to begin with. Default none. */
  readonly buckets?: ReadonlyArray<string> | undefined
  /** A name whose subdomains are buckets, for virtual-hosted requests. Default none. */
  readonly domain?: string | undefined
  /** The key and the certificates of TLS, in PEM. Default without TLS. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined
}

/** A request as it came. */
export interface ReceivedRequest {
  readonly method: string
  /** The raw target. */
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  /** The port of the client: the same for requests on one connection. */
  readonly clientPort: number
  /** The status of the response, once its head was sent. */
  readonly status: () => number | undefined
  /** Whether the response was sent whole, or the connection closed before. */
  readonly end: () => "complete" | "aborted" | undefined
}

export interface ScriptedS3 {
  readonly url: string
  readonly port: number
  readonly region: string
  /** Every request so far, in order. */
  readonly requests: ReadonlyArray<ReceivedRequest>
  /** The open connections. */
  readonly connections: () => number
  readonly createBucket: (name: string, options?: { readonly isPublic?: boolean }) => void
  /** Stores an object, in a bucket that is made if there is none. */
  readonly put: (
    bucket: string,
    key: string,
    body: string | Uint8Array,
    headers?: Readonly<Record<string, string>>
  ) => StoredObject
  /** The same for an object of any size that takes no memory; `syntheticBytes` tells its bytes. */
  readonly putSynthetic: (
    bucket: string,
    key: string,
    size: number,
    headers?: Readonly<Record<string, string>>
  ) => StoredObject
  readonly get: (bucket: string, key: string) => StoredObject | undefined
  readonly remove: (bucket: string, key: string) => void
  /** Sets what goes wrong with a `bucket/key`, a `bucket`, or `*`; `undefined` ends it. */
  readonly fault: (where: string, fault: Fault | undefined) => void
  /** How many milliseconds the clock of the server is ahead. */
  clockOffset: number
  /** Closes the port and all connections. */
  readonly stop: Effect.Effect<void>
  /** Listens again, at the same port. */
  readonly start: Effect.Effect<void>
}

const listening = (server: Http.Server, port: number): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", 4096, () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const closed = (server: Http.Server, sockets: ReadonlySet<Socket>): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (!server.listening) return resume(Effect.void)
    server.close(() => resume(Effect.void))
    for (const socket of sockets) socket.destroy()
  })

const received = (request: Http.IncomingMessage, response: Http.ServerResponse): ReceivedRequest => {
  let isClosed = false
  response.once("close", () => isClosed = true)
  return {
    method: request.method ?? "",
    url: request.url ?? "",
    headers: request.headers,
    clientPort: request.socket.remotePort ?? 0,
    status: () => response.headersSent ? response.statusCode : undefined,
    end: () => response.writableFinished ? "complete" : isClosed ? "aborted" : undefined
  }
}

const makeServer = (tls: ScriptedS3Options["tls"], service: Service) => {
  const requests: Array<ReceivedRequest> = []
  const sockets = new Set<Socket>()
  const options = { keepAliveTimeout: 600_000, requestTimeout: 0 }
  const server = tls === undefined ? Http.createServer(options) : Https.createServer({ ...options, ...tls })
  server.on("request", (request, response) => {
    requests.push(received(request, response))
    // A client that leaves while it sends is not a failure of the server.
    response.on("error", () => {})
    void serve(request, response, service).catch(() => response.destroy())
  })
  server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.once("close", () => sockets.delete(socket))
  })
  return { requests, sockets, server }
}

/** A server in the scope. Its clock and its delays are those of the effect. */
export const scriptedS3 = Effect.fnUntraced(
  function*(options: ScriptedS3Options = {}): Effect.fn.Return<ScriptedS3, never, Scope.Scope> {
    const { region = "us-east-1", secrets = { "keelson-test": "keelson-test-secret" }, signatures = true } = options
    const clock = yield* Clock.Clock
    const run = Effect.runPromiseWith(yield* Effect.context())
    const buckets = new Map<string, Bucket>()
    const faults = new Faults()
    const time = { offset: 0 }
    const now = (): number => clock.currentTimeMillisUnsafe() + time.offset
    const createBucket: ScriptedS3["createBucket"] = (name, { isPublic = false } = {}) =>
      void buckets.set(name, { isPublic, objects: new Map() })
    for (const name of options.buckets ?? []) createBucket(name)
    const trust = {
      secrets: new Map(Object.entries(secrets)),
      sessionTokens: new Map(Object.entries(options.sessionTokens ?? {})),
      region,
      now
    }
    const end = yield* Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (controller) => Effect.sync(() => controller.abort())
    )
    const sleep = (millis: number) => run(Effect.sleep(millis), { signal: end.signal })
    const service: Service = { buckets, faults, trust, signatures, domain: options.domain, sleep }
    const { requests, server, sockets } = makeServer(options.tls, service)
    const port = yield* Effect.acquireRelease(listening(server, 0), () => closed(server, sockets))
    const add = (bucket: string, key: string, object: StoredObject): StoredObject => {
      if (!buckets.has(bucket)) createBucket(bucket)
      buckets.get(bucket)?.objects.set(key, object)
      return object
    }
    return {
      url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
      port,
      region,
      requests,
      connections: () => sockets.size,
      createBucket,
      put: (bucket, key, body, headers = {}) =>
        add(bucket, key, stored(typeof body === "string" ? Buffer.from(body) : body, headers, now())),
      putSynthetic: (bucket, key, size, headers = {}) => add(bucket, key, synthetic(key, size, headers, now())),
      get: (bucket, key) => buckets.get(bucket)?.objects.get(key),
      remove: (bucket, key) => void buckets.get(bucket)?.objects.delete(key),
      fault: (where, fault) => faults.set(where, fault),
      get clockOffset() {
        return time.offset
      },
      set clockOffset(millis) {
        time.offset = millis
      },
      stop: closed(server, sockets),
      start: Effect.asVoid(Effect.suspend(() => listening(server, port)))
    }
  }
)
