import { assert, describe, it } from "@effect/vitest"
import { attempt } from "@keelson/testing/attempt"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { Effect, Exit } from "effect"
import { connect, type LookupFunction } from "node:net"
import { Breaker, ErrorCode, KeelsonError, Retry, RetryPolicy } from "../../src/index.ts"

const coded = (code: string) => Object.assign(new Error(code), { code })
const aggregate = (...errors: ReadonlyArray<unknown>) => new AggregateError(errors, "All promises were rejected")
const network = (code: "RATE_LIMITED" | "UPSTREAM_REJECTED" | "CANCELLED" | "TIMEOUT") =>
  new KeelsonError.NetworkError({ code })

describe("an AggregateError", () => {
  it.each<[string, ReadonlyArray<unknown>, ErrorCode.ErrorCode | undefined]>([
    ["of Node's addresses", [coded("ENETUNREACH"), coded("ECONNREFUSED")], "NETWORK_ERROR"],
    ["with one known member", [new Error("a"), "b", coded("ETIMEDOUT")], "TIMEOUT"],
    ["of equal members is the first", [coded("ETIMEDOUT"), coded("ECONNREFUSED")], "TIMEOUT"],
    ["of a cancelled and a failed attempt", [network("CANCELLED"), coded("ECONNRESET")], "NETWORK_ERROR"],
    ["of a refusal and a failed attempt", [network("UPSTREAM_REJECTED"), coded("ECONNRESET")], "NETWORK_ERROR"],
    ["of a refusal and a limit", [network("UPSTREAM_REJECTED"), network("RATE_LIMITED")], "RATE_LIMITED"],
    ["of a refusal and a cancelled attempt", [network("CANCELLED"), network("UPSTREAM_REJECTED")], "UPSTREAM_REJECTED"],
    ["of others", [new Error("a"), aggregate(coded("EPIPE"))], "NETWORK_ERROR"],
    ["of wrapped errors", [new Error("a", { cause: coded("CERT_HAS_EXPIRED") })], "TLS_FAILED"],
    ["of unknown members", [new Error("a"), 1], undefined],
    ["that is empty", [], undefined]
  ])("[K-28 D11] %s has the code of its most telling member", (_, errors, code) => {
    assert.strictEqual(ErrorCode.codeOf(aggregate(...errors)), code)
    assert.strictEqual(ErrorCode.codeOf(new Error("wrapped", { cause: aggregate(...errors) })), code)
  })

  it("[K-28 D11] keeps a code of its own, and reads a cycle and a crowd in bounded time", () => {
    assert.strictEqual(
      ErrorCode.codeOf(Object.assign(aggregate(coded("ETIMEDOUT")), { code: "ECONNREFUSED" })),
      "NETWORK_ERROR"
    )
    const cycle = aggregate()
    cycle.errors.push(...Array.from({ length: 100 }, () => cycle))
    assert.isUndefined(ErrorCode.codeOf(cycle))
  })

  it.live("[K-28 D11] of Node, for a name with two addresses that refuse, has a code either way", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.callback<void, unknown>((resume) => {
        const lookup: LookupFunction = (_name, _options, done) =>
          done(null, [{ address: "127.0.0.1", family: 4 }, { address: "127.0.0.2", family: 4 }])
        const socket = connect({ host: "two.test", port: 2, lookup, autoSelectFamily: true })
        socket.on("error", (error) => resume(Effect.fail(error)))
      }))
      assert.instanceOf(error, AggregateError)
      assert.strictEqual(ErrorCode.codeOf(error), "NETWORK_ERROR")
      Reflect.deleteProperty(error, "code")
      assert.strictEqual(ErrorCode.codeOf(error), "NETWORK_ERROR")
    }))
})

class Navigated extends Error {}

describe("the reason of a caller's signal", () => {
  const policy = RetryPolicy.make({ maxAttempts: 3, initialDelay: "0 millis" })

  it.live("[K-28] is a cancellation: one request, and nothing for a breaker", () =>
    Effect.gen(function*() {
      for (const reason of [new Navigated(), { because: "navigated" }, undefined]) {
        const origin = yield* httpOrigin("hang", "hang", "hang")
        const controller = new AbortController()
        const signal = ErrorCode.cancelledBy(ErrorCode.cancelledBy(controller.signal))
        origin.onHang = () => controller.abort(reason)
        const call = attempt(() => fetch(origin.url, { signal: AbortSignal.any([signal]) }))
        const exit = yield* Effect.exit(Retry.retry(call, policy))
        assert.strictEqual(Breaker.classify(exit)._tag, "Ignored")
        assert.lengthOf(origin.received, 1)
      }
    }))

  it("[K-28] is one also if it was aborted before, and a timeout stays one", () => {
    const reason = new Navigated()
    assert.isUndefined(ErrorCode.codeOf(reason))
    ErrorCode.cancelledBy(AbortSignal.abort(reason))
    assert.strictEqual(ErrorCode.codeOf(reason), "CANCELLED")
    const timeout = new DOMException("late", "TimeoutError")
    ErrorCode.cancelledBy(AbortSignal.abort(timeout))
    assert.strictEqual(ErrorCode.codeOf(timeout), "TIMEOUT")
    ErrorCode.cancelledBy(AbortSignal.abort("text"))
    assert.isUndefined(ErrorCode.codeOf("text"))
    const unmarked: unknown = new Navigated()
    assert.strictEqual(Breaker.classify(Exit.fail(unmarked))._tag, "Failure")
  })
})
