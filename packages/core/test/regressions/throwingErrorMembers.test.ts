import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Breaker, BreakerStore, ErrorCode, Problem } from "../../src/index.ts"

/** An error with a catalogue code and one member that throws when it is read. */
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

describe("An error with throwing getters", () => {
  it("is encoded from its readable members", () => {
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

  it("becomes INT-001 if its code cannot be read", () => {
    for (const error of [throwing("code"), revoked(), Object.assign(new Error("x"), { reason: revoked() })]) {
      assert.isUndefined(ErrorCode.codeOf(error))
      assert.strictEqual(Problem.encode(error).error_code, "INT-001")
    }
  })

  it.effect("counts as a failure for a breaker, and reaches the caller unchanged", () =>
    Effect.gen(function*() {
      const breaker = yield* Breaker.make("a", { failureThreshold: 1 })
      const error = throwing("code")
      assert.strictEqual(yield* Effect.flip(breaker.execute(Effect.fail(error))), error)
      assert.strictEqual(yield* breaker.state, "OPEN")
    }).pipe(Effect.provide(BreakerStore.layerMemory)))
})
