#!/bin/sh
# http-cache-semantics 4.3.0
#
# The age of an answer is its `Age` header plus the time since it was received; `Date` takes no part. RFC 9111 4.2.3
# wants the larger of that and the "apparent age" (time of receipt minus Date). So an answer that comes from a cache that
# sends no `Age` (an old proxy, an object store, a saved answer) is as young as a new one. With `Expires` the lifetime is
# Expires minus Date, so the answer counts as fresh for ten minutes although `Expires` has passed 50 minutes ago on both
# clocks. `responseHeaders()` then also replaces the old `Date` by now, so the next cache cannot know either. When the
# answer says `Age: 3600` too, all of it is right.
#
# Guess: an answer whose `Expires` is in the past is stale.
#
# Seen (Node v20.20.2 and v24.21.0; answers received one hour after their Date; seconds of freshness left, stale or not):
#   max-age=600                       600 fresh
#   Expires 600 s after Date          600 fresh
#   Expires 600 s after Date, Age     0 stale
#   Date that is served on            the time of receipt
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent http-cache-semantics@4.3.0
cat > run.js <<'JS'
import assert from "node:assert"
import CachePolicy from "http-cache-semantics"

const now = Date.UTC(2030, 0, 1)
class Policy extends CachePolicy {
  now() {
    return now
  }
}
const at = (seconds) => new Date(now + seconds * 1000).toUTCString()
const request = { method: "GET", url: "/", headers: {} }
const policyOf = (headers) => new Policy(request, { status: 200, headers: { date: at(-3600), ...headers } })
const say = (policy) => `${policy.timeToLive() / 1000} ${policy.stale() ? "stale" : "fresh"}`

const expired = policyOf({ expires: at(-3000) })
const observed = {
  "max-age=600": say(policyOf({ "cache-control": "max-age=600" })),
  "Expires 600 s after Date": say(expired),
  "Expires 600 s after Date, Age": say(policyOf({ expires: at(-3000), age: "3600" })),
  "Date that is served on": expired.responseHeaders().date === at(0) ? "the time of receipt" : "the Date of the answer"
}
console.log("node", process.version)
for (const [name, value] of Object.entries(observed)) console.log(name.padEnd(34), value)
assert.deepStrictEqual(observed, {
  "max-age=600": "600 fresh",
  "Expires 600 s after Date": "600 fresh",
  "Expires 600 s after Date, Age": "0 stale",
  "Date that is served on": "the time of receipt"
})
JS
node run.js
