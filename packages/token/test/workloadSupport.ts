/** A scripted metadata service over real HTTP, tokens of a platform, and the environment of a workload. */
import { NodeFileSystem } from "@effect/platform-node"
import { KeelsonError } from "@keelson/core"
import { ConfigProvider, Effect, type Scope } from "effect"
import { generateKeyPair, SignJWT } from "jose"
import * as Fs from "node:fs/promises"
import * as Http from "node:http"
import type { Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TokenSource } from "../src/index.ts"

/** A request as the service received it. */
export interface Received {
  readonly method: string
  /** The path, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

/** A response of the service; `undefined` for none at all. */
export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export type Script = (request: Received, number: number) => Answer | undefined

export interface Service {
  readonly url: string
  readonly requests: ReadonlyArray<Received>
  script: Script
  /** Called with each request that gets no answer. */
  onHang: () => void
}

const bodyOf = async (request: Http.IncomingMessage): Promise<string> => {
  let body = ""
  for await (const chunk of request) body += String(chunk)
  return body
}

/** Runs until the scope closes. */
export const metadataService = (script: Script): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.suspend(() => {
    const requests: Array<Received> = []
    const sockets = new Set<Socket>()
    const own = { script, onHang: () => {} }
    const respond = async (request: Http.IncomingMessage, response: Http.ServerResponse) => {
      const body = await bodyOf(request)
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://service")
      const method = request.method ?? ""
      const received = { method, path: pathname, query: searchParams, headers: request.headers, body }
      const answer = own.script(received, requests.push(received))
      if (answer === undefined) own.onHang()
      else response.writeHead(answer.status ?? 200, answer.headers).end(answer.body ?? "")
    }
    const server = Http.createServer((request, response) => void respond(request, response))
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.once("close", () => sockets.delete(socket))
    })
    return Effect.acquireRelease(
      Effect.callback<Service>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed(Object.assign(own, { url: `http://127.0.0.1:${port}`, requests })))
        })
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
    )
  })

export const json = (value: unknown, headers: Readonly<Record<string, string>> = {}): Answer => ({
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(value)
})

const keys = new Map<string, Promise<CryptoKey>>()

const keyOf = (alg: string): Promise<CryptoKey> => {
  const key = keys.get(alg) ?? generateKeyPair(alg).then(({ privateKey }) => privateKey)
  keys.set(alg, key)
  return key
}

/** A signed JWT. `exp` is in seconds since 1970. */
export const jwt = (
  claims: Readonly<Record<string, unknown>>,
  alg = "RS256"
): Effect.Effect<string> =>
  Effect.promise(async () => new SignJWT({ ...claims }).setProtectedHeader({ alg, kid: "k" }).sign(await keyOf(alg)))

/** A time that no test reaches, in seconds since 1970. */
export const later = 4_000_000_000

/** An empty directory, removed when the scope closes. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => Fs.mkdtemp(join(tmpdir(), "workload-"))),
  (path) => Effect.promise(() => Fs.rm(path, { recursive: true, force: true }))
)

/** Provides the environment of a workload, and real files. */
export const inEnvironment = (variables: Readonly<Record<string, string>>) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { ...variables } })),
    Effect.provide(NodeFileSystem.layer)
  )

/** Code, message and details of the error of a source. */
export const failureOf = (source: TokenSource.TokenSource) =>
  Effect.gen(function*() {
    const error = yield* Effect.orDie(Effect.flip(source.acquire))
    if (!(error instanceof KeelsonError.CodedError)) return yield* Effect.die(error)
    const details: Readonly<Record<string, unknown>> = error.details
    return { code: error.code, details, message: error.message }
  })
