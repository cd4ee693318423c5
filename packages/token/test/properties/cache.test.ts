import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import type { TokenError, TokenValidator } from "../../src/index.ts"
import {
  type Issuer,
  makeIssuer,
  makeList,
  maxAge,
  start,
  type Step,
  steps,
  textOf,
  type Token,
  token,
  tolerance,
  validatorIn
} from "./simulatedIssuer.ts"

type Validator = TokenValidator.TokenValidator<{ readonly jti: string }>
type How = Extract<Step, { readonly is: "validate" }>["how"]

const options: Readonly<Record<Exclude<How, "plain">, TokenValidator.ValidateOptions>> = {
  audience: { audience: "api" },
  claim: { requiredClaims: ["nbf"] },
  skipExpiry: { skipExpiry: true }
}

/** The outcome of a validation: the claims, or the reason. */
const verdict = (tokens: Validator, text: string, how: How): Effect.Effect<unknown> =>
  Effect.map(
    Effect.exit(how === "plain" ? tokens.validate(text) : tokens.validateWith(text, options[how])),
    (exit): unknown => Exit.isSuccess(exit) ? exit.value.claims : errorOf<TokenError.TokenError>(exit).reason
  )

/** Whether a token may be accepted, computed independently of the validator. */
const isGood = (
  { aud, exp, hasSub, iat, jti, kid, material, nbf }: Token,
  how: How,
  { issuer, list, now }: {
    readonly issuer: Issuer
    readonly list: ReturnType<typeof makeList>["state"]
    readonly now: number
  }
): boolean => {
  const at = now - start
  const isSigned = issuer.materials(kid)?.includes(material) === true
  const isTimely = (how === "skipExpiry" || at < exp + tolerance) && (nbf ?? at) <= at + tolerance &&
    iat !== undefined &&
    iat <= at + tolerance && at < iat + maxAge + tolerance
  const isAllowed = !list.isDown && !list.revoked.has(jti)
  return isSigned && isTimely && isAllowed && aud === "api" && hasSub && (how !== "claim" || nbf !== undefined)
}

describe("A cache of verified tokens", () => {
  it("[T3] [K-05] [R6] [K-04] [R23] has at every step the outcome of a validator without a cache, whatever time, keys and revocations do", async (context) => {
    const checks = { on: 0, off: 0 }
    const counts = { accepted: 0, rejected: 0 }
    const cases = fc.record({ tokens: fc.array(token, { minLength: 3, maxLength: 6, size: "max" }), steps })
    await forAllEffect(context, 500, cases, ({ steps, tokens }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(start * 1000)
        const { clock, skew } = yield* skewedClock
        const issuer = makeIssuer(clock)
        issuer.publish([["a", "a1"], ["b", "b1"]], 1e9)
        const list = makeList()
        const on = yield* validatorIn(issuer, list.service, 100, () => checks.on++)
        const off = yield* validatorIn(issuer, list.service, 0, () => checks.off++)
        const compare = ({ how, index }: Extract<Step, { readonly is: "validate" }>) =>
          Effect.gen(function*() {
            const one = tokens[index % tokens.length]
            if (one === undefined) return
            const said = yield* verdict(on, textOf(one), how)
            const now = clock.currentTimeMillisUnsafe() / 1000
            const good = isGood(one, how, { issuer, list: list.state, now })
            assert.deepStrictEqual(said, yield* verdict(off, textOf(one), how))
            assert.strictEqual(typeof said === "object" && said !== null && "jti" in said, good, JSON.stringify(said))
            if (good) counts.accepted++
            else counts.rejected++
          })
        const run = (step: Step): Effect.Effect<void> => {
          switch (step.is) {
            case "validate":
              return compare(step)
            case "pass":
              return TestClock.adjust(step.seconds * 1000)
            case "wall":
              return Effect.sync(() => void (skew.millis = step.seconds === 0 ? 0 : skew.millis + step.seconds * 1000))
            case "publish":
              return Effect.sync(() => issuer.publish(step.keys, step.lasts))
            case "withdraw":
              return Effect.sync(() => issuer.withdraw())
            case "invalidate":
              return on.invalidate
            case "revoke":
              return Effect.sync(() =>
                void (step.isRevoked ? list.state.revoked.add(step.jti) : list.state.revoked.delete(step.jti))
              )
            case "store":
              return Effect.sync(() => void (list.state.isDown = step.isDown))
          }
        }
        yield* Effect.provideService(Effect.forEach(steps, run, { discard: true }), Clock.Clock, clock).pipe(quiet)
      }))
    console.log(
      `${counts.accepted} accepted, ${counts.rejected} rejected; ${checks.on} signature checks with a cache, ${checks.off} without`
    )
    assert.isAbove(counts.accepted, 500)
    assert.isBelow(checks.on, checks.off * 0.9)
  })
})
