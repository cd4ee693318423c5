#!/bin/sh
# undici 8.12.4
#
# A client of undici opens one connection for each HEAD request, whatever keep-alive says: `Pool`, `Client`, `request` and
# `fetch` all close the connection after the response to a HEAD, and the server sees `connection: close` in the request. GETs on
# the same pool share one connection. `reset: false` in the options of `request` or `dispatch` keeps the connection; `fetch` has
# no such option.
#
# Guess: HEAD is the cheap request. A cache or a gateway that asks an object store by HEAD whether an object changed pays a TCP
# and a TLS handshake each time, and a GET with `if-none-match` (304) costs less.
#
# Seen (Node v24.21.0; 5 requests one after the other: connections, header `connection` of the last one):
#   GET by request                1 keep-alive
#   HEAD by request               5 close
#   HEAD by request, reset false  1 keep-alive
#   GET by fetch                  1 keep-alive
#   HEAD by fetch                 5 close
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent undici@8.12.4
cat > run.js <<'JS'
import assert from "node:assert"
import { createServer } from "node:http"
import { once } from "node:events"
import { fetch, Pool } from "undici"

const observe = async (send) => {
  let connections = 0
  let last
  const server = createServer((request, response) => {
    last = request.headers.connection
    response.setHeader("content-length", "5")
    response.end(request.method === "HEAD" ? undefined : "hello")
  })
  server.on("connection", () => connections++)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const origin = `http://127.0.0.1:${server.address().port}`
  const pool = new Pool(origin, { connections: 1 })
  for (let i = 0; i < 5; i++) await send(origin, pool)
  await pool.close()
  server.closeAllConnections()
  server.close()
  return `${connections} ${last}`
}
const byRequest = (options) => async (_, pool) => {
  const { body } = await pool.request({ path: "/", ...options })
  await body.text()
}
const byFetch = (method) => async (origin, dispatcher) => {
  const response = await fetch(origin, { method, dispatcher })
  await response.text()
}
const observed = {
  "GET by request": await observe(byRequest({ method: "GET" })),
  "HEAD by request": await observe(byRequest({ method: "HEAD" })),
  "HEAD by request, reset false": await observe(byRequest({ method: "HEAD", reset: false })),
  "GET by fetch": await observe(byFetch("GET")),
  "HEAD by fetch": await observe(byFetch("HEAD"))
}
console.log("node", process.version)
for (const [name, value] of Object.entries(observed)) console.log(name.padEnd(29), value)
assert.deepStrictEqual(observed, {
  "GET by request": "1 keep-alive",
  "HEAD by request": "5 close",
  "HEAD by request, reset false": "1 keep-alive",
  "GET by fetch": "1 keep-alive",
  "HEAD by fetch": "5 close"
})
JS
node run.js
