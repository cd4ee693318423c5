/** One API in three variants, on a real server at a free port of 127.0.0.1. */
import { NodeHttpServer, NodeHttpServerRequest } from "@effect/platform-node"
import { type KeelsonError, Problem } from "@keelson/core"
import { type JwksError, KeySource } from "@keelson/jwks"
import { audience, issuer } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Schema } from "effect"
import { HttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { connect } from "node:net"
import {
  BearerAuthentication,
  Claims,
  HttpSecurity,
  HttpSecurityError,
  type HttpSecurityOptions,
  Principal,
  TokenValidator,
  ValidationPolicy
} from "../src/index.ts"

export class Tokens extends TokenValidator.Service<Tokens>()("test/ApiTokens", { claims: Claims.AccessToken }) {}
export class Caller extends Principal.Service<Caller, Claims.AccessToken>()("test/Caller") {}
export class Authenticated extends HttpSecurity.Service<Authenticated, Caller>()("test/Authenticated") {}

export const policy = ValidationPolicy.accessToken({
  issuers: [issuer],
  audiences: [audience],
  algorithms: ["ES256"]
})

export const tokensOf = <E>(keys: Layer.Layer<KeySource.KeySource, E>) => Layer.provide(Tokens.layer(policy), keys)

/** A key source whose keys are unavailable. */
export const keysDown = (error: JwksError.JwksUnavailable) =>
  Layer.succeed(KeySource.KeySource, { find: () => Effect.fail(error) })

const who = Effect.map(Caller, ({ claims, roles, scopes }) => ({
  client: claims.client_id,
  scopes: [...scopes],
  roles: [...roles]
}))
const Who = Schema.Struct({
  client: Schema.String,
  scopes: Schema.Array(Schema.String),
  roles: Schema.Array(Schema.String)
})

const readers = Caller.requireAnyScope("reports:read", "reports:admin")
const admins = Caller.requireRoles("admin")
const others = Caller.requireAnyRole("admin", "auditor")
const webClient = Caller.require(({ clientId }) => clientId === "web")

const Endpoints = HttpApiGroup.make("endpoints").add(
  HttpApiEndpoint.get("me", "/me", { success: Who }),
  HttpApiEndpoint.post("change", "/me", { success: Who }),
  HttpApiEndpoint.post("report", "/reports", { success: Who }).pipe(
    HttpSecurity.requireScopes(Authenticated, "reports:read"),
    HttpSecurity.requireScopes(Authenticated, "reports:write")
  ),
  HttpApiEndpoint.get("reports", "/reports", { success: Who }),
  HttpApiEndpoint.get("admin", "/admin", { success: Who }),
  HttpApiEndpoint.get("audit", "/audit", { success: Who }),
  HttpApiEndpoint.get("web", "/web", { success: Who })
).middleware(Authenticated)

const Open = HttpApiGroup.make("open").add(HttpApiEndpoint.get("health", "/health"))

export const Api = HttpApi.make("test").add(Endpoints, Open)

type Settings = HttpSecurityOptions.Options

const settingsOf = (options: Settings) => ({ validator: Tokens, principal: Caller, ...options })

const handlers = Layer.mergeAll(
  HttpApiBuilder.group(Api, "endpoints", (group) =>
    group.handleAll({
      me: () => who,
      change: () => who,
      report: () => who,
      reports: () => Effect.andThen(readers, who),
      admin: () => Effect.andThen(admins, who),
      audit: () => Effect.andThen(others, who),
      web: () => Effect.andThen(webClient, who)
    })),
  HttpApiBuilder.group(Api, "open", (group) => group.handleAll({ health: () => Effect.void }))
)

export const asHttpApi = (options: Settings) =>
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide(Layer.provide(handlers, HttpSecurity.layer(Authenticated, settingsOf(options))))
  )

const json = Effect.map(who, (body) => HttpServerResponse.jsonUnsafe(body))

const routes = Layer.mergeAll(
  HttpRouter.add("GET", "/me", json),
  HttpRouter.add("POST", "/me", json),
  HttpRouter.add("POST", "/reports", Effect.andThen(Caller.requireScopes("reports:read", "reports:write"), json)),
  HttpRouter.add("GET", "/reports", Effect.andThen(readers, json)),
  HttpRouter.add("GET", "/admin", Effect.andThen(admins, json)),
  HttpRouter.add("GET", "/audit", Effect.andThen(others, json)),
  HttpRouter.add("GET", "/web", Effect.andThen(webClient, json))
)

const health = HttpRouter.add("GET", "/health", HttpServerResponse.empty())

export const asRoutes = (options: Settings) =>
  Layer.merge(Layer.provide(routes, HttpSecurity.middleware(settingsOf(options)).layer), health)

/** A response made of the status, headers and problem details of an error only. */
const answerOf = (error: HttpSecurityError.HttpSecurityError) =>
  HttpServerResponse.jsonUnsafe(Problem.toProblemDetails(error), {
    status: error.status,
    headers: error.headers,
    contentType: "application/problem+json"
  })

/** The API of an application without Effect, with Node's requests. */
const foreign = (options: Settings) =>
  HttpRouter.middleware<{ provides: Caller; handles: HttpSecurityError.HttpSecurityError }>()(
    Effect.map(
      BearerAuthentication.make(settingsOf(options)),
      ({ authenticate, cacheHeaders }) => (httpEffect) =>
        Effect.gen(function*() {
          const request = NodeHttpServerRequest.toIncomingMessage(yield* HttpServerRequest.HttpServerRequest)
          const response = yield* authenticate(request).pipe(
            Effect.flatMap((caller) => Effect.provideService(httpEffect, Caller, caller)),
            Effect.catchIf(HttpSecurityError.isHttpSecurityError, (error) => Effect.succeed(answerOf(error)))
          )
          return HttpServerResponse.setHeaders(response, cacheHeaders(request, response.headers))
        })
    )
  )

const asForeign = (options: Settings) => Layer.merge(Layer.provide(routes, foreign(options).layer), health)

/** A variant of the API. */
export type Variant = (options: Settings) => ReturnType<typeof asHttpApi | typeof asRoutes | typeof asForeign>

/** All variants. */
export const variants: ReadonlyArray<readonly [name: string, variant: Variant]> = [
  ["an HttpApi", asHttpApi],
  ["an HttpRouter", asRoutes],
  ["a server without Effect", asForeign]
]

/** A response. */
export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  readonly json: unknown
}

const received = (all: string, withBody: boolean): Received => {
  const [head = "", ...rest] = all.split("\r\n\r\n")
  const [first = "", ...lines] = head.split("\r\n")
  const text = rest.join("\r\n\r\n")
  const headers = Object.fromEntries(lines.map((line) => {
    const [name = "", ...value] = line.split(": ")
    return [name.toLowerCase(), value.join(": ")]
  }))
  const isJson = withBody && (headers["content-type"] ?? "").includes("json")
  return { status: Number(first.split(" ")[1]), headers, text, json: isJson ? JSON.parse(text) : undefined }
}

/** Sends lines unchanged, and reads until the server closes the connection. */
const exchange = (port: number, lines: ReadonlyArray<string>) =>
  Effect.callback<Received, Error>((resume) => {
    const socket = connect(port, "127.0.0.1")
    const chunks: Array<Buffer> = []
    socket.on("data", (chunk) => chunks.push(chunk))
    socket.once("error", (error) => resume(Effect.fail(error)))
    socket.once("close", () => {
      resume(Effect.succeed(received(Buffer.concat(chunks).toString("latin1"), !(lines[0] ?? "").startsWith("HEAD"))))
    })
    socket.write(
      [...lines, "Host: api.example", "Connection: close", "Content-Length: 0", "", ""].join("\r\n"),
      "latin1"
    )
    return Effect.sync(() => socket.destroy())
  })

/** A server in the scope. `send` writes a request line and headers unchanged. */
export const serve = Effect.fnUntraced(function*(
  variant: Variant,
  tokens: Layer.Layer<Tokens, KeelsonError.ConfigurationError>,
  options: Settings = {},
  around: Layer.Layer<never> = Layer.empty,
  server: typeof NodeHttpServer.layerTest = NodeHttpServer.layerTest
) {
  const served = HttpRouter.serve(variant(options), { disableListenLog: true }).pipe(
    Layer.provide(tokens),
    Layer.provideMerge(server),
    Layer.provide(around)
  )
  const context = yield* Layer.build(served)
  const { address } = Context.get(context, HttpServer.HttpServer)
  const port = address._tag === "InetAddressV4" || address._tag === "InetAddressV6" ? address.port : 0
  const send = (request: string, ...headers: ReadonlyArray<string>) =>
    exchange(port, [`${request} HTTP/1.1`, ...headers])
  return { send, port, client: Context.get(context, HttpClient.HttpClient) }
})

/** A header with a token. */
export const bearer = (token: string): string => `Authorization: Bearer ${token}`
