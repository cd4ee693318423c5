import { assert, describe, it } from "@effect/vitest"
import { Deadline, KeelsonError } from "@keelson/core"
import { Duration } from "effect"
import { retryAfterOf, toAcquisitionError } from "../src/internal/provider/acquisitionError.ts"
import { detailsOf, failure } from "./tokenSupport.ts"

const facts = { server: "billing", attempts: 2 }
const shownOf = (cause: unknown) => {
  const error = toAcquisitionError(cause, facts)
  return [error._tag, error.code, detailsOf(error)]
}

describe("toAcquisitionError", () => {
  it("[S3-33] keeps the code, message and allowlisted details of an error of ours", () => {
    const error = toAcquisitionError(
      new KeelsonError.ConfigurationError({
        code: "INVALID_CONFIG",
        message: "lifetime must be longer",
        details: { path: "lifetime", expected: "more", secret: "hidden", reason: "r", status: 1 }
      }),
      facts
    )
    assert.strictEqual(error.message, "lifetime must be longer")
    assert.instanceOf(error, KeelsonError.ConfigurationError)
    assert.deepStrictEqual(detailsOf(error), { path: "lifetime", expected: "more", reason: "r", status: 1, ...facts })
  })

  it("[S3-33] [R21] of another error only the tag is shown, and only if it is a word", () => {
    const cases: ReadonlyArray<readonly [unknown, object]> = [
      [{ _tag: "VaultSealed", message: "secret" }, { error: "VaultSealed" }],
      [{ _tag: "a secret with spaces" }, {}],
      [{ _tag: "secret words\nVaultSealed" }, {}],
      [{ _tag: "V".repeat(65) }, {}],
      [{ _tag: 7 }, {}],
      [new Error("secret"), {}],
      ["secret", {}],
      [undefined, {}]
    ]
    for (const [cause, shown] of cases) {
      assert.deepStrictEqual(shownOf(cause), [
        "AuthenticationError",
        "TOKEN_ACQUISITION_FAILED",
        { ...shown, ...facts }
      ])
    }
  })

  it("codes of the network and of tokens stay; codes of other kinds do not", () => {
    const late = new Deadline.DeadlineExceeded({ limit: "call", after: Duration.seconds(1) })
    assert.deepStrictEqual(shownOf(late), ["NetworkError", "TIMEOUT", { error: "DeadlineExceeded", ...facts }])
    assert.deepStrictEqual(shownOf(new KeelsonError.AuthenticationError({ code: "TOKEN_EXPIRED" })).slice(0, 2), [
      "AuthenticationError",
      "TOKEN_EXPIRED"
    ])
    for (
      const other of [
        new KeelsonError.InternalError({ code: "STORE_UNAVAILABLE" }),
        new KeelsonError.AuthorizationError({ code: "FORBIDDEN" })
      ]
    ) {
      assert.deepStrictEqual(shownOf(other).slice(0, 2), ["AuthenticationError", "TOKEN_ACQUISITION_FAILED"])
    }
    assert.strictEqual(toAcquisitionError("no", {}, "VALIDATION_FAILED").code, "VALIDATION_FAILED")
  })
})

describe("retryAfterOf", () => {
  const response = (headers: unknown) => ({ response: { headers } })
  const cases: ReadonlyArray<readonly [string, unknown, Duration.Duration | undefined]> = [
    ["its own", { retryAfter: Duration.seconds(3) }, Duration.seconds(3)],
    ["its own that is none", { retryAfter: 3 }, undefined],
    ["that of its details", failure("RATE_LIMITED", { retry_after_ms: 1500 }), Duration.millis(1500)],
    ["text in its details", failure("RATE_LIMITED", { retry_after_ms: "1500" }), undefined],
    ["that of its response", response({ "retry-after": "7" }), Duration.seconds(7)],
    ["a date of its response", response({ "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT" }), Duration.seconds(50)],
    ["a list of its response", response({ "retry-after": ["7"] }), undefined],
    ["no headers", response(undefined), undefined],
    ["no response", { response: 1 }, undefined],
    ["no object", "no", undefined]
  ]
  for (const [what, error, expected] of cases) {
    it(`takes ${what}`, () => {
      const found = retryAfterOf(error, 10_000)
      assert.strictEqual(found && Duration.toMillis(found), expected && Duration.toMillis(expected))
    })
  }
})
