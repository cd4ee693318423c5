import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, ErrorReporter, Schema } from "effect"
import { HttpServerRespondable } from "effect/http"
import { HttpSecurityError } from "../src/index.ts"
import { errors } from "../src/internal/http/problemSchemas.ts"

const { Forbidden, InvalidRequest, isHttpSecurityError, Unauthorized, Unavailable } = HttpSecurityError
const challenge = "Bearer realm=\"api\""
const [invalidRequest, unauthorized, forbidden, unavailable] = errors

describe("HttpSecurityError", () => {
  const invalid = new InvalidRequest({ code: "TOKEN_REQUEST_INVALID", challenge })
  const unknown = new Unauthorized({ code: "TOKEN_EXPIRED", challenge })
  const denied = new Forbidden({ challenge, scopes: ["a"] })
  const down = new Unavailable({ retryAfter: Duration.millis(1500) })
  const all = [invalid, unknown, denied, down]

  it("recognizes its own errors only", () => {
    assert.deepStrictEqual(all.map(isHttpSecurityError), [true, true, true, true])
    for (const other of [new Error("x"), undefined, { _tag: "Forbidden" }]) assert.isFalse(isHttpSecurityError(other))
  })

  it("is named by its tag, and mistakes of callers are not reported as failures", () => {
    const names = ["InvalidRequest", "Unauthorized", "Forbidden", "Unavailable"]
    assert.deepStrictEqual(all.map(({ _tag }) => _tag), names)
    assert.deepStrictEqual(all.map(({ name }) => name), names)
    assert.deepStrictEqual(all.map((error) => ErrorReporter.isIgnored(error)), [true, true, true, false])
  })

  it.effect("[S3-06] responds with or without the schemas of an API in the same way", () =>
    Effect.gen(function*() {
      const encoded = [
        Schema.encodeSync(invalidRequest)(invalid),
        Schema.encodeSync(unauthorized)(unknown),
        Schema.encodeSync(forbidden)(denied),
        Schema.encodeSync(unavailable)(down)
      ]
      for (const [index, error] of all.entries()) {
        const response = yield* HttpServerRespondable.toResponse(error)
        const { body, headers } = encoded[index] ?? {}
        assert.strictEqual(response.status, error.status)
        assert.deepInclude({ ...response.headers }, headers ?? {})
        assert.deepStrictEqual<object>({ ...error.headers }, headers ?? {})
        const raw = response.body._tag === "Uint8Array" ? new TextDecoder().decode(response.body.body) : ""
        assert.deepStrictEqual(JSON.parse(raw), body)
      }
    }))

  it("is decoded without headers, and with malformed ones", () => {
    const problem = {
      type: "about:blank",
      title: "Title",
      status: 403,
      detail: "Detail",
      code: "AUTH-002",
      category: "AUTHORIZATION",
      severity: "ERROR",
      details: {}
    } as const
    const decoded = [
      Schema.decodeSync(forbidden)({ body: problem, headers: {} }),
      Schema.decodeSync(unauthorized)({ body: problem, headers: {} }),
      Schema.decodeSync(invalidRequest)({ body: problem, headers: {} })
    ]
    for (const error of decoded) assert.deepInclude(error, { challenge: "", message: "Detail" })
    assert.deepStrictEqual(decoded[0]?._tag === "Forbidden" ? decoded[0].scopes : undefined, [])
    const waits = ["7", "", "x7", "7x", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "9999999999"].map((value) =>
      Duration.toSeconds(
        Schema.decodeSync(unavailable)({ body: problem, headers: { "retry-after": value } }).retryAfter
      )
    )
    assert.deepStrictEqual(waits, [7, 0, 0, 0, 0, 0, 0])
    assert.strictEqual(Duration.toSeconds(Schema.decodeSync(unavailable)({ body: problem, headers: {} }).retryAfter), 0)
  })
})
