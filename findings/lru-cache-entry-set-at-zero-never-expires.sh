#!/bin/sh
# lru-cache 11.5.3
#
# With the `perf` option (a clock of one's own) or an explicit `start`, an entry whose time to live starts at 0 never
# expires: `get` returns it for ever and `getRemainingTTL` says Infinity, as for an entry without a time to live. The
# library reads the start 0 as "no time to live". A start of 1 ms, or of -1 ms, expires as set. A test clock that starts
# at 0 meets this: only the entries that are written before the clock first moves stay for ever.
#
# Guess: a clock may start anywhere; only differences count.
#
# Seen (Node v20.20.2 and v24.21.0; ttl 1000 ms, read 5000 ms later: value, remaining time in ms):
#   written at 0          "value" Infinity
#   written at 1          undefined 0
#   written at -1         undefined 0
#   written at 1, start 0 "value" Infinity
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent lru-cache@11.5.3
cat > run.js <<'JS'
import assert from "node:assert"
import { LRUCache } from "lru-cache"

const observe = (writtenAt, options) => {
  let now = writtenAt
  const cache = new LRUCache({ max: 10, ttl: 1000, ttlResolution: 0, perf: { now: () => now } })
  cache.set("key", "value", options)
  now += 5000
  const remaining = cache.getRemainingTTL("key")
  return `${JSON.stringify(cache.get("key"))} ${remaining <= 0 ? 0 : remaining}`
}
const observed = {
  "written at 0": observe(0),
  "written at 1": observe(1),
  "written at -1": observe(-1),
  "written at 1, start 0": observe(1, { start: 0 })
}
console.log("node", process.version)
for (const [name, value] of Object.entries(observed)) console.log(name.padEnd(22), value)
assert.deepStrictEqual(observed, {
  "written at 0": "\"value\" Infinity",
  "written at 1": "undefined 0",
  "written at -1": "undefined 0",
  "written at 1, start 0": "\"value\" Infinity"
})
JS
node run.js
