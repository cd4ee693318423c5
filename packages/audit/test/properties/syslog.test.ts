import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { formatter } from "../../src/internal/syslog/message.ts"
import { RecentMessages } from "../../src/internal/syslog/recent.ts"
import { shortened } from "../../src/internal/syslog/shortened.ts"
import { record } from "../sinkSupport.ts"

const options = { facility: "local0", hostname: "host", appName: "app", processId: "1", maxSize: 2048 } as const

const text = fc.string({ unit: "binary", maxLength: 3000, size: "max" })
const members = fc.dictionary(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.oneof(text, fc.integer(), fc.constant(null))
)

describe("syslog", () => {
  it("[S4-44] [R38] whatever an entry holds, its message is printable ASCII of at most the largest size", () => {
    fc.assert(fc.property(members, fc.integer({ min: 480, max: 8000 }), (entry, maxSize) => {
      const message = formatter({ ...options, maxSize })(record(1, entry))
      assert.match(
        message,
        /^<134>1 2023-11-14T22:13:20\.123Z host app 1 audit \[meta sequenceId="1"\] \{[\x20-\x7e]*\}$/
      )
      assert.isAtMost(message.length, maxSize)
    }))
  })

  it("[S4-44] an entry that fits is sent as it is, and one that does not loses the ends of its longest texts only", () => {
    fc.assert(fc.property(members, fc.integer({ min: 30, max: 8000 }), (entry, maximum) => {
      const found: Record<string, unknown> = JSON.parse(shortened(JSON.stringify(entry), maximum))
      const cuts = Object.entries(found).filter(([name, value]) => value !== entry[name])
      for (const [name, value] of cuts) {
        const before = String(entry[name])
        assert.match(String(value), /\[TRUNCATED\]$/)
        assert.isTrue(before.startsWith(String(value).slice(0, -11)))
      }
      const size = JSON.stringify(entry).replaceAll(/[^\x20-\x7e]/g, "\\u0000").length
      if (size <= maximum) assert.deepStrictEqual(found, JSON.parse(JSON.stringify(entry)))
      else assert.isTrue(cuts.length > 0 || Object.keys(found).length < Object.keys(entry).length)
    }))
  })

  it("[S4-44] JSON that is no object, and text that is no JSON, become a message of their own", () => {
    for (const json of ["[1]", "\"a\"", "null", "1", "{", ""]) {
      assert.strictEqual(shortened(json, 480), "{\"message\":\"[TRUNCATED]\"}")
    }
  })

  it("[S4-44] fields of the header are printable ASCII within their bounds", () => {
    const origin = { hostname: `a b\n${"h".repeat(300)}`, appName: "ä".repeat(60), processId: "" }
    const message = formatter({ ...options, ...origin })({ ...record(1), timestamp: Number.NaN })
    const [, time, host, app, id] = message.split(" ")
    assert.deepStrictEqual([time, app, id], ["-", "_".repeat(48), "-"])
    assert.match(host!, /^a_b_h{251}$/)
  })

  it("[S4-44] numbers of messages go from 1 to 2147483647 and begin again (RFC 5424, 7.3.1)", () => {
    const idOf = (sequence: number) => /sequenceId="(\d+)"/.exec(formatter(options)({ ...record(1), sequence }))?.[1]
    assert.deepStrictEqual([0, 1, 2_147_483_647, 2_147_483_648, 2_147_483_649].map(idOf), [
      "1",
      "1",
      "2147483647",
      "1",
      "2"
    ])
  })

  it("[S4-44] remembers what was sent within 5 seconds before a connection broke, at most 1 MiB", () => {
    const second = 1_000_000_000n
    const recent = new RecentMessages()
    recent.add(["old"], 0n)
    recent.add(["a", "b"], 1n)
    recent.add(["c"], 5n * second)
    assert.deepStrictEqual(recent.take(5n * second + 1n), ["a", "b", "c"])
    assert.deepStrictEqual(recent.take(5n * second + 1n), [])
    recent.add(["x".repeat(1_000_000)], 0n)
    recent.add(["y".repeat(100_000)], 0n)
    assert.deepStrictEqual(recent.take(0n).map(({ length }) => length), [100_000])
    // Also one call that is larger is remembered.
    recent.add(["x".repeat(2_000_000)], 0n)
    assert.lengthOf(recent.take(5n * second), 1)
    recent.add(["x"], 0n)
    assert.lengthOf(recent.take(5n * second + 1n), 0)
  })
})
