import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Document } from "./document.ts"

/** Any page may read the metadata: they are public, and never depend on the caller. */
const cors = { "access-control-allow-origin": "*" }

/** What a browser asks for before a `GET` with headers of its own (Fetch, 3.2.2), such as `MCP-Protocol-Version`. */
const preflight = HttpServerResponse.empty({
  status: 204,
  headers: {
    ...cors,
    "access-control-allow-methods": "GET, HEAD",
    "access-control-allow-headers": "*",
    "access-control-max-age": "86400"
  }
})

const notAllowed = HttpServerResponse.empty({ status: 405, headers: { ...cors, allow: "GET, HEAD, OPTIONS" } })

const refusedMethods = ["POST", "PUT", "PATCH", "DELETE", "QUERY"] as const

/** Serves metadata at paths. The router answers `HEAD` by the route of `GET`. */
export const addMetadataRoutes = Effect.fnUntraced(function*(
  document: Document,
  paths: ReadonlySet<string>,
  lifetime: Duration.Duration
) {
  const router = yield* HttpRouter.HttpRouter
  const seconds = Math.floor(Duration.toSeconds(lifetime))
  const metadata = HttpServerResponse.jsonUnsafe(document, {
    headers: {
      ...cors,
      "cache-control": seconds === 0 ? "no-cache" : `public, max-age=${seconds}`,
      "x-content-type-options": "nosniff"
    }
  })
  for (const text of paths) {
    const path: HttpRouter.PathInput = `/${text.slice(1)}`
    yield* router.add("GET", path, metadata)
    yield* router.add("OPTIONS", path, preflight)
    for (const method of refusedMethods) yield* router.add(method, path, notAllowed)
  }
})
