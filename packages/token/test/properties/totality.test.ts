import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { forAllEffect } from "@keelson/testing/properties"
import { Cause, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { SignatureVerifier, type VerifySignature } from "../../src/internal/validation/signature.ts"
import { Hostile, type Input, now } from "./hostile.ts"
import { hostileValidator, objections } from "./oracle.ts"

/** Counts the checked signatures, and the valid ones. */
const counting =
  (counts: { reached: number; verified: number }, verify: VerifySignature): VerifySignature => async (...args) => {
    counts.reached++
    const isGood = await verify(...args)
    if (isGood) counts.verified++
    return isGood
  }

/** The problems with an input's outcome. */
const problemOf = (
  { isSigned, token }: Input,
  exit: Exit.Exit<unknown, { readonly _tag: string }>
): ReadonlyArray<string> => {
  if (Exit.isSuccess(exit)) return objections({ isSigned, token }).map((objection) => `${objection}: ${token}`)
  return Cause.hasDies(exit.cause) || Cause.hasInterrupts(exit.cause) ? [`a defect: ${token}`] : []
}

/** Every reason that depends on the token alone. */
const expected = [
  "AlgorithmUnsupported",
  "AudienceMismatch",
  "ClaimInvalid",
  "ClaimMissing",
  "IssuerUntrusted",
  "KeyNotFound",
  "SignatureInvalid",
  "TokenExpired",
  "TokenMalformed",
  "TokenNotYetValid",
  "TypeMismatch"
]

const perCase = 1000

describe("Totality", () => {
  it("[T1] [K-08] [S4-36] validate returns or fails for each of 100,000 hostile inputs, and accepts none that the oracle rejects", async (context) => {
    const counts = { inputs: 0, reached: 0, verified: 0, accepted: 0 }
    const reasons = new Set<string>()
    await forAllEffect(context, 100, fc.integer(), (seed) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const verify = counting(counts, yield* SignatureVerifier)
        const tokens = yield* Effect.provideService(hostileValidator(), SignatureVerifier, verify)
        const hostile = new Hostile(seed)
        const inputs = Array.from({ length: perCase }, () => hostile.next())
        const exits = yield* Effect.forEach(inputs, ({ token }) => Effect.exit(tokens.validate(token)), {
          concurrency: 64
        })
        counts.inputs += inputs.length
        counts.accepted += exits.filter(Exit.isSuccess).length
        for (const exit of exits) if (Exit.isFailure(exit)) reasons.add(errorOf(exit).reason._tag)
        assert.deepStrictEqual(inputs.flatMap((input, at) => problemOf(input, exits[at] ?? Exit.die("none"))), [])
      }))
    const { accepted, inputs, reached, verified } = counts
    console.log(
      `${inputs} hostile inputs: ${reached} reached the signature, ${verified} the claims, ${accepted} were accepted`
    )
    assert.deepStrictEqual([...reasons].sort(), expected)
    assert.isAtLeast(inputs, 100_000)
    assert.isAtLeast(reached, inputs / 2)
    assert.isAtLeast(verified, inputs / 10)
  })
})
