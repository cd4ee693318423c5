import { assert, describe, it } from "@effect/vitest"
import { AuditEvents, AuditLog } from "@keelson/audit"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { makeSink } from "./memorySink.ts"

const context = {
  server: "billing",
  attemptId: "6f1c",
  at: 1_000,
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331"
}

const event = (_tag: string, more: object): AuditEvents.TokenEvent => ({ _tag, ...context, ...more })

const recorded = (...events: ReadonlyArray<AuditEvents.TokenEvent>) =>
  Effect.gen(function*() {
    const memory = makeSink()
    const layer = AuditEvents.layer({ tokens: [Stream.fromIterable(events)] })
    yield* Effect.scoped(Layer.build(Layer.provide(layer, AuditLog.layer({ sinks: [memory.sink] }))))
    return memory
  })

describe("AuditEvents", () => {
  it.effect("[S2-22][S2-23] records every event of a token provider with its attempt, outcome and trace", () =>
    Effect.gen(function*() {
      const { lines, records } = yield* recorded(
        event("RefreshStarted", { cause: "due" }),
        event("RefreshRetried", { attempt: 1, delay: Duration.millis(250), errorKind: "TIMEOUT" }),
        event("RefreshFailed", { attempts: 3, errorKind: "TIMEOUT", consecutiveFailures: 5 }),
        event("RefreshEscalated", { errorKind: "TIMEOUT", consecutiveFailures: 5 }),
        event("Refreshed", { attempts: 1, issuedAt: 0, expiresAt: 3_600_000, discarded: false }),
        event("RefreshCompleted", { success: true, attempts: 1, elapsed: Duration.seconds(1) })
      )
      assert.deepStrictEqual(
        lines.map(({ http_method }, index) => [http_method, records[index]?.level]),
        [
          ["token.refresh.start", "info"],
          ["token.refresh.retry", "warning"],
          ["token.refresh.failure", "error"],
          ["token.refresh.escalated", "error"],
          ["token.refresh.success", "info"],
          ["token.retry.outcome", "info"]
        ]
      )
      const trace = { server: "billing", trace_id: context.traceId, span_id: context.spanId }
      assert.deepStrictEqual(lines.map(({ details }) => details), [
        { ...trace, cause: "due" },
        { ...trace, outcome: "Retrying", attempt: 1, delay: 250, error_kind: "TIMEOUT" },
        { ...trace, outcome: "Failed", attempts: 3, error_kind: "TIMEOUT", consecutive_failures: 5 },
        { ...trace, outcome: "Failed", error_kind: "TIMEOUT", consecutive_failures: 5 },
        {
          ...trace,
          outcome: "Success",
          attempts: 1,
          issued_at: "1970-01-01T00:00:00.000Z",
          expires_at: "1970-01-01T01:00:00.000Z",
          discarded: false
        },
        { ...trace, success: true, attempts: 1, elapsed: 1_000 }
      ])
      assert.isTrue(
        lines.every(({ correlation_id, timestamp }) =>
          correlation_id === "6f1c" && timestamp === "1970-01-01T00:00:01.000Z"
        )
      )
    }))

  it.effect("[S2-22][A2] holds no token, also if an event did", () =>
    Effect.gen(function*() {
      const secret = "hunter2-4f9a2b7c1d8e"
      const { records } = yield* recorded(
        event("Unheard", { accessToken: secret, problem: `Bearer ${secret}`, nested: { token: secret } })
      )
      assert.lengthOf(records, 1)
      assert.notInclude(records[0]?.line, secret)
    }))
})
