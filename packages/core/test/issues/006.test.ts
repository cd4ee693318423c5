import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Breaker, BreakerStore, ErrorCode, Problem } from "../../src/index.ts"

/** An error with a code of the catalogue, of which one member throws when it is read. */
const throwing = (member: string): Error =>
  Object.defineProperty(Object.assign(new Error("late"), { code: "TIMEOUT" }), member, {
    get: () => {
      throw new TypeError(`${member} cannot be read`)
    }
  })

const revoked = (): unknown => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

describe("An error whose members throw when they are read", () => {
  it("is encoded by what can be read of it", () => {
    for (const member of ["message", "details", "severity"]) {
      const { details, error_code, message, severity } = Problem.encode(throwing(member))
      assert.deepStrictEqual({ error_code, severity, details }, {
        error_code: "NET-001",
        severity: "ERROR",
        details: {}
      })
      assert.strictEqual(message, member === "message" ? ErrorCode.codeInfo.TIMEOUT.description : "late")
    }
    const odd = Object.assign(new Error("late"), { code: "TIMEOUT", message: 5 })
    assert.strictEqual(Problem.encode(odd).message, ErrorCode.codeInfo.TIMEOUT.description)
  })

  it("has no code, and becomes INT-001, where the code itself cannot be read", () => {
    for (const error of [throwing("code"), revoked(), Object.assign(new Error("x"), { reason: revoked() })]) {
      assert.isUndefined(ErrorCode.codeOf(error))
      assert.strictEqual(Problem.encode(error).error_code, "INT-001")
    }
  })

  it.effect("is a failure to a breaker, and reaches the caller as it is", () =>
    Effect.gen(function*() {
      const breaker = yield* Breaker.make("a", { failureThreshold: 1 })
      const error = throwing("code")
      assert.strictEqual(yield* Effect.flip(breaker.execute(Effect.fail(error))), error)
      assert.strictEqual(yield* breaker.state, "OPEN")
    }).pipe(Effect.provide(BreakerStore.layerMemory)))
})
