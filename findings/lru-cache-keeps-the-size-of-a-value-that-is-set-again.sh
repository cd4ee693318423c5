#!/bin/sh
# lru-cache 11.5.3
#
# `set` with the value that is already stored, the same object, does not ask for its size again: neither `sizeCalculation` nor an
# explicit `size` has an effect, and `calculatedSize` stays what it was. A value that grew in place, such as a list of times or a
# session, is bounded by the size that it had first, and the cache holds more than `maxSize` says. Another object with the same
# content is measured, and so is the same object after `delete`.
#
# Guess: `set` replaces an entry, with its size.
#
# Seen (Node v20.20.2 and v24.21.0; a list of 1 that grows to 50, size = its length, maxSize 100: calculatedSize, entries):
#   set again                 1 1
#   set again with size: 50   1 1
#   set with a copy           50 1
#   delete, then set          50 1
#   ten lists that grew       10 10
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{"private":true,"type":"module"}' > package.json
npm install --no-save --silent lru-cache@11.5.3
cat > run.js <<'JS'
import assert from "node:assert"
import { LRUCache } from "lru-cache"

const grow = (list) => {
  while (list.length < 50) list.push(list.length)
  return list
}
const observe = (again, count = 1) => {
  const cache = new LRUCache({ maxSize: 100, sizeCalculation: (list) => list.length })
  for (let key = 0; key < count; key++) {
    const list = [0]
    cache.set(key, list)
    again(cache, key, grow(list))
  }
  return `${cache.calculatedSize} ${cache.size}`
}
const setAgain = (cache, key, list) => cache.set(key, list)
const observed = {
  "set again": observe(setAgain),
  "set again with size: 50": observe((cache, key, list) => cache.set(key, list, { size: 50 })),
  "set with a copy": observe((cache, key, list) => cache.set(key, [...list])),
  "delete, then set": observe((cache, key, list) => {
    cache.delete(key)
    cache.set(key, list)
  }),
  "ten lists that grew": observe(setAgain, 10)
}
console.log("node", process.version)
for (const [name, value] of Object.entries(observed)) console.log(name.padEnd(25), value)
assert.deepStrictEqual(observed, {
  "set again": "1 1",
  "set again with size: 50": "1 1",
  "set with a copy": "50 1",
  "delete, then set": "50 1",
  "ten lists that grew": "10 10"
})
JS
node run.js
