import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { quiet } from "@keelson/testing/observe"
import { issuer, keysOf, pairOf } from "@keelson/testing/tokens"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as OAuth from "oauth4webapi"
import type { Introspection } from "../src/index.ts"
import {
  type AnswerCase,
  canary,
  control,
  now,
  plainCases,
  signedCases,
  signedControl
} from "./corpus/introspection.ts"
import { type Mismatch, shownBy } from "./corpus/run.ts"
import {
  introspected,
  json,
  jwtResponse,
  keySourceOf,
  makeEndpoint,
  opaque,
  type OpaqueTokens,
  type Respond,
  signedOptions
} from "./introspectionSupport.ts"

/** Nothing but one request for each answer. */
const once: Partial<Introspection.Options> = {
  newTokensPerSecond: 100_000,
  newTokensBurst: 1_000_000,
  resilience: { retry: { maxAttempts: 1 }, breaker: { enabled: false } }
}
const policy = { issuers: [issuer, "https://second.example"] }

/** Gives the answer of a case to a token. Returns a mismatch if the outcome is not the expected one. */
const judge = (tokens: OpaqueTokens["Service"], { name, reason }: AnswerCase, token: string) =>
  Effect.map(Effect.exit(tokens.validate(token)), (exit): ReadonlyArray<Mismatch> => {
    if (Exit.isSuccess(exit)) return [{ name, got: "accepted" }]
    if (Exit.hasDies(exit)) return [{ name, got: exit.cause }]
    const error = errorOf(exit)
    if (JSON.stringify(error.reason) !== JSON.stringify(reason)) return [{ name, got: error.reason }]
    const text = shownBy(error)
    return text.includes(canary) || text.includes(token) ? [{ name, got: text }] : []
  })

const mismatches = (cases: ReadonlyArray<AnswerCase>, good: Respond, more: Partial<Introspection.Options>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1000)
    const server = makeEndpoint(good)
    const tokens = yield* introspected(server, { ...once, ...more }, policy)
    yield* tokens.validate(opaque("before"))
    const found: Array<Mismatch> = []
    for (const [index, one] of cases.entries()) {
      server.respond = () => one.respond
      found.push(...yield* judge(tokens, one, opaque(`case-${index}`)))
    }
    server.respond = good
    yield* tokens.validate(opaque("after"))
    assert.strictEqual(server.asked.length, cases.length + 2)
    return found
  })

describe("Hostile introspection answers", () => {
  it.effect("[K-23] [R9] every plain answer is rejected for the right reason, which shows nothing of it", () =>
    Effect.gen(function*() {
      assert.isAbove(plainCases.length, 190)
      const found = yield* mismatches(plainCases, () => Effect.sync(() => json(control)), {})
      assert.deepStrictEqual(found, [])
    }).pipe(quiet))

  it.effect("[K-23] [R9] every signed answer is rejected for the right reason, which shows nothing of it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* pairOf("ES256")
      const cases = signedCases(pair, yield* pairOf("ES256", "other"))
      assert.isAbove(cases.length, 90)
      const keys = yield* keySourceOf(keysOf([pair], policy.issuers))
      const good = () => Effect.map(signedControl(pair), jwtResponse)
      assert.deepStrictEqual(yield* mismatches(cases, good, signedOptions(keys)), [])
    }).pipe(quiet))

  it.effect("[K-23] oauth4webapi accepts each plain answer that Keelson reads, and rejects no active one that it accepts", () =>
    Effect.gen(function*() {
      const as = { issuer, introspection_endpoint: `${issuer}/introspect` }
      for (
        const one of [...plainCases, {
          name: "control",
          respond: Effect.sync(() => json(control)),
          reason: undefined
        }]
      ) {
        const response = yield* one.respond
        const theirs = yield* Effect.promise(() =>
          OAuth.processIntrospectionResponse(as, { client_id: "api-client" }, response).then(
            ({ active }) => active,
            () => undefined
          )
        )
        const reason = one.reason
        const isRead = reason === undefined || !("problem" in reason)
        if (isRead) assert.isTrue(theirs, one.name)
      }
    }))
})
