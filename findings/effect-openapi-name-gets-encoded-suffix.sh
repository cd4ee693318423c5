#!/bin/sh
# effect 4.1.0, effect/http-api OpenApi.fromApi with Schema.encodeKeys
#
# The `identifier` of a schema names its component in the OpenAPI document. With `Schema.encodeKeys` (renamed keys) the
# component is called `PersonEncoded`, whether the identifier is given before or after the renaming, so adding one rename
# changes the public name and breaks generated clients. A `Schema.Class` gets the suffix too, even when its wire form is
# equal to its fields. A struct that only has a transformed field (number from text), so that its wire form does differ,
# keeps `Person`. The identifier of the encoded side itself can be set with `Schema.annotateEncoded`.
#
# Guess: the component carries the identifier; or the suffix marks every schema whose wire form differs.
#
# Seen (Node v20.20.2 and v24.21.0; name of the component):
#   Struct                                Person
#   Struct with NumberFromString          Person
#   identifier, then encodeKeys           PersonEncoded
#   encodeKeys, then identifier           PersonEncoded
#   Class without any transformation      PersonEncoded
#   encodeKeys, then annotateEncoded      Person
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent effect@4.1.0
cat > run.js <<'JS'
import assert from "node:assert"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"

const componentsOf = (schema) => {
  const endpoint = HttpApiEndpoint.get("read", "/", { success: schema })
  const api = HttpApi.make("api").add(HttpApiGroup.make("group").add(endpoint))
  return Object.keys(OpenApi.fromApi(api).components.schemas).join(" ")
}
const name = { identifier: "Person" }
const Person = Schema.Struct({ userName: Schema.String })
const rename = Schema.encodeKeys({ userName: "user_name" })

const observed = {
  "Struct": componentsOf(Person.annotate(name)),
  "Struct with NumberFromString": componentsOf(Schema.Struct({ age: Schema.NumberFromString }).annotate(name)),
  "identifier, then encodeKeys": componentsOf(Person.annotate(name).pipe(rename)),
  "encodeKeys, then identifier": componentsOf(Person.pipe(rename).annotate(name)),
  "Class without any transformation": componentsOf(
    class Person extends Schema.Class("Person")({ userName: Schema.String }) {}
  ),
  "encodeKeys, then annotateEncoded": componentsOf(Person.pipe(rename, Schema.annotateEncoded(name)))
}
console.log("node", process.version)
for (const [schema, components] of Object.entries(observed)) console.log(schema.padEnd(37), components)
assert.deepStrictEqual(observed, {
  "Struct": "Person",
  "Struct with NumberFromString": "Person",
  "identifier, then encodeKeys": "PersonEncoded",
  "encodeKeys, then identifier": "PersonEncoded",
  "Class without any transformation": "PersonEncoded",
  "encodeKeys, then annotateEncoded": "Person"
})
JS
node run.js
