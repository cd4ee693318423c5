/** `/metrics` on 127.0.0.1, for requests to that host with the random token of the page's URL. */
import { NodeHttpServer } from "@effect/platform-node"
import { PrometheusEndpoint } from "@keelson/core"
import { Effect } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash, randomUUID, timingSafeEqual } from "node:crypto"
import { createServer } from "node:http"

const digest = (text: string) => createHash("sha256").update(text).digest()

/** Serves the page until the scope closes. Returns its URL, with the token. */
export const serveMetrics = Effect.gen(function*() {
  const token = randomUUID()
  const server = yield* NodeHttpServer.make(createServer, { port: 0, host: "127.0.0.1" })
  const base = HttpServer.formatAddress(server.address)
  const { host } = new URL(base)
  const respond = ({ headers, url }: HttpServerRequest.HttpServerRequest) => {
    if (headers["host"] !== host) return Effect.succeed(HttpServerResponse.empty({ status: 421 }))
    const { pathname, searchParams } = new URL(url, base)
    if (pathname !== "/metrics") return Effect.succeed(HttpServerResponse.empty({ status: 404 }))
    return timingSafeEqual(digest(searchParams.get("token") ?? ""), digest(token))
      ? PrometheusEndpoint.response
      : Effect.succeed(HttpServerResponse.empty({ status: 403 }))
  }
  yield* server.serve(Effect.flatMap(HttpServerRequest.HttpServerRequest, respond))
  return `${base}/metrics?token=${token}`
})
