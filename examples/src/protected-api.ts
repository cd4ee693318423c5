/**
 * An API protected by access tokens of a real OpenID provider, both on 127.0.0.1. `node examples/src/protected-api.ts` sends
 * requests, prints the responses, and exits after about two seconds. With `--serve` it keeps running, and prints the command
 * that requests a token and the URL of the API's documentation.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, References } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { type Issuer, makeIssuer, tokenCommand } from "./protected-api/issuer.ts"
import { serve } from "./protected-api/server.ts"

/** Response headers that instruct the caller. */
const shownHeaders = ["www-authenticate", "retry-after"] as const

const show = Effect.fnUntraced(function*(title: string, response: HttpClientResponse.HttpClientResponse) {
  const text = yield* response.text
  const lines = shownHeaders.flatMap((name) => {
    const value = response.headers[name]
    return value === undefined ? [] : [`  ${name}: ${value}`]
  })
  const body = response.headers["content-type"]?.includes("problem") === true ? [] : [`  ${text}`]
  yield* Console.log([title, `  ${response.status}`, ...lines, ...(text === "" ? [] : body), ""].join("\n"))
})

const requests = Effect.fnUntraced(function*(api: string, issuer: Issuer) {
  const client = yield* HttpClient.HttpClient
  const reader = yield* issuer.token("reader", "reports:read")
  const editor = yield* issuer.token("editor", "reports:read reports:write")
  const as = (token: string) => HttpClientRequest.bearerToken(token)
  const list = HttpClientRequest.get(`${api}/reports`)
  const add = HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post(`${api}/reports`), { title: "Figures of May" })
  const clear = HttpClientRequest.delete(`${api}/reports`)

  issuer.isDown = true
  const early = yield* client.execute(as(editor)(list))
  yield* show("A valid token while the issuer is down: 503, since the token cannot be checked", early)
  issuer.isDown = false
  yield* Effect.sleep(`${Number(early.headers["retry-after"] ?? 1)} seconds`)

  yield* show("The same token after the Retry-After delay", yield* client.execute(as(editor)(list)))
  yield* show("No token", yield* client.execute(list))
  yield* show("A token with a modified signature", yield* client.execute(as(`${editor.slice(0, -8)}AAAAAAAA`)(list)))
  yield* show("A malformed Authorization header", yield* client.execute(as("a b")(list)))
  yield* show("A token without the required scope", yield* client.execute(as(reader)(add)))
  yield* show("A token with the scope", yield* client.execute(as(editor)(add)))
  yield* show("The added report, read by a caller of the same tenant", yield* client.execute(as(reader)(list)))
  yield* show("A caller without the required role", yield* client.execute(as(reader)(clear)))
  yield* show("A caller with the role", yield* client.execute(as(editor)(clear)))
})

const main = Effect.gen(function*() {
  const issuer = yield* makeIssuer
  const api = yield* serve(issuer.url)
  if (!process.argv.includes("--serve")) return yield* requests(api, issuer)
  yield* Console.log(
    `API ${api}/reports, documentation ${api}/docs and ${api}/openapi.json\nGet a token: ${
      tokenCommand(issuer.url, "editor")
    }`
  )
  return yield* Effect.never
})

// Hides the warnings about the outage, whose stacks would clutter the report.
NodeRuntime.runMain(
  main.pipe(
    Effect.scoped,
    Effect.provide(NodeHttpClient.layerUndici),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
)
