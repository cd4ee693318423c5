import { assert, describe, it } from "@effect/vitest"
import { AuditLog } from "@keelson/audit"
import type { AuditEntry } from "@keelson/audit/AuditEntry"
import { forAll } from "@keelson/testing/properties"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import fc from "fast-check"
import { makeEncoder } from "../src/internal/log/encode.ts"
import { makeSink } from "./memorySink.ts"

const stamp = { sequence: 7, timestamp: 0, correlationId: "c" }
const encode = makeEncoder()
const lineOf = (entry: AuditEntry): string => encode(entry, stamp).line
const fieldsOf = (entry: AuditEntry): Record<string, unknown> => JSON.parse(lineOf(entry))

const fields = [
  "timestamp",
  "correlation_id",
  "client_ip",
  "user",
  "bucket",
  "object_key",
  "http_method",
  "request_path",
  "response_status",
  "response_size_bytes",
  "duration_ms",
  "cache_status",
  "user_agent",
  "referer"
]

const jwt = ["eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJhbGljZSIsImV4cCI6MX0", "Zm9vYmFyYmF6cXV4c2lnbmF0dXJl"].join(".")

describe("AuditEntry", () => {
  it.effect("[S4-41] is one line of JSON with 14 fields and its number", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      const log = yield* AuditLog.make({ sinks: [memory.sink] })
      yield* TestClock.setTime(Date.UTC(2026, 10, 30, 21, 5, 6, 7))
      yield* log.record({
        correlationId: "c-1",
        clientIp: "198.51.100.7",
        user: "alice",
        bucket: "products",
        objectKey: "a/b c.png",
        httpMethod: "GET",
        requestPath: "/products/a/b%20c.png",
        responseStatus: 200,
        responseSizeBytes: 1024,
        duration: Duration.micros(1500n),
        cacheStatus: "hit",
        userAgent: "curl/8.1",
        referer: "https://app.example/list"
      })
      yield* log.record({ httpMethod: "HEAD" })
      yield* log.flush
      assert.deepStrictEqual(memory.lines[0], {
        timestamp: "2026-11-30T21:05:06.007Z",
        correlation_id: "c-1",
        client_ip: "198.51.100.7",
        user: "alice",
        bucket: "products",
        object_key: "a/b c.png",
        http_method: "GET",
        request_path: "/products/a/b%20c.png",
        response_status: 200,
        response_size_bytes: 1024,
        duration_ms: 1.5,
        cache_status: "hit",
        user_agent: "curl/8.1",
        referer: "https://app.example/list",
        sequence: 1
      })
      assert.deepStrictEqual(Object.keys(memory.lines[0] ?? {}), [...fields, "sequence"])
      const second = memory.lines[1] ?? {}
      assert.deepStrictEqual(Object.keys(second), [...fields, "sequence"])
      assert.isNull(second["user"])
      assert.match(
        String(second["correlation_id"]),
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
      )
    }))

  it("[S4-41] writes any instant as RFC 3339", () => {
    const timeOf = (millis: number) => encode({ httpMethod: "GET" }, { ...stamp, timestamp: millis }).line.slice(14, 38)
    assert.strictEqual(timeOf(0), "1970-01-01T00:00:00.000Z")
    assert.strictEqual(timeOf(-1), "1969-12-31T23:59:59.999Z")
    assert.strictEqual(timeOf(1.9), "1970-01-01T00:00:00.001Z")
    assert.strictEqual(timeOf(8.64e15), "9999-12-31T23:59:59.999Z")
    assert.strictEqual(timeOf(-8.64e15), "0000-01-01T00:00:00.000Z")
    const given = DateTime.makeUnsafe("2026-01-02T03:04:05.678Z")
    assert.strictEqual(timeOf(given.epochMilliseconds), "2026-01-02T03:04:05.678Z")
  })

  it("[S4-41] writes numbers that are none as null", () => {
    for (const bad of [Number.NaN, Infinity, -1, 1.5]) {
      const { response_size_bytes, response_status } = fieldsOf({
        httpMethod: "GET",
        responseStatus: bad,
        responseSizeBytes: bad
      })
      assert.deepStrictEqual([response_status, response_size_bytes], [null, null])
    }
    assert.isNull(fieldsOf({ httpMethod: "GET", duration: Duration.infinity })["duration_ms"])
  })

  it("[S4-42][A2] holds no secret, wherever a client puts it", () => {
    const secret = "hunter2-4f9a2b7c1d8e"
    const hostile: AuditEntry = {
      httpMethod: "GET",
      correlationId: `Bearer ${secret}`,
      clientIp: `token=${secret}`,
      user: `Bearer ${jwt}`,
      bucket: `password=${secret}`,
      objectKey: `a/${jwt}/b?access_token=${secret}`,
      requestPath: `/a/${jwt}?access_token=${secret}&X-Amz-Signature=${secret}&page=2#${secret}`,
      userAgent: `curl/8 (Authorization: Bearer ${secret})`,
      referer: `https://user:${secret}@app.example/cb?code=${secret}&state=${jwt}#access_token=${secret}`,
      details: { authorization: secret, "x-api-key": secret, problem: `Bearer ${secret}`, token: jwt }
    }
    const line = lineOf(hostile)
    assert.notInclude(line, secret)
    assert.notInclude(line, "eyJ")
    const parsed = fieldsOf(hostile)
    assert.strictEqual(parsed["user"], "Bearer [REDACTED]")
    assert.strictEqual(
      parsed["request_path"],
      "/a/[REDACTED]?access_token=[REDACTED]&X-Amz-Signature=[REDACTED]&page=[REDACTED]"
    )
    assert.strictEqual(parsed["referer"], "https://app.example/cb?code=[REDACTED]&state=[REDACTED]")
    // The same from memory.
    assert.strictEqual(lineOf(hostile), line)
  })

  it("[S4-42] keeps what names a user, an object and a browser, also if it looks random", () => {
    const random = "k1Q9xYz8VbN3mR7tLpW2sD4fG6hJ0aBcEoUiXyZ5"
    const agent =
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    const parsed = fieldsOf({
      httpMethod: "GET",
      user: random,
      objectKey: `a/${random}`,
      requestPath: `/b/a/${random}`,
      userAgent: agent
    })
    assert.deepStrictEqual(
      [parsed["user"], parsed["object_key"], parsed["request_path"], parsed["user_agent"]],
      [random, `a/${random}`, `/b/a/${random}`, agent]
    )
  })

  it("[S4-41][R38] is one line without control and invisible characters, whatever a key holds", (context) => {
    const nasty = fc.constantFrom(
      "\n",
      "\r\n",
      "\u2028",
      "\u2029",
      "\u0085",
      "\u0000",
      "\u001b[2J",
      "\u007f",
      "\u009b",
      "\ud800",
      "\udc00",
      "\u202e",
      "\ufeff",
      "\u200b",
      "\"",
      "\\",
      "},{",
      "\u{e0001}",
      "日本",
      "e\u0301",
      "😀"
    )
    const hostile = fc.array(fc.oneof(nasty, fc.string({ unit: "binary", maxLength: 5 })), { maxLength: 12 }).map((
      all
    ) => all.join(""))
    const entry = fc.record({
      httpMethod: hostile,
      correlationId: hostile,
      clientIp: hostile,
      user: hostile,
      bucket: hostile,
      objectKey: hostile,
      requestPath: hostile,
      userAgent: hostile,
      referer: hostile,
      details: fc.dictionary(hostile, hostile, { maxKeys: 3 })
    })
    forAll(context, 300, entry, (value) => {
      const line = lineOf(value)
      assert.notMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
      const parsed = JSON.parse(line)
      assert.deepStrictEqual(Object.keys(parsed).slice(0, 15), [...fields, "sequence"])
      assert.strictEqual(parsed.sequence, 7)
    })
  })

  it("[S4-41] gives back what was recorded", (context) => {
    const text = fc.stringMatching(/^[a-zA-Z \u00c0-\u017f\u3040-\u30ff\n\t"\\]{0,40}$/)
    const entry = fc.record({ user: text, objectKey: text, status: fc.integer({ min: 100, max: 599 }), size: fc.nat() })
    forAll(context, 500, entry, ({ objectKey, size, status, user }) => {
      const parsed = fieldsOf({ httpMethod: "GET", user, objectKey, responseStatus: status, responseSizeBytes: size })
      assert.deepStrictEqual(
        [parsed["user"], parsed["object_key"], parsed["response_status"], parsed["response_size_bytes"]],
        [user, objectKey, status, size]
      )
    })
  })

  it("[S4-41] bounds every value, and so the line", () => {
    const huge = "x é".repeat(400_000)
    const line = lineOf({
      httpMethod: huge,
      correlationId: huge,
      clientIp: huge,
      user: huge,
      bucket: huge,
      objectKey: huge,
      requestPath: huge,
      userAgent: huge,
      referer: huge,
      details: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`${index}${huge}`, huge]))
    })
    assert.isBelow(line.length, 20_000)
    assert.strictEqual(Object.keys(Object(JSON.parse(line).details)).length <= 17, true)
  })
})
