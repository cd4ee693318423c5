#!/bin/sh
# fetch of Node (undici), a POST that is answered with 303
#
# A POST is received and answered with 303 See Other. Nothing listens at the address of the redirect. `fetch` rejects with
# `ECONNREFUSED`, as if no server had been reached: the error names the second address, and nothing in it says that the POST
# was carried out. Code that repeats a POST after a refused connection sends it twice. With `redirect: "manual"` the 303 is
# the result.
#
# Guess: a refused connection means that the request was not sent; or the error says that it followed a redirect.
#
# Seen (Node v20.20.2 and v24.21.0):
#   error            TypeError: fetch failed
#   cause            ECONNREFUSED, of the port of the redirect
#   requests seen    POST
#   manual           status 303
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > run.mjs <<'JS'
import assert from "node:assert"
import { once } from "node:events"
import http from "node:http"

const listen = async (server) => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return server.address().port
}
const closed = http.createServer()
const unused = await listen(closed)
closed.close()
await once(closed, "close")

const seen = []
const server = http.createServer((request, response) => {
  seen.push(request.method)
  request.resume().on("end", () => response.writeHead(303, { location: `http://127.0.0.1:${unused}/receipt` }).end())
})
const url = `http://127.0.0.1:${await listen(server)}/orders`
const post = { method: "POST", body: "one" }

const error = await fetch(url, post).then(() => undefined, (error) => error)
const observed = {
  error: String(error),
  code: error.cause.code,
  isOfRedirect: error.cause.port === unused,
  seen: seen.join(),
  manual: (await fetch(url, { ...post, redirect: "manual" })).status
}
console.log("node", process.version)
for (const [name, value] of Object.entries(observed)) console.log(name.padEnd(13), value)
server.closeAllConnections()
server.close()
assert.deepStrictEqual(observed, {
  error: "TypeError: fetch failed",
  code: "ECONNREFUSED",
  isOfRedirect: true,
  seen: "POST",
  manual: 303
})
JS
node run.mjs
