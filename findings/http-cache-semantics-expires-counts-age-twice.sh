#!/bin/sh
# http-cache-semantics 4.3.0
#
# `policy.responseHeaders()` gives the headers "for serving the cached response". It sets `Age` to the age and moves
# `Date` to now, but leaves `Expires` where it was. RFC 9111 4.2.1 reads the lifetime of an answer without max-age as
# Expires minus Date, and 4.2.3 subtracts the age. The next cache in the chain (here: the same library) therefore counts
# the time in the first cache twice. An answer with max-age keeps the right rest, since its lifetime does not depend on
# Date. An answer whose lifetime is estimated from Last-Modified becomes slightly younger instead, since the distance
# from Last-Modified to the moved Date has grown.
#
# Guess: an answer that is fresh for 600 s and has spent 200 s in a first cache is fresh for 400 s in a second one,
# however its lifetime was written.
#
# Seen (Node v20.20.2 and v24.21.0; seconds of freshness left: on arrival, after 200 s, in a second cache that receives
# `responseHeaders()` at that moment):
#   max-age=600                       600 400 400
#   Expires 600 s after Date          600 400 200
#   Last-Modified 6000 s before Date  600 400 420
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent http-cache-semantics@4.3.0
cat > run.js <<'JS'
import assert from "node:assert"
import CachePolicy from "http-cache-semantics"

const start = Date.UTC(2030, 0, 1)
let now = start
class Policy extends CachePolicy {
  now() {
    return now
  }
}
const at = (seconds) => new Date(start + seconds * 1000).toUTCString()
const request = { method: "GET", url: "/", headers: {} }
const answers = {
  "max-age=600": { date: at(0), "cache-control": "max-age=600" },
  "Expires 600 s after Date": { date: at(0), expires: at(600) },
  "Last-Modified 6000 s before Date": { date: at(0), "last-modified": at(-6000) }
}
const observed = {}
for (const [name, headers] of Object.entries(answers)) {
  now = start
  const first = new Policy(request, { status: 200, headers })
  const arrival = first.timeToLive() / 1000
  now = start + 200_000
  const later = first.timeToLive() / 1000
  const second = new Policy(request, { status: 200, headers: first.responseHeaders() })
  observed[name] = [arrival, later, Math.round(second.timeToLive() / 1000)]
}
console.log("node", process.version)
for (const [name, values] of Object.entries(observed)) console.log(name.padEnd(34), values.join(" "))
assert.deepStrictEqual(observed, {
  "max-age=600": [600, 400, 400],
  "Expires 600 s after Date": [600, 400, 200],
  "Last-Modified 6000 s before Date": [600, 400, 420]
})
JS
node run.js
