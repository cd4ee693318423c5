/** The protected API: a validator with a cache of the provider's keys, on 127.0.0.1 and for requests to that host only. */
import { NodeHttpServer } from "@effect/platform-node"
import { JwksCache, KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Claims, HttpSecurity, TokenValidator, ValidatorOptions } from "@keelson/token"
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"
import { ownHostOnly } from "../ownHost.ts"
import { Api, Authenticated, Caller } from "./api.ts"
import { type Faults, faultsFirst } from "./faults.ts"

class Tokens extends TokenValidator.Service<Tokens>()("survival/Tokens", { claims: Claims.AccessToken }) {}

const handlers = HttpApiBuilder.group(
  Api,
  "orders",
  (group) => group.handle("list", () => Effect.map(Caller, ({ claims }) => ({ of: claims.client_id })))
)

/** `allowLocalhost` is for this program only: in production, keys are fetched over https and never from a private address. */
const keys = ({ jwks }: ValidatorOptions.ValidatorOptions, issuer: string) =>
  JwksCache.layer({ ...jwks, issuer }).pipe(Layer.provide(NodeEgress.layer({ allowLocalhost: true })))

const routes = (options: ValidatorOptions.ValidatorOptions, faults: Faults) =>
  Layer.mergeAll(
    HttpApiBuilder.layer(Api).pipe(
      Layer.provide(handlers),
      Layer.provide(HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller, realm: "orders" })),
      Layer.provide(Tokens.layer(ValidatorOptions.policyOf(options))),
      Layer.provide(KeySource.layerFromCache)
    ),
    faultsFirst(faults),
    ownHostOnly
  )

/** A server that listens but does not respond yet. */
export const listening = Effect.map(
  NodeHttpServer.make(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "100 millis" }),
  (server) => ({ server, url: HttpServer.formatAddress(server.address) })
)

/** Serves the API until the scope closes. Returns its key cache, for the operator. */
export const serveApi = Effect.fnUntraced(function*(
  server: HttpServer.HttpServer["Service"],
  options: ValidatorOptions.ValidatorOptions,
  issuer: string,
  faults: Faults
) {
  const served = HttpRouter.serve(routes(options, faults), { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provide([Layer.succeed(HttpServer.HttpServer, server), NodeHttpServer.layerHttpServices]),
    Layer.provideMerge(keys(options, issuer))
  )
  return Context.get(yield* Layer.build(served), JwksCache.JwksCache)
})
