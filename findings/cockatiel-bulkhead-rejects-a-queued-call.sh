#!/bin/sh
# cockatiel 4.0.0, bulkhead
#
# A call that `bulkhead` has put in its queue may still be rejected as if the queue were full. When a call ends, the first
# waiter is taken out of the queue and starts a microtask later. Calls that are made in between, such as by code that
# waits for the same result, take its slot and its place in the queue; the waiter then goes through `execute` again.
#
# Guess: a queued call runs in its turn, or is cancelled by its own signal.
#
# Seen (Node v20.20.2 and v24.21.0), with one slot and one place in the queue: A runs, B waits, and C and D are called when
# A's work has ended.
#   A  ran
#   B  BulkheadRejectedError
#   C  ran
#   D  ran
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent cockatiel@4.0.0
cat > run.js <<'JS'
import assert from "node:assert"
import { bulkhead } from "cockatiel"

const policy = bulkhead(1, 1)
const outcome = (work) =>
  policy.execute(() => work).then(() => "ran", (error) => error.constructor.name)

let finish
const work = new Promise((resolve) => finish = resolve)
const calls = { A: outcome(work), B: outcome(undefined) }
const later = work.then(() => {
  calls.C = outcome(new Promise((resolve) => setTimeout(resolve, 10)))
  calls.D = outcome(undefined)
})
finish()
await later
const observed = Object.fromEntries(
  await Promise.all(Object.entries(calls).map(async ([name, call]) => [name, await call]))
)
console.log("node", process.version)
for (const [name, seen] of Object.entries(observed)) console.log(name, seen)
assert.deepStrictEqual(observed, { A: "ran", B: "BulkheadRejectedError", C: "ran", D: "ran" })
JS
node run.js
