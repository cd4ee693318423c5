/**
 * What Keelson makes of each thing that can happen to a call: its code, whether `Retry` repeats it, and what a breaker
 * records. What is observed here is the table of docs/reference/classification.md; `vitest -u` writes it anew.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { skipReason } from "@keelson/testing/redisServer"
import { Cause, Effect, Exit } from "effect"
import { join } from "node:path"
import { Breaker, ErrorCode, Retry, RetryPolicy } from "../../src/index.ts"
import type { Fault } from "./fault.ts"
import { httpFaults } from "./httpFaults.ts"
import { otherFaults } from "./otherFaults.ts"
import { redisFaults } from "./redisFaults.ts"

const policy = RetryPolicy.make({ maxAttempts: 2, initialDelay: "0 millis", jitter: "none" })

interface Observed {
  readonly code: ErrorCode.ErrorCode | undefined
  readonly retried: boolean
  readonly breaker: ErrorCode.BreakerOutcome
}

const outcomes = { Failure: "failure", Success: "success", Ignored: "ignored" } as const

const observe = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>): Effect.fn.Return<Observed> {
  let calls = 0
  const call = Effect.suspend(() => {
    calls++
    return Effect.failCause(cause)
  })
  const given = yield* Effect.exit(Retry.retry(call, policy))
  const { _tag } = Breaker.classify(given)
  assert.strictEqual(
    _tag,
    Breaker.classify(Exit.failCause(cause))._tag,
    "a retry that gave up counts as its last error"
  )
  return { code: ErrorCode.codeOf(Cause.squash(cause)), retried: calls === 2, breaker: outcomes[_tag] }
})

const expectedOf = ({ breaker, code, retried }: Fault): Observed => {
  const info = code === undefined ? undefined : ErrorCode.codeInfo[code]
  return {
    code,
    retried: retried ?? info?.retryable ?? true,
    breaker: breaker ?? info?.breaker ?? "failure"
  }
}

const faults: ReadonlyArray<Fault> = [...httpFaults, ...otherFaults, ...redisFaults]

interface Row extends Observed {
  readonly area: string
  readonly what: string
  readonly where: ReadonlyArray<string>
}

const rows: Array<Row> = []

/** Adds a client to the row of the same fault, if it is treated alike. */
const note = ({ area, what, where }: Fault, observed: Observed): void => {
  const same = rows.findIndex((row) => row.area === area && row.what === what && row.code === observed.code)
  const row = rows[same]
  if (row === undefined) rows.push({ area, what, where: [where], ...observed })
  else rows[same] = { ...row, where: [...row.where, where] }
}

describe("classification", () => {
  for (const fault of faults) {
    const { area, ids, make, what, where } = fault
    it.live.skipIf(area === "Redis" && skipReason !== undefined)(
      `${ids === "" ? "" : `[${ids}] `}${where}: ${what}`,
      () =>
        Effect.gen(function*() {
          const cause = yield* Effect.flip(Effect.sandbox(make))
          const observed = yield* observe(cause)
          assert.deepStrictEqual(observed, expectedOf(fault), String(Cause.squash(cause)))
          note(fault, observed)
        }).pipe(Effect.scoped)
    )
  }

  it("the table of the reference is what was observed", async ({ skip }) => {
    skip(rows.flatMap(({ where }) => where).length < faults.length, "not every fault was made to happen in this run")
    await expect(`${JSON.stringify(rows, undefined, 2)}\n`).toMatchFileSnapshot(
      join(import.meta.dirname, "../../../../docs/classification.json")
    )
  })
})
