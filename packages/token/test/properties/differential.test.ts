import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { forAllEffect } from "@keelson/testing/properties"
import { audience, issuer } from "@keelson/testing/tokens"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { type JWTHeaderParameters, jwtVerify } from "jose"
import type { TokenError } from "../../src/index.ts"
import { Hostile, type Input, now, secret, trusted } from "./hostile.ts"
import { hostileValidator } from "./oracle.ts"

const [{ kid: hmac }, { kid: eddsa, publicKey }] = trusted

/** Finds a header's key by algorithm and kid, or by algorithm alone. */
const keyOf = ({ alg, kid }: JWTHeaderParameters) => {
  if (alg === "HS256" && (kid === undefined || kid === hmac)) return Buffer.from(secret)
  if (alg === "EdDSA" && (kid === undefined || kid === eddsa) && publicKey !== undefined) return publicKey
  throw new Error("no key")
}

/** Whether jose accepts a token with the same requirements. */
const isAcceptedByJose = ({ token }: Input): Effect.Effect<boolean> =>
  Effect.isSuccess(Effect.tryPromise(() =>
    jwtVerify(token, keyOf, {
      issuer,
      audience,
      algorithms: ["HS256", "EdDSA"],
      typ: "at+jwt",
      clockTolerance: 30,
      requiredClaims: ["sub", "client_id", "iat", "jti", "exp"],
      currentDate: new Date(now * 1000)
    })
  ))

/**
 * Tokens that jose accepts and Keelson rejects:
 *
 * - segments that are not canonical base64url (R1), and texts with a lone surrogate;
 * - duplicate members, of which jose uses the last; more members, levels or audiences than allowed (R2);
 * - `1e999` and other numbers that overflow to infinity;
 * - `b64` that is not listed in `crit`; a kid that is not a string;
 * - claims of another shape than in RFC 7519 or RFC 9068, such as a `sub` that is a number, or an `exp` in milliseconds;
 * - an `iat` in the future, if no maximum age is set.
 */
const leniencies: ReadonlySet<string> = new Set([
  "header critical",
  "header duplicate",
  "header encoding",
  "header member",
  "header number",
  "payload depth",
  "payload duplicate",
  "payload encoding",
  "payload number",
  "signature encoding",
  "ClaimInvalid",
  "ClaimMissing",
  "TokenNotYetValid iat"
])

const nameOf = (reason: TokenError.Reason): string => {
  if (reason._tag === "TokenMalformed") return `${reason.part} ${reason.problem}`
  return reason._tag === "TokenNotYetValid" ? `${reason._tag} ${reason.claim}` : reason._tag
}

describe("Differential", () => {
  it("[T1] [K-08] never accepts a token that jose rejects, and rejects more only for the listed reasons", async (context) => {
    const counts = { both: 0, neither: 0, jose: 0 }
    const seen = new Set<string>()
    await forAllEffect(context, 100, fc.integer(), (seed) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const tokens = yield* hostileValidator()
        const hostile = new Hostile(seed)
        for (let count = 0; count < 100; count++) {
          const input = hostile.next()
          const exit = yield* Effect.exit(tokens.validate(input.token))
          const isAccepted = yield* isAcceptedByJose(input)
          if (Exit.isSuccess(exit)) {
            assert.isTrue(isAccepted, input.token)
            counts.both++
          } else if (isAccepted) {
            const name = nameOf(errorOf(exit).reason)
            assert.isTrue(leniencies.has(name), `${name}: ${input.token}`)
            seen.add(name)
            counts.jose++
          } else counts.neither++
        }
      }))
    console.log(
      `Both accepted ${counts.both}, neither ${counts.neither}, jose alone ${counts.jose}: ${
        [...seen].sort().join(", ")
      }`
    )
    assert.isAbove(counts.both, 200)
    assert.isAbove(counts.jose, 100)
  })
})
