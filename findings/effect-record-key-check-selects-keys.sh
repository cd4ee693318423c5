#!/bin/sh
# effect 4.1.0, effect/Schema Record
#
# A check on the key schema of `Schema.Record` never fails. It selects: an entry whose key does not pass is left out
# when decoding AND when encoding, its value is not looked at, and `Schema.is` says true. The message of the check is never
# shown: with `onExcessProperty: "error"` the key is reported as "Expected no excess property", which names no rule.
# The JSON Schema of such a record is a plain open object: the value schema is gone from it too, so a document with
# `{ "k1": "text" }` passes the published JSON Schema of a record of booleans and is refused by the decoder.
# `Schema.isPropertyNames` on a record with a plain key does what one expects of a key check: it fails with the message.
# (The selection is described in the doc comment of `Record`; the message and the JSON Schema are not.)
#
# Guess: a key that does not pass the check fails with the message of the check, as a value does, and the JSON Schema has
# `propertyNames` or `patternProperties`.
#
# Seen (Node v20.20.2 and v24.21.0; value { k1: true, other: "text" }, keys must match ^k[0-9]$, values are booleans):
#   decode                        {"k1":true}
#   encode                        {"k1":true}
#   is                            true
#   decode, excess error          Expected no excess property
#   decode { k1: "text" }         Expected boolean
#   JSON Schema                   {"type":"object","additionalProperties":true}
#   JSON Schema, unchecked key    {"type":"object","additionalProperties":{"type":"boolean"}}
#   isPropertyNames, decode       a key is k and one digit
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0
cat > run.js <<'JS'
import assert from "node:assert"
import { Schema } from "effect"

const Key = Schema.String.check(Schema.isPattern(/^k[0-9]$/, { message: "a key is k and one digit" }))
const Flags = Schema.Record(Key, Schema.Boolean)
const value = { k1: true, other: "text" }
const messageOf = (run) => {
  try {
    return JSON.stringify(run())
  } catch (error) {
    return error.message.split("\n")[0]
  }
}
const jsonSchema = (schema) => JSON.stringify(Schema.toJsonSchemaDocument(schema).schema)
const named = Schema.Record(Schema.String, Schema.Boolean).check(Schema.isPropertyNames(Key))

const observed = {
  "decode": messageOf(() => Schema.decodeUnknownSync(Flags)(value)),
  "encode": messageOf(() => Schema.encodeUnknownSync(Flags)(value)),
  "is": String(Schema.is(Flags)(value)),
  "decode, excess error": messageOf(() => Schema.decodeUnknownSync(Flags, { onExcessProperty: "error" })(value)),
  "decode { k1: \"text\" }": messageOf(() => Schema.decodeUnknownSync(Flags)({ k1: "text" })),
  "JSON Schema": jsonSchema(Flags),
  "JSON Schema, unchecked key": jsonSchema(Schema.Record(Schema.String, Schema.Boolean)),
  "isPropertyNames, decode": messageOf(() => Schema.decodeUnknownSync(named)({ k1: true, other: false }))
}
console.log("node", process.version)
for (const [name, seen] of Object.entries(observed)) console.log(name.padEnd(29), seen)
assert.deepStrictEqual(observed, {
  "decode": "{\"k1\":true}",
  "encode": "{\"k1\":true}",
  "is": "true",
  "decode, excess error": "Expected no excess property",
  "decode { k1: \"text\" }": "Expected boolean",
  "JSON Schema": "{\"type\":\"object\",\"additionalProperties\":true}",
  "JSON Schema, unchecked key": "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"boolean\"}}",
  "isPropertyNames, decode": "a key is k and one digit"
})
JS
node run.js
