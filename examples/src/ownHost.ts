/** Protects a local server from web pages of other sites, whose host names may resolve to 127.0.0.1. */
import { Effect } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

/** Rejects requests to another host than the server's. */
export const ownHostOnly = HttpRouter.middleware(
  Effect.map(
    HttpServer.HttpServer,
    (server) => (httpEffect) =>
      Effect.flatMap(
        HttpServerRequest.HttpServerRequest,
        ({ headers }) =>
          headers["host"] === new URL(HttpServer.formatAddress(server.address)).host
            ? httpEffect
            : Effect.succeed(HttpServerResponse.empty({ status: 421 }))
      )
  ),
  { global: true }
)
