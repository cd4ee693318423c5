/** The API server: handlers, a validator and keys from the issuer's metadata. Listens on 127.0.0.1 and serves only that host. */
import { NodeHttpServer } from "@effect/platform-node"
import { KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { HttpSecurity, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { createServer } from "node:http"
import { ownHostOnly } from "../ownHost.ts"
import { Api, Authenticated, Caller, type Report, ReportClaims } from "./api.ts"

/** The audience of the tokens. */
export const audience = "https://reports.example"

class Tokens extends TokenValidator.Service<Tokens>()("example/Tokens", { claims: ReportClaims }) {}

/** `allowLocalhost` is for this example only: in production keys are fetched with https, never from a private address. */
const tokensOf = (issuer: string) =>
  Tokens.layer(ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })).pipe(
    Layer.provide(KeySource.layerOidc({ issuer, prefetch: false, retryDelay: "20 millis" })),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )

/** Each tenant sees only its own reports. The tenant comes from the token's claims. */
const handlers = HttpApiBuilder.group(Api, "reports", (group) => {
  const reports = new Map<string, ReadonlyArray<typeof Report.Type>>()
  const ofTenant = (tenant: string) => reports.get(tenant) ?? []
  return group.handleAll({
    list: () => Effect.map(Caller, ({ claims }) => ofTenant(claims.tenant)),
    add: ({ payload }) =>
      Effect.map(Caller, ({ claims }) => {
        reports.set(claims.tenant, [...ofTenant(claims.tenant), payload])
        return payload
      }),
    clear: () =>
      Effect.map(Caller.requireRoles("admin"), ({ claims }) => {
        reports.delete(claims.tenant)
      })
  })
})

const health = HttpApiBuilder.group(Api, "health", (group) => group.handle("health", () => Effect.void))

const routes = (issuer: string) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
      Layer.provide([handlers, health]),
      Layer.provide(
        HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller, realm: "reports" })
      ),
      Layer.provide(tokensOf(issuer))
    ),
    HttpApiScalar.layer(Api, { path: "/docs" }),
    ownHostOnly
  )

/** Serves until the scope closes. Returns the URL of the API. */
export const serve = Effect.fnUntraced(function*(issuer: string) {
  const server = HttpRouter.serve(routes(issuer), { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, {
      port: 0,
      host: "127.0.0.1",
      gracefulShutdownTimeout: "100 millis"
    })),
    Layer.provide(HttpSecurity.layerRedaction())
  )
  const context = yield* Layer.build(server)
  return HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
})
