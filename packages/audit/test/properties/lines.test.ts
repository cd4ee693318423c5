import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { chunksOf, lineOf, Written } from "../../src/internal/file/lines.ts"
import { nextStamp } from "../../src/internal/file/NodeRotation.ts"
import { record } from "../sinkSupport.ts"

const sizeOf = (text: string): number => Buffer.byteLength(text)

const entries = fc.array(fc.string({ unit: "binary", maxLength: 60 }), { maxLength: 40 })
  .map((texts) => texts.map((text, sequence) => record(sequence, { text })))

describe("lines", () => {
  it("[S4-43] [R38] whatever an entry holds, its line has one break, at its end, and is the same JSON", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      const entry = record(1, { text })
      const line = lineOf(entry)
      // oxlint-disable-next-line no-control-regex -- everything that a reader might take for a line break
      assert.match(line, /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*\n$/)
      assert.deepStrictEqual(JSON.parse(line), JSON.parse(entry.line))
    }))
  })

  it("[S4-43] chunks have all entries once and in order, fit their files, and are as few as that allows", () => {
    fc.assert(fc.property(entries, fc.nat(300), fc.integer({ min: 1, max: 300 }), (records, size, maxSize) => {
      const chunks = chunksOf(records, size, maxSize, sizeOf)
      assert.deepStrictEqual(chunks.flatMap((chunk) => chunk.records), records)
      let used = size
      for (const { isNew, records, text } of chunks) {
        assert.strictEqual(text, records.map(lineOf).join(""))
        // A new file begins only where the next entry had no room in the one before.
        if (isNew) assert.isAbove(used + sizeOf(lineOf(records[0]!)), maxSize)
        const before = isNew ? 0 : used
        used = before + sizeOf(text)
        assert.isTrue(used <= maxSize || (before === 0 && records.length === 1))
      }
    }))
  })

  it("[S4-43] entries of a failed call that were written are left out of the next ones until one succeeds", () => {
    fc.assert(fc.property(entries, fc.nat(40), (records, count) => {
      const written = new Written()
      assert.strictEqual(written.pending(records), records)
      written.add(records.slice(0, count))
      const others = [...records, record(99)]
      assert.deepStrictEqual(written.pending(others), others.slice(Math.min(count, records.length)))
      written.clear()
      assert.strictEqual(written.pending(records), records)
    }))
  })

  it("[S4-43] names of rotated files sort in their order, whatever the clock does", () => {
    const times = fc.array(fc.integer({ min: 0, max: 4_000_000_000_000 }), { maxLength: 30 })
    fc.assert(fc.property(times, fc.boolean(), (list, isStill) => {
      let newest: string | undefined
      for (const now of list) {
        const next = nextStamp(isStill ? 1 : now, newest)
        assert.match(next, /^\d{4}(-\d\d){5}-\d{3}-\d{4}$/)
        if (newest !== undefined) assert.isAbove(next.localeCompare(newest, "en"), 0)
        newest = next
      }
    }))
  })
})
