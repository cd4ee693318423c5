/** A page of another site could otherwise reach a server by a name of its own that resolves to 127.0.0.1. */
import { Effect } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

/** Refuses requests for another host than the server's own. */
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
