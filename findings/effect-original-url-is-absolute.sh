#!/bin/sh
# effect 4.1.0 and @effect/platform-node 4.1.0
#
# `HttpServerRequest.originalUrl` is not the `url` of before: it is an absolute URL, while `url` is the path with its query. Under
# `NodeHttpServer` its origin is made from the header `host`, which the client chooses; for `HttpServerRequest.fromWeb` it is the
# URL of the web request. A middleware that writes `originalUrl` to an access log, or compares it with a path, gets other text than
# from `url`, also where no router took a prefix away.
#
# Guess: as in Express, `originalUrl` is the `url` before a router took a prefix away.
#
# Seen (Node v20.20.2 and v24.21.0; GET /a/b?c=1 with `host: other.example`):
#   Node, url                      /a/b?c=1
#   Node, originalUrl              http://other.example/a/b?c=1
#   fromWeb, url                   /a/b?c=1
#   fromWeb, originalUrl           http://web.example/a/b?c=1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0 @effect/platform-node@4.1.0
cat > run.js <<'JS'
import assert from "node:assert"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer, get } from "node:http"

const observed = {}
const note = (name, request) => {
  observed[`${name}, url`] = request.url
  observed[`${name}, originalUrl`] = request.originalUrl
}
const app = Effect.gen(function*() {
  note("Node", yield* HttpServerRequest.HttpServerRequest)
  return HttpServerResponse.empty()
})
const server = createServer()
const send = () =>
  new Promise((resolve, reject) => {
    const { port } = server.address()
    const options = { host: "127.0.0.1", port, path: "/a/b?c=1", headers: { host: "other.example", connection: "close" } }
    get(options, (response) => response.resume().on("end", resolve)).on("error", reject)
  })
const program = Effect.andThen(HttpServer.serveEffect(app), Effect.promise(send)).pipe(
  Effect.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" }))
)
await Effect.runPromise(Effect.scoped(program))
note("fromWeb", HttpServerRequest.fromWeb(new Request("http://web.example/a/b?c=1")))
console.log("node", process.version)
for (const [name, value] of Object.entries(observed)) console.log(name.padEnd(30), value)
assert.deepStrictEqual(observed, {
  "Node, url": "/a/b?c=1",
  "Node, originalUrl": "http://other.example/a/b?c=1",
  "fromWeb, url": "/a/b?c=1",
  "fromWeb, originalUrl": "http://web.example/a/b?c=1"
})
JS
node run.js
