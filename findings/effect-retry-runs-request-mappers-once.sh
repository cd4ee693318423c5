#!/bin/sh
# effect 4.1.0, effect/http HttpClient
#
# Whether a request mapper runs in every attempt of a retry does not depend on its place relative to the
# retry. It depends on what else is in the chain:
#   - `mapRequest` runs in every attempt, also when it is applied after (outside) the retry;
#   - one combinator built on `transform` (`withScope`, `withCircuitBreaker`, a `transform` of one's own) applied
#     outside the retry makes the same mapper run once, and every attempt sends the same request;
#   - `mapRequestInput` runs once, but `mapRequestInputEffect` with the same function runs in every attempt.
# The documentation of `withCircuitBreaker` asks to apply it after `retryTransient`, so the second point is the
# usual order.
#
# Why: a client keeps all request mappers in one `preprocess` and all retries in one `postprocess`. A retry repeats
# `postprocess(preprocess(request))`. `transform` resolves `preprocess` first and hands the finished request on.
#
# Guess: a mapper below the retry runs in each attempt, a mapper above it runs once, and a circuit breaker or a scope
# outside the retry changes nothing about that. A mapper that signs each attempt (a nonce, a timestamp, a fresh token)
# then silently sends the first value three times.
#
# Seen (Node v20.20.2 and v24.21.0; values of the header that a counting mapper sets, three attempts):
#   mapRequest, retry                      1 2 3
#   retry, mapRequest                      1 2 3
#   mapRequest, retry, withScope           1 1 1
#   mapRequest, retry, withCircuitBreaker  1 1 1
#   mapRequest, withScope, retry           1 2 3
#   retry, withScope, mapRequest           1 1 1
#   mapRequestInput, retry                 1 1 1
#   mapRequestInputEffect, retry           1 2 3
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0
cat > run.js <<'JS'
import assert from "node:assert"
import { Effect, Schedule } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { CircuitBreaker } from "effect/persistence"

let count = 0
let sent = []
const server = HttpClient.make((request) =>
  Effect.sync(() => {
    sent.push(request.headers["x-count"])
    return HttpClientResponse.fromWeb(request, new Response(null, { status: 503 }))
  })
)
const stamp = (request) => HttpClientRequest.setHeader(request, "x-count", String(++count))
const mapper = HttpClient.mapRequest(stamp)
const retry = HttpClient.retryTransient({ times: 2, schedule: Schedule.spaced("1 millis") })

const chains = (breaker) => ({
  "mapRequest, retry": server.pipe(mapper, retry),
  "retry, mapRequest": server.pipe(retry, mapper),
  "mapRequest, retry, withScope": server.pipe(mapper, retry, HttpClient.withScope),
  "mapRequest, retry, withCircuitBreaker": server.pipe(mapper, retry, HttpClient.withCircuitBreaker({ breaker })),
  "mapRequest, withScope, retry": server.pipe(mapper, HttpClient.withScope, retry),
  "retry, withScope, mapRequest": server.pipe(retry, HttpClient.withScope, mapper),
  "mapRequestInput, retry": server.pipe(HttpClient.mapRequestInput(stamp), retry),
  "mapRequestInputEffect, retry": server.pipe(
    HttpClient.mapRequestInputEffect((request) => Effect.sync(() => stamp(request))),
    retry
  )
})

const observed = {}
const program = Effect.gen(function*() {
  const breaker = yield* CircuitBreaker.make({ tripPolicy: CircuitBreaker.consecutive(100), openDuration: "1 minute" })
  for (const [name, client] of Object.entries(chains(breaker))) {
    count = 0
    sent = []
    yield* client.get("http://service.test/")
    observed[name] = sent.join(" ")
  }
})
await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerStoreMemory())))

console.log("node", process.version)
for (const [name, values] of Object.entries(observed)) console.log(name.padEnd(40), values)
assert.deepStrictEqual(observed, {
  "mapRequest, retry": "1 2 3",
  "retry, mapRequest": "1 2 3",
  "mapRequest, retry, withScope": "1 1 1",
  "mapRequest, retry, withCircuitBreaker": "1 1 1",
  "mapRequest, withScope, retry": "1 2 3",
  "retry, withScope, mapRequest": "1 1 1",
  "mapRequestInput, retry": "1 1 1",
  "mapRequestInputEffect, retry": "1 2 3"
})
JS
node run.js
