import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Context, Effect, Exit, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { BackChannelLogout, Claims, Revocation, TokenValidator, ValidationPolicy } from "../../src/index.ts"
import { TestIssuer } from "../../src/testing/index.ts"

class Tokens extends TokenValidator.Service<Tokens>()("test/LogoutModel", {
  claims: Claims.AccessToken,
  revocation: Revocation.Revocation
}) {}

const policy = ValidationPolicy.accessToken({
  issuers: ["https://idp.example"],
  audiences: ["web"],
  algorithms: ["EdDSA"]
})

const { algorithms, audiences, issuers } = policy

/** Deliveries of a few logout tokens to two processes; some calls to the list fail, and some deliveries are interrupted. */
const step = fc.record({
  token: fc.integer({ min: 0, max: 4 }),
  process: fc.integer({ min: 0, max: 1 }),
  times: fc.integer({ min: 1, max: 3 }),
  /** Which call to the list fails: none from 3 on. */
  failsAt: fc.integer({ min: 0, max: 9 }),
  isInterrupted: fc.boolean()
})

const sessionOf = (token: number): string => `session-${token % 3}`

describe("Back-channel logout as a model", () => {
  it("[K-40] [R10] each logout token is accepted at most once, an accepted one has ended its session, and a failed one can be sent again", (context) =>
    forAllEffect(context, 100, fc.array(step, { maxLength: 12 }), (steps) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2026, 10, 30))
        const memory = Context.get(yield* Layer.build(Revocation.layerMemory()), Revocation.Revocation)
        const fault = { calls: 0, failsAt: 9 }
        const failing = <A>(effect: Effect.Effect<A, Revocation.RevocationUnavailable>) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.suspend(() =>
              fault.calls++ === fault.failsAt
                ? Effect.fail(new Revocation.RevocationUnavailable({ reason: "store" }))
                : effect
            )
          )
        const list = Layer.succeed(Revocation.Revocation, {
          isRevoked: (token) => failing(memory.isRevoked(token)),
          revoke: (subject, until) => failing(memory.revoke(subject, until))
        })
        const services = yield* Layer.build(Layer.merge(TestIssuer.layer({ policy }), list))
        const makeProcess = Effect.provide(
          BackChannelLogout.make({ issuers, audiences, algorithms, tokenLifetime: "1 hour" }),
          services
        )
        const processes = [yield* makeProcess, yield* makeProcess]
        const { logoutToken, token } = Context.get(services, TestIssuer.TestIssuer)
        const validator = Context.get(
          yield* Layer.build(
            Layer.provide(Tokens.layer(policy), [
              Layer.succeedContext(services),
              Layer.succeed(Revocation.Revocation, memory)
            ])
          ),
          Tokens
        )
        const logoutTokens = yield* Effect.forEach([0, 1, 2, 3, 4], (index) => logoutToken({ sid: sessionOf(index) }))
        const accessTokens = yield* Effect.forEach([0, 1, 2], (index) => token({ sid: sessionOf(index) }))
        const accepted = new Set<number>()

        for (const { failsAt, isInterrupted, process, times, token } of steps) {
          fault.calls = 0
          fault.failsAt = failsAt
          const deliver = processes[process]?.logout(logoutTokens[token] ?? "") ?? Effect.die("no process")
          const deliveries = Array.from({ length: times }, () => Effect.exit(deliver))
          const exits = isInterrupted
            ? yield* Effect.map(
              Effect.race(Effect.all(deliveries, { concurrency: 3 }), Effect.as(Effect.yieldNow, [])),
              (all) => all
            )
            : yield* Effect.all(deliveries, { concurrency: 3 })
          const successes = exits.filter(Exit.isSuccess).length
          assert.isAtMost(successes, accepted.has(token) ? 0 : 1)
          if (successes > 0) accepted.add(token)
          // Whatever is accepted has taken effect at once.
          for (const [session, text] of accessTokens.entries()) {
            const isEnded = [...accepted].some((one) => one % 3 === session)
            if (isEnded) assert.isTrue(Exit.isFailure(yield* Effect.exit(validator.validate(text))))
          }
        }

        // Once the list works, everything that was not accepted can be sent again, or was stored completely.
        fault.failsAt = 9
        fault.calls = 10
        for (const [index, text] of logoutTokens.entries()) {
          const exit = yield* Effect.exit(processes[0]?.logout(text) ?? Effect.die("no process"))
          if (accepted.has(index)) assert.isTrue(Exit.isFailure(exit))
        }
        for (const text of accessTokens) assert.isTrue(Exit.isFailure(yield* Effect.exit(validator.validate(text))))
      }).pipe(Effect.provide(Logger.layer([])))))
})
