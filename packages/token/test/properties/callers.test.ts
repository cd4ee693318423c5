/** No caller ever gets a token that was acquired for another one, whatever else happens. */
import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { Duration, Effect, Fiber, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { CallerGuard } from "../../src/index.ts"
import { keyOf as keyOfCaller, writeKey } from "../../src/internal/delegation/callerKey.ts"
import { api, callerOf, down, issuedFor, makeExchange, rejecting } from "../callerSupport.ts"

/** Pseudo-random numbers from 0 to below 1, from a seed (mulberry32). */
const randomOf = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Run {
  readonly seed: number
  readonly callers: number
  readonly capacity: number
}

const scopes = [undefined, "read", "read write"] as const

/**
 * Callers send requests at random times, while exchanges succeed, are rejected, fail or take long, APIs respond with 401, requests are
 * interrupted, subjects are forgotten, and most callers do not fit. The API compares the token with the caller of each request.
 */
const simulate = Effect.fnUntraced(function*({ callers, capacity, seed }: Run) {
  const random = randomOf(seed)
  const pick = <A>(list: ReadonlyArray<A>): A => list[Math.floor(random() * list.length)]!
  const pause = Effect.suspend(() => {
    const millis = random() < 0.3 ? 0 : Math.floor(random() * 3_000)
    return millis === 0 ? Effect.yieldNow : Effect.sleep(millis)
  })
  const seen = { right: 0, wrong: [] as Array<string>, failed: 0 }
  const exchange = makeExchange((token, grant, number) =>
    Effect.andThen(
      pause,
      Effect.suspend(() => {
        const chance = random()
        if (chance < 0.15) return rejecting(token, grant, number)
        if (chance < 0.25) return down(token, grant, number)
        return Effect.succeed({
          accessToken: Redacted.make(issuedFor(token, number, grant)),
          expiresIn: Duration.seconds(pick([1, 30, 60, 600]))
        })
      })
    )
  )
  const server = HttpClient.make((request) =>
    Effect.andThen(
      pause,
      Effect.sync(() => {
        const { authorization = "", expected = "", scope = "" } = request.headers
        const rest = authorization.replace(`Bearer for(${expected}).n(`, "")
        const isRight = rest !== authorization && rest.replace(/^\d+\)/, "") === scope
        if (isRight) seen.right++
        else seen.wrong.push(`${expected} sent ${authorization}`)
        return HttpClientResponse.fromWeb(request, new Response(null, { status: random() < 0.1 ? 401 : 200 }))
      })
    )
  )
  const guard = yield* Effect.provideService(
    CallerGuard.make({ name: "api", origins: [api], source: exchange.source, capacity }),
    HttpClient.HttpClient,
    server
  )
  const callerFiber = (index: number) =>
    Effect.gen(function*() {
      const token = `t${index}`
      // One person with four tokens, and persons of two issuers with one name.
      const name = `s${Math.floor(index / 8)}`
      const caller = callerOf(name, pick([5, 60, 86_400]), `https://idp-${Math.floor(index / 4) % 2}.example`)
      for (let i = 0; i < 4; i++) {
        yield* pause
        const scope = pick(scopes)
        const client = guard.onBehalfOf(Redacted.make(token), caller, { scope })
        const request = HttpClientRequest.get("/").pipe(
          HttpClientRequest.setHeader("expected", token),
          HttpClientRequest.setHeader("scope", scope === undefined ? "" : `.scope(${scope.replace(" ", "+")})`)
        )
        const exit = yield* Effect.exit(client.execute(request))
        if (exit._tag === "Failure") seen.failed++
        if (random() < 0.05) yield* guard.forget(caller.registered.iss, caller.registered.sub)
      }
    })
  const fibers = yield* Effect.forEach(
    Array.from({ length: callers }, (_, index) => index),
    (index) => Effect.forkChild(callerFiber(index))
  )
  const interrupting = yield* Effect.forkChild(Effect.forEach(
    fibers.filter(() => random() < 0.2),
    (fiber) => Effect.andThen(Effect.sleep(Math.floor(random() * 50)), Fiber.interrupt(fiber)),
    { discard: true }
  ))
  for (let i = 0; i < 60; i++) yield* TestClock.adjust("1 second")
  yield* Fiber.awaitAll([...fibers, interrupting])
  return { seen, status: yield* guard.status, asked: exchange.asked.length }
})

const anyRun = (callers: number, capacity: number): fc.Arbitrary<Run> =>
  fc.record({ seed: fc.integer(), callers: fc.constant(callers), capacity: fc.constant(capacity) })

describe("Law: tokens of two callers never meet", () => {
  it("[K-38] of 1,000 callers that interleave, none gets the token of another", (context) =>
    forAllEffect(context, 1, anyRun(1_000, 200), (run) =>
      Effect.gen(function*() {
        const { asked, seen, status } = yield* simulate(run)
        assert.deepStrictEqual(seen.wrong, [])
        // The run exercised what it is about.
        assert.isAbove(seen.right, 1_000)
        assert.isAbove(seen.failed, 100)
        assert.isAbove(status.evictions, 100)
        assert.isAtMost(status.callers, 200)
        assert.isAbove(asked, 1_000)
      }).pipe(quiet)))

  it("[K-38] nor of a few callers that compete for fewer places", (context) =>
    forAllEffect(context, 100, anyRun(12, 3), (run) =>
      Effect.gen(function*() {
        const { seen, status } = yield* simulate(run)
        assert.deepStrictEqual(seen.wrong, [])
        assert.isAtMost(status.callers, 3)
      }).pipe(quiet)))
})

describe("The key of a caller's token", () => {
  const part = fc.oneof(
    fc.constantFrom("", "a", "b", "a b", "\"", "\",\"", "\\", "null", "[", "]", ",", "\u0000", "\ud800", "\\ud800"),
    fc.string({ unit: "binary", maxLength: 4 })
  )
  const optional = fc.option(part, { nil: undefined })
  const tuple = fc.tuple(part, optional, part, optional, optional)

  const keyOf = ([issuer, subject, hash, audience, scope]: typeof tuple extends fc.Arbitrary<infer A> ? A : never) =>
    writeKey({ issuer, subject, grant: { audience, scope } }, hash)

  it("[K-38] is the same without a synchronous hash, as in browsers", (context) =>
    forAllEffect(context, 100, tuple, ([issuer, subject, token, audience, scope]) =>
      Effect.gen(function*() {
        const caller = { issuer, subject, expiresAt: 1, grant: { audience, scope }, token: Redacted.make(token) }
        assert.strictEqual(yield* keyOfCaller(caller, undefined), yield* keyOfCaller(caller))
      })))

  it("[K-38] differs for any two different callers, tokens, audiences or scopes", (context) =>
    forAll(context, 5_000, fc.tuple(tuple, tuple), ([a, b]) => {
      const isEqual = a.every((value, index) => value === b[index])
      assert.strictEqual(keyOf(a) === keyOf(b), isEqual)
      // One part moved to the next place is another caller.
      const [issuer, subject, hash, audience, scope] = a
      if (audience !== scope) assert.notStrictEqual(keyOf(a), keyOf([issuer, subject, hash, scope, audience]))
    }))
})
