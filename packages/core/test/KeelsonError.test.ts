import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Effect, Schema } from "effect"
import fc from "fast-check"
import * as ErrorCode from "../src/ErrorCode.ts"
import { type Category, Severity } from "../src/internal/errors/labels.ts"
import * as KeelsonError from "../src/KeelsonError.ts"
import * as Problem from "../src/Problem.ts"

const classes = {
  CONFIGURATION: KeelsonError.ConfigurationError,
  AUTHENTICATION: KeelsonError.AuthenticationError,
  NETWORK: KeelsonError.NetworkError,
  AUTHORIZATION: KeelsonError.AuthorizationError,
  INTERNAL: KeelsonError.InternalError
} as const satisfies Record<Category, unknown>

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

describe("KeelsonError", () => {
  for (const [category, Class] of Object.entries<typeof Error | (typeof classes)[Category]>(classes)) {
    it(`[S3-05] ${Class.name} is the class of ${category}`, () => {
      const codes = ErrorCode.ErrorCode.literals.filter((code) => ErrorCode.codeInfo[code].category === category)
      assert.isAbove(codes.length, 0)
      for (const code of codes) {
        const error = KeelsonError.make({ code })
        assert.isTrue(error instanceof Class && error instanceof Error)
        assert.deepStrictEqual([error._tag, error.name, error.category], [Class.name, Class.name, category])
      }
    })
  }

  it("[S3-05] carries code, message, details, severity and status", () => {
    const error = new KeelsonError.NetworkError({
      code: "TIMEOUT",
      message: "billing did not answer",
      details: { server: "billing", attempts: 3 }
    })
    assert.strictEqual(error.code, "TIMEOUT")
    assert.strictEqual(error.message, "billing did not answer")
    assert.deepEqual(error.details, { server: "billing", attempts: 3 })
    assert.strictEqual(error.severity, "ERROR")
    assert.strictEqual(error.status, 504)
    assert.strictEqual(String(error), "NetworkError: billing did not answer")
  })

  it("[S3-05] takes message and severity from the catalogue where none is given", () => {
    for (const code of ErrorCode.ErrorCode.literals) {
      const error = KeelsonError.make({ code })
      const { description, severity, status } = ErrorCode.codeInfo[code]
      assert.deepStrictEqual([error.message, error.severity, error.status], [description, severity, status])
      assert.deepEqual(error.details, {})
      assert.isUndefined(error.cause)
    }
  })

  it("[S3-05] its severity may be overridden, for itself alone", () => {
    const loud = new KeelsonError.AuthenticationError({ code: "TOKEN_EXPIRED", severity: "CRITICAL" })
    assert.strictEqual(loud.severity, "CRITICAL")
    assert.strictEqual(Problem.encode(loud).severity, "CRITICAL")
    assert.strictEqual(new KeelsonError.AuthenticationError({ code: "TOKEN_EXPIRED" }).severity, "WARNING")
  })

  it("[S3-05] takes no code of another category", () => {
    // @ts-expect-error: a token's code
    assert.isDefined(new KeelsonError.ConfigurationError({ code: "TOKEN_EXPIRED" }))
    // @ts-expect-error: no code at all
    assert.isDefined(() => KeelsonError.make({ code: "NO_SUCH_CODE" }))
  })

  it.effect("is yielded and caught by its tag", () =>
    Effect.gen(function*() {
      const failing = Effect.gen(function*() {
        return yield* new KeelsonError.InternalError({ code: "SHUTTING_DOWN" })
      })
      const caught = Effect.catchTag(failing, "InternalError", (error) => Effect.succeed(error.code))
      assert.strictEqual(yield* caught, "SHUTTING_DOWN")
    }))

  it("[R21] message, details and cause hold no token", () => {
    const error = new KeelsonError.AuthenticationError({
      code: "TOKEN_INVALID",
      message: `refused ${jwt}`,
      details: {
        url: `https://user:hunter2@idp.example/?access_token=${jwt}`,
        client_secret: "hunter2",
        nested: [jwt]
      },
      cause: new Error(`Bearer ${jwt}`, { cause: { message: jwt, client_secret: "hunter2" } })
    })
    const shown = [error.message, error.stack, JSON.stringify(error), JSON.stringify(error.details)]
    let cause: unknown = error.cause
    while (cause instanceof Error) {
      shown.push(cause.message, String(cause.stack), JSON.stringify(cause))
      cause = cause.cause
    }
    assert.isAbove(shown.length, 4)
    for (const text of shown) {
      assert.notInclude(text, jwt)
      assert.notInclude(text, "hunter2")
    }
    assert.include(error.message, "refused")
  })

  it("keeps its details when the object they came from changes", () => {
    const details = { list: [1] }
    const error = new KeelsonError.InternalError({ code: "INTERNAL_ERROR", details })
    details.list.push(2)
    assert.deepEqual(error.details, { list: [1] })
  })

  it("keeps a cause as a view of it, and never encodes it", () => {
    const cause = new TypeError("boom")
    const error = new KeelsonError.InternalError({ code: "INTERNAL_ERROR", cause })
    assert.instanceOf(error.cause, Error)
    assert.notStrictEqual(error.cause, cause)
    assert.include(error.cause.message, "boom")
    assert.notInclude(JSON.stringify(error), "boom")
  })

  it("[S3-06] JSON.stringify gives the encoded form", () => {
    for (const code of ErrorCode.ErrorCode.literals) {
      const error = KeelsonError.make({ code, details: { n: 1 } })
      assert.deepEqual(JSON.parse(JSON.stringify(error)), Problem.encode(error))
      assert.deepEqual(JSON.parse(JSON.stringify({ error })), { error: Problem.encode(error) })
    }
  })

  describe("round trip", () => {
    /** Words around which a redaction works, so that what it leaves is redacted a second time. */
    const pieces =
      "token|secret=|password: |Bearer |Basic |https://u:p@h/?code=|&|=|:| |\"|[REDACTED]|client_secret|{|}" +
      `|hunter2|Zm9vYmFyYmF6cXV4|${jwt}|-----BEGIN PRIVATE KEY-----|\n|key|4f9a2b7c1d`
    const word = fc.constantFrom(...pieces.split("|"))
    const text = fc.oneof(fc.string(), fc.array(word, { maxLength: 8 }).map((words) => words.join("")))
    /** What JSON can say: it has no -0. */
    const json = fc.jsonValue({ maxDepth: 4 }).map((value): unknown => JSON.parse(JSON.stringify(value)))
    const errors = fc.record({
      code: fc.constantFrom(...ErrorCode.ErrorCode.literals),
      message: fc.option(text, { nil: undefined }),
      severity: fc.option(fc.constantFrom(...Severity.literals), { nil: undefined }),
      details: fc.option(fc.dictionary(text, fc.oneof(text, json), { maxKeys: 8 }), { nil: undefined })
    })

    it("[S3-06] encode, fromProblem, encode gives the same eight members", (context) => {
      forAll(context, 1000, errors, (options) => {
        const first = Problem.encode(KeelsonError.make(options))
        const error = KeelsonError.fromProblem(first)
        assert.strictEqual(error.code, options.code)
        assert.deepEqual(Problem.encode(error), first)
        // Not by way of JSON: once an object had a member `\\`, the JSON.parse of Node 24 takes a member `"` for it.
        assert.deepEqual(structuredClone(first), first)
      })
    })

    it("[S3-06] the Wire schema encodes and decodes every error", (context) => {
      const encode = Schema.encodeSync(KeelsonError.Codec)
      const decode = Schema.decodeUnknownSync(KeelsonError.Codec)
      forAll(context, 300, errors, (options) => {
        const error = KeelsonError.make(options)
        const decoded = decode(JSON.parse(JSON.stringify(encode(error))))
        assert.strictEqual(decoded._tag, error._tag)
        assert.deepEqual(encode(decoded), encode(error))
      })
    })

    it("keeps long lists, wide objects and long texts as they were encoded first", () => {
      const details = {
        list: Array.from({ length: 400 }, (_, n) => n),
        wide: Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`m${n}`, n])),
        text: "word ".repeat(30_000),
        deep: Array.from({ length: 20 }).reduce<unknown>((inner) => ({ inner }), 1)
      }
      const first = Problem.encode(KeelsonError.make({ code: "INTERNAL_ERROR", details }))
      assert.deepEqual(Problem.encode(KeelsonError.fromProblem(first)), first)
    })

    it("the Wire schema takes no other error, and no other object", () => {
      assert.throws(() => Schema.encodeUnknownSync(KeelsonError.Codec)(new Error("x")))
      for (
        const input of [{}, null, { error_code: "NET-001" }, { ...Problem.encode(new Error("x")), severity: "LOUD" }]
      ) {
        assert.throws(() => Schema.decodeUnknownSync(KeelsonError.Codec)(input))
      }
    })

    it("an id of a newer catalogue becomes INTERNAL_ERROR with its message", () => {
      const problem = {
        ...Problem.encode(KeelsonError.make({ code: "TIMEOUT" })),
        error_code: "NET-999",
        message: "new"
      }
      const error = KeelsonError.fromProblem(problem)
      assert.deepStrictEqual([error.code, error.message], ["INTERNAL_ERROR", "new"])
    })
  })
})
