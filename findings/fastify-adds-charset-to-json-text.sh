#!/bin/sh
# fastify 5.12.8
#
# A reply whose media type contains "json" gets `; charset=utf-8` added to the content type that the handler set, when
# text or an object is sent, but not when a Buffer with the same bytes is sent. This covers `application/problem+json`
# (RFC 9457), `application/jwk-set+json` (RFC 7517) and `application/x-ndjson`, none of which defines a charset parameter
# (RFC 8259: "No charset parameter is defined"). A parameter that is defined (`profile`) stays and charset follows it.
# Types without "json" in the name are sent as set, also the textual `application/xml` and `image/svg+xml`.
#
# Guess: a content type that the handler sets explicitly is sent as it is; at most plain `application/json` is completed.
# A peer or a test that compares the media type with `===` then sees a difference between two routes that send the same
# bytes.
#
# Seen (Node v20.20.2 and v24.21.0):
#   application/problem+json, text          application/problem+json; charset=utf-8
#   application/problem+json, object        application/problem+json; charset=utf-8
#   application/problem+json, Buffer        application/problem+json
#   application/jwk-set+json, text          application/jwk-set+json; charset=utf-8
#   application/x-ndjson, text              application/x-ndjson; charset=utf-8
#   application/json; profile="p", text     application/json; profile="p"; charset=utf-8
#   application/xml, text                   application/xml
#   image/svg+xml, text                     image/svg+xml
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent fastify@5.12.8
cat > run.js <<'JS'
import assert from "node:assert"
import Fastify from "fastify"

const json = "{}"
const cases = [
  ["application/problem+json", "text", json, "application/problem+json; charset=utf-8"],
  ["application/problem+json", "object", {}, "application/problem+json; charset=utf-8"],
  ["application/problem+json", "Buffer", Buffer.from(json), "application/problem+json"],
  ["application/jwk-set+json", "text", json, "application/jwk-set+json; charset=utf-8"],
  ["application/x-ndjson", "text", "{}\n", "application/x-ndjson; charset=utf-8"],
  ["application/json; profile=\"p\"", "text", json, "application/json; profile=\"p\"; charset=utf-8"],
  ["application/xml", "text", "<a/>", "application/xml"],
  ["image/svg+xml", "text", "<svg/>", "image/svg+xml"]
]
const app = Fastify()
cases.forEach(([type, , payload], index) => app.get(`/${index}`, (_, reply) => reply.type(type).send(payload)))

console.log("node", process.version)
for (const [index, [type, kind, , expected]] of cases.entries()) {
  const observed = (await app.inject(`/${index}`)).headers["content-type"]
  console.log(`${type}, ${kind}`.padEnd(40), observed)
  assert.strictEqual(observed, expected)
}
await app.close()
JS
node run.js
