#!/bin/sh
# Node.js 20 and 24 (the running Node; no package is needed)
#
# The same `AbortSignal.timeout` is seen under two names. `fetch`, `ReadableStream.pipeTo` and `signal.throwIfAborted`
# fail with the `TimeoutError` of the signal itself (a DOMException, code 23). `node:http`, `node:timers/promises`,
# `events.once` and `stream.pipeline` fail with an `AbortError` (code "ABORT_ERR", as when somebody cancels on purpose);
# the `TimeoutError` is its `cause`.
#
# Guess: one test, `error.name === "TimeoutError"`, tells a time-out from a cancellation in all of Node. With node:http it
# never matches, and a time-out is taken for a cancellation by the caller. What works for all:
# `signal.reason?.name === "TimeoutError"`.
#
# Seen (Node v20.20.2 and v24.21.0; name, code, name of the cause, name of the signal's reason):
#   fetch                  TimeoutError 23 - TimeoutError
#   ReadableStream.pipeTo  TimeoutError 23 - TimeoutError
#   throwIfAborted         TimeoutError 23 - TimeoutError
#   node:http              AbortError ABORT_ERR TimeoutError TimeoutError
#   timers/promises        AbortError ABORT_ERR TimeoutError TimeoutError
#   events.once            AbortError ABORT_ERR TimeoutError TimeoutError
#   stream.pipeline        AbortError ABORT_ERR TimeoutError TimeoutError
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
cat > run.js <<'JS'
import assert from "node:assert"
import { EventEmitter, once } from "node:events"
import http from "node:http"
import { PassThrough } from "node:stream"
import { pipeline } from "node:stream/promises"
import { setTimeout as sleep } from "node:timers/promises"

const server = http.createServer(() => {}) // accepts requests and never answers
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
const url = `http://127.0.0.1:${server.address().port}/`

const uses = {
  "fetch": (signal) => fetch(url, { signal }),
  "ReadableStream.pipeTo": (signal) => new ReadableStream().pipeTo(new WritableStream(), { signal }),
  "throwIfAborted": async (signal) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve))
    signal.throwIfAborted()
  },
  "node:http": (signal) => new Promise((_, reject) => http.get(url, { signal }).on("error", reject)),
  "timers/promises": (signal) => sleep(2 ** 30, undefined, { signal }),
  "events.once": (signal) => once(new EventEmitter(), "never", { signal }),
  "stream.pipeline": (signal) => pipeline(new PassThrough(), new PassThrough(), { signal })
}
const observed = {}
const keepAlive = setInterval(() => {}, 1000) // a timeout signal alone does not keep the process alive
for (const [name, use] of Object.entries(uses)) {
  const signal = AbortSignal.timeout(100)
  const error = await use(signal).then(() => assert.fail("no time-out"), (error) => error)
  observed[name] = [error.name, error.code, error.cause?.name ?? "-", signal.reason.name].join(" ")
}
clearInterval(keepAlive)
server.closeAllConnections()
server.close()

console.log("node", process.version)
for (const [name, seen] of Object.entries(observed)) console.log(name.padEnd(22), seen)
const own = "TimeoutError 23 - TimeoutError"
const wrapped = "AbortError ABORT_ERR TimeoutError TimeoutError"
assert.deepStrictEqual(observed, {
  "fetch": own,
  "ReadableStream.pipeTo": own,
  "throwIfAborted": own,
  "node:http": wrapped,
  "timers/promises": wrapped,
  "events.once": wrapped,
  "stream.pipeline": wrapped
})
JS
node run.js
