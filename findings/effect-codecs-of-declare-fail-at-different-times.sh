#!/bin/sh
# effect 4.1.0, effect/Schema declare
#
# A struct with one field of `Schema.declare` (or `Schema.instanceOf`) that defines no codec: `toCodecStringTree` of the
# whole struct throws at once, also when the field is optional and never used, and names no field. `toCodecJson` of the
# same struct is built without complaint and fails for each value that has the field, with the path of the field.
#
# Guess: the two derivations treat a missing codec alike; and a declared type without a codec costs its own field only.
#
# Seen (Node v20.20.2 and v24.21.0):
#   toCodecStringTree, build              Missing structural codec for StringTree
#   toCodecStringTree, optional, build    Missing structural codec for StringTree
#   toCodecJson, build                    built
#   toCodecJson, encode                   Expected JSON value at ["point"]
#   toCodecJson, encode without point     {"n":1}
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0
cat > run.js <<'JS'
import assert from "node:assert"
import { Schema } from "effect"

class Point {}
const Declared = Schema.declare((input) => input instanceof Point)
const Required = Schema.Struct({ n: Schema.Number, point: Declared })
const Optional = Schema.Struct({ n: Schema.Number, point: Schema.optionalKey(Declared) })
const outcome = (run) => {
  try {
    return run()
  } catch (error) {
    return error.message.replace(/\s+/g, " ")
  }
}
const built = (derive, schema) => outcome(() => (derive(schema), "built"))
const encode = (value) => outcome(() => JSON.stringify(Schema.encodeUnknownSync(Schema.toCodecJson(Optional))(value)))

const observed = {
  "toCodecStringTree, build": built(Schema.toCodecStringTree, Required),
  "toCodecStringTree, optional, build": built(Schema.toCodecStringTree, Optional),
  "toCodecJson, build": built(Schema.toCodecJson, Required),
  "toCodecJson, encode": encode({ n: 1, point: new Point() }),
  "toCodecJson, encode without point": encode({ n: 1 })
}
console.log("node", process.version)
for (const [name, seen] of Object.entries(observed)) console.log(name.padEnd(37), seen)
assert.deepStrictEqual(observed, {
  "toCodecStringTree, build": "Missing structural codec for StringTree",
  "toCodecStringTree, optional, build": "Missing structural codec for StringTree",
  "toCodecJson, build": "built",
  "toCodecJson, encode": "Expected JSON value at [\"point\"]",
  "toCodecJson, encode without point": "{\"n\":1}"
})
JS
node run.js
