import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect, Schema } from "effect"
import { HttpServerRespondable, HttpServerResponse, ProblemDetails } from "effect/http"
import { inspect } from "node:util"
import { DeadlineExceeded } from "../src/Deadline.ts"
import * as ErrorCode from "../src/ErrorCode.ts"
import { CircuitOpen } from "../src/internal/breaker/circuitOpen.ts"
import * as KeelsonError from "../src/KeelsonError.ts"
import * as Problem from "../src/Problem.ts"
import * as ProblemResponse from "../src/ProblemResponse.ts"
import { retry } from "../src/Retry.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import { Closed } from "../src/SingleFlight.ts"

const members = [
  "error_code",
  "category",
  "severity",
  "message",
  "details",
  "troubleshooting",
  "documentation_url",
  "http_status"
]

describe("Problem", () => {
  describe("encode", () => {
    for (const code of ErrorCode.ErrorCode.literals) {
      it(`[S3-06] ${code} has exactly eight members, of the catalogue and the error`, () => {
        const info = ErrorCode.codeInfo[code]
        const error = KeelsonError.make({ code, message: "what happened", details: { server: "billing" } })
        const problem = Problem.encode(error)
        assert.sameMembers(Object.keys(problem), members)
        assert.deepEqual(problem, {
          error_code: info.id,
          category: info.category,
          severity: info.severity,
          message: "what happened",
          details: { server: "billing" },
          troubleshooting: info.troubleshooting,
          documentation_url: ErrorCode.documentationUrl(code),
          http_status: info.status
        })
        assert.isTrue(Schema.is(Problem.Problem)(problem))
      })
    }

    it("[S3-06] encodes the other errors of Keelson by their code and details", () => {
      const open = new CircuitOpen({ server: "billing", state: "OPEN", retryAfter: Duration.seconds(30) })
      const late = new DeadlineExceeded({ limit: "call", after: Duration.seconds(8) })
      const first = Problem.encode(open)
      assert.deepStrictEqual([first.error_code, first.http_status], ["NET-007", 503])
      assert.deepEqual(first.details, { server: "billing", state: "OPEN", retry_after_ms: 30_000 })
      const second = Problem.encode(late)
      assert.deepStrictEqual([second.error_code, second.http_status], ["NET-001", 504])
      assert.deepEqual(second.details, { limit: "call", after_ms: 8000 })
    })

    const secret = "hunter2-s3cr3t"
    const uncoded: ReadonlyArray<readonly [label: string, error: unknown]> = [
      ["an Error", Object.assign(new Error(secret), { details: { secret }, severity: "CRITICAL", extra: secret })],
      ["an Error with a foreign code", Object.assign(new Error(secret), { code: "ENOENT", path: secret })],
      ["an Error with a cause", new Error(secret, { cause: new Error(secret) })],
      ["an object", { message: secret, details: { secret } }],
      ["a string", secret],
      ["undefined", undefined],
      ["null", null],
      ["a number", 42],
      ["a function", () => secret]
    ]
    for (const [label, error] of uncoded) {
      it(`[R21] ${label} without a code of ours is INT-001, and shows nothing of itself`, () => {
        const problem = Problem.encode(error)
        assert.deepEqual(problem, Problem.encode(new KeelsonError.InternalError({ code: "INTERNAL_ERROR" })))
        assert.strictEqual(problem.error_code, "INT-001")
        assert.notInclude(JSON.stringify(problem), "hunter2")
      })
    }

    it("[R21] an object that is no error shows its code alone", () => {
      const problem = Problem.encode({ code: "TIMEOUT", message: secret, details: { secret }, severity: "CRITICAL" })
      assert.deepEqual(problem, Problem.encode(new KeelsonError.NetworkError({ code: "TIMEOUT" })))
    })

    it("[R21] an error of Node or of a client shows its code alone: its message names hosts", () => {
      const refused = Object.assign(new Error("connect ECONNREFUSED 10.1.2.3:5432"), { code: "ECONNREFUSED" })
      const problem = Problem.encode(refused)
      assert.strictEqual(problem.error_code, "NET-002")
      assert.notInclude(JSON.stringify(problem), "10.1.2.3")
    })

    it("a severity that is none of the four is the catalogue's", () => {
      const error = Object.assign(new Error("x"), { code: "TOKEN_EXPIRED", severity: "LOUD", details: null })
      const problem = Problem.encode(error)
      assert.deepStrictEqual([problem.severity, problem.details], ["WARNING", {}])
    })

    it("gives out nothing through which the catalogue could be changed", () => {
      const steps = Problem.encode(KeelsonError.make({ code: "TIMEOUT" })).troubleshooting
      Reflect.apply(Array.prototype.push, steps, ["changed"])
      assert.notInclude(Problem.encode(KeelsonError.make({ code: "TIMEOUT" })).troubleshooting, "changed")
    })
  })

  describe("toProblemDetails", () => {
    const error = KeelsonError.make({ code: "FORBIDDEN", message: "no scope", details: { scope: "invoices" } })

    it("is the form of RFC 9457, with extension members", () => {
      assert.deepEqual(Problem.toProblemDetails(error, "/requests/7"), {
        type: "https://keelson.dev/docs/reference/error-codes#auth-002",
        title: "The caller is authenticated but not allowed to do this.",
        status: 403,
        detail: "no scope",
        instance: "/requests/7",
        code: "AUTH-002",
        category: "AUTHORIZATION",
        severity: "ERROR",
        details: { scope: "invoices" }
      })
    })

    it("has no instance where none is given, and is readable by Effect's own schema", () => {
      const problem = Problem.toProblemDetails(error)
      assert.notProperty(problem, "instance")
      assert.deepEqual(Schema.decodeUnknownSync(ProblemDetails.Schema)(JSON.parse(JSON.stringify(problem))), problem)
    })

    it("shows nothing of an error without a code", () => {
      const problem = Problem.toProblemDetails(new Error("hunter2"))
      assert.deepStrictEqual([problem["code"], problem.status], ["INT-001", 500])
      assert.notInclude(JSON.stringify(problem), "hunter2")
    })

    it.effect("toResponse is application/problem+json with the error's status", () =>
      Effect.gen(function*() {
        for (const code of ErrorCode.ErrorCode.literals.filter((name) => name !== "TLS_FAILED")) {
          const response = HttpServerResponse.toWeb(ProblemResponse.make(KeelsonError.make({ code }), "/x"))
          assert.strictEqual(response.status, ErrorCode.codeInfo[code].status)
          assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
          const body = yield* Effect.promise(() => response.json())
          assert.deepEqual(body, Problem.toProblemDetails(KeelsonError.make({ code }), "/x"))
        }
      }))
  })

  describe("towards callers", () => {
    const failing = retry(
      Effect.fail(KeelsonError.make({ code: "TIMEOUT" })),
      RetryPolicy.make({ maxAttempts: 2, initialDelay: "0 millis" })
    )
    const circuit = (retryAfter: Duration.Duration) => new CircuitOpen({ server: "billing", state: "OPEN", retryAfter })
    const retryAfter = (error: unknown) => ProblemResponse.make(error).headers["retry-after"]

    it.effect("the history of a retry stays inside, and is on the wire of this process only", () =>
      Effect.gen(function*() {
        const { exit } = yield* runOut(failing)
        const error = errorOf(exit)
        assert.deepStrictEqual(Problem.toProblemDetails(error)["details"], { stopped_by: "attempts" })
        assert.isArray(Problem.encode(error).details["attempts"])
      }))

    it("a rejection says when to come back, in whole seconds", () => {
      assert.strictEqual(retryAfter(circuit(Duration.millis(1500))), "2")
      assert.isUndefined(retryAfter(circuit(Duration.zero)))
      assert.isUndefined(retryAfter(KeelsonError.make({ code: "TIMEOUT" })))
    })

    it.effect("a route that fails with an error of ours answers with its problem", () =>
      Effect.gen(function*() {
        const { exit } = yield* runOut(failing)
        const closed = new Closed({})
        const late = new DeadlineExceeded({ limit: "call", after: Duration.seconds(1) })
        const errors = [
          errorOf(exit),
          circuit(Duration.seconds(3)),
          closed,
          late,
          KeelsonError.make({ code: "FORBIDDEN" })
        ]
        const statuses: Array<number> = []
        for (const error of errors) statuses.push((yield* HttpServerRespondable.toResponse(error)).status)
        assert.deepStrictEqual(statuses, [504, 503, 503, 504, 403])
      }))

    it("an error is shown to a person with its stack, details and redacted cause", () => {
      const error = KeelsonError.make({
        code: "TIMEOUT",
        details: { server: "billing" },
        cause: new Error("Bearer abcdefghijklmnop")
      })
      const shown = inspect(error)
      assert.match(shown, /^NetworkError: The call did not end in time.*\n +at /)
      assert.include(shown, "details: {\"server\":\"billing\"}")
      assert.include(shown, "[cause]: Error: Bearer [REDACTED]")
    })
  })
})
