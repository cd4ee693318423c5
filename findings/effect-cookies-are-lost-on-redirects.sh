#!/bin/sh
# effect 4.1.0, effect/http HttpClient.withCookiesRef with HttpClient.followRedirects
#
# A cookie that a redirect answer sets is not sent to the place it redirects to, in either order of the two
# combinators, although the request goes to the same host:
#   - `withCookiesRef`, then `followRedirects`: the cookie is stored, but the redirected request goes without it;
#     only the next call sends it;
#   - `followRedirects`, then `withCookiesRef`: the cookie is not even stored, since the jar sees the last answer only.
# In the same way a request mapper (`mapRequest`) below `followRedirects` does not run for the redirected request:
# the redirected request repeats the headers of the first one.
#
# Why: the cookie header is set while the request is prepared, and `followRedirects` prepares only the first request.
#
# Guess: one of the two orders (the jar inside, redirects outside) works as in a browser or `curl -L -c jar -b jar`, so a
# login that answers 302 with a session cookie ends on the page of the session.
#
# Seen (Node v20.20.2 and v24.21.0; path and cookie header of each request):
#   cookies, redirects: /login - | /home - | (stored: sid) | next call: /home sid=1
#   redirects, cookies: /login - | /home - | (stored: ) | next call: /home -
#   mapRequest, redirects: /login count=1 | /home count=1
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0
cat > run.js <<'JS'
import assert from "node:assert"
import http from "node:http"
import { Effect, Ref } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"

let seen = []
const server = http.createServer((request, response) => {
  const count = request.headers["x-count"]
  seen.push(`${request.url} ${count === undefined ? request.headers.cookie ?? "-" : `count=${count}`}`)
  if (request.url === "/login") {
    response.writeHead(302, { location: "/home", "set-cookie": "sid=1; Path=/" }).end()
  } else {
    response.end("home")
  }
})
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
const origin = `http://127.0.0.1:${server.address().port}`

const get = (client, path) =>
  client.get(origin + path).pipe(
    Effect.flatMap((response) => response.text),
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
  )

const observed = []
const program = Effect.gen(function*() {
  const base = yield* HttpClient.HttpClient
  const jar = Ref.makeUnsafe([])
  const both = {
    "cookies, redirects": base.pipe(HttpClient.withCookiesRef(jar), HttpClient.followRedirects()),
    "redirects, cookies": base.pipe(HttpClient.followRedirects(), HttpClient.withCookiesRef(jar))
  }
  for (const [name, client] of Object.entries(both)) {
    seen = []
    yield* Ref.set(jar, [])
    yield* get(client, "/login")
    seen.push(`(stored: ${(yield* Ref.get(jar)).map((cookie) => cookie.name).join(" ")})`)
    const login = seen
    seen = []
    yield* get(client, "/home")
    observed.push(`${name}: ${login.join(" | ")} | next call: ${seen.join(" ")}`)
  }
  let count = 0
  seen = []
  yield* get(
    base.pipe(
      HttpClient.mapRequest((request) => HttpClientRequest.setHeader(request, "x-count", String(++count))),
      HttpClient.followRedirects()
    ),
    "/login"
  )
  observed.push(`mapRequest, redirects: ${seen.join(" | ")}`)
})
await Effect.runPromise(program.pipe(Effect.provide(FetchHttpClient.layer)))
server.closeAllConnections()
server.close()

console.log("node", process.version)
console.log(observed.join("\n"))
assert.deepStrictEqual(observed, [
  "cookies, redirects: /login - | /home - | (stored: sid) | next call: /home sid=1",
  "redirects, cookies: /login - | /home - | (stored: ) | next call: /home -",
  "mapRequest, redirects: /login count=1 | /home count=1"
])
JS
node run.js
