/**
 * An API that is protected with the tokens of a real OpenID provider, both on 127.0.0.1:
 * `node examples/src/protected-api.ts` sends it requests, shows what they are answered with, and ends by itself after about two
 * seconds. With `--serve` it goes on, and prints how to ask for a token and where the document of the API is.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, References } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { type Issuer, makeIssuer, tokenCommand } from "./protected-api/issuer.ts"
import { serve } from "./protected-api/server.ts"

/** The headers that tell a caller what to do. */
const told = ["www-authenticate", "retry-after"] as const

const show = Effect.fnUntraced(function*(title: string, response: HttpClientResponse.HttpClientResponse) {
  const text = yield* response.text
  const lines = told.flatMap((name) => {
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
  yield* show("A good token, while the issuer's keys can't be had: that says nothing about the token", early)
  issuer.isDown = false
  yield* Effect.sleep(`${Number(early.headers["retry-after"] ?? 1)} seconds`)

  yield* show("The same, when it was told to come back", yield* client.execute(as(editor)(list)))
  yield* show("No token", yield* client.execute(list))
  yield* show("A token that was changed", yield* client.execute(as(`${editor.slice(0, -8)}AAAAAAAA`)(list)))
  yield* show("A token that is no token", yield* client.execute(as("a b")(list)))
  yield* show("A token that lacks a scope", yield* client.execute(as(reader)(add)))
  yield* show("One that has it", yield* client.execute(as(editor)(add)))
  yield* show("What was added, for a caller of the same tenant", yield* client.execute(as(reader)(list)))
  yield* show("A caller without the role", yield* client.execute(as(reader)(clear)))
  yield* show("One who has it", yield* client.execute(as(editor)(clear)))
})

const main = Effect.gen(function*() {
  const issuer = yield* makeIssuer
  const api = yield* serve(issuer.url)
  if (!process.argv.includes("--serve")) return yield* requests(api, issuer)
  yield* Console.log(
    `API ${api}/reports, its document ${api}/docs and ${api}/openapi.json\nTokens: ${
      tokenCommand(issuer.url, "editor")
    }`
  )
  return yield* Effect.never
})

// The warnings about the outage, with their stacks, would tear the report apart.
NodeRuntime.runMain(
  main.pipe(
    Effect.scoped,
    Effect.provide(NodeHttpClient.layerUndici),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
)
