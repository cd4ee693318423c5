import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { audience, issuer, keysOf, type Pair, pairOf, RevocableTokens } from "@keelson/testing/tokens"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { CompactSign } from "jose"
import * as Explain from "../../src/Explain.ts"
import { Claims, Revocation, TokenValidator, ValidationPolicy } from "../../src/index.ts"
import { inMillis } from "../RevocationSuite.ts"

class Logins extends TokenValidator.Service<Logins>()("test/AnyLogins", { claims: Claims.IdToken }) {}

const now = 1_800_000_000
const algorithms = ["ES256"] as const
const common = { issuers: [issuer, "https://other.example"], audiences: [audience, "web"], algorithms } as const
const access = ValidationPolicy.accessToken({ ...common, maxAge: "1 hour", requiredClaims: ["tenant"] })
const login = ValidationPolicy.idToken({ ...common, nonce: "optional" })

const dates = fc.oneof(
  fc.constantFrom(now - 3_631, now - 3_630, now - 31, now - 30, now, now + 30, now + 31, now + 3_600),
  fc.constantFrom<unknown>(-1, 1.5, "1", null, 1e300, [], now * 1000)
)

/** A claim's value, mostly a valid one. */
const claim = (good: unknown, ...others: ReadonlyArray<unknown>) =>
  fc.oneof({ weight: 25, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
const date = (good: number | undefined) =>
  fc.oneof({ weight: 15, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: dates })

const claims = fc.record({
  iss: claim(issuer, "https://other.example", "https://third.example", 1, undefined),
  aud: claim(audience, "web", ["x", "web"], ["x"], [], 1, undefined),
  sub: fc.oneof({ weight: 5, arbitrary: claim("user-1", "", 1, undefined) }, {
    weight: 1,
    arbitrary: fc.constant("gone")
  }),
  client_id: claim("client-1", 1, undefined),
  jti: claim("token-1", "revoked", 1, undefined),
  sid: claim(undefined, "ended", "session-1", {}),
  tenant: claim("t", null, undefined),
  nonce: claim("n", "m", 1, undefined),
  azp: claim(undefined, "web", "x", 1),
  at_hash: claim(undefined, "x", "ungWv48Bz-pBQUDeXa4iIw", 1),
  c_hash: claim(undefined, "x", "ungWv48Bz-pBQUDeXa4iIw", null, 1),
  iat: date(now),
  exp: date(now + 600),
  nbf: date(undefined)
})

const header = fc.record({
  typ: claim("at+jwt", "JWT", "application/at+jwt", undefined),
  kid: claim("ES256-1", "ES256-2", undefined),
  b64: claim(undefined, true)
})

const options: fc.Arbitrary<TokenValidator.ValidateOptions> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  {
    weight: 2,
    arbitrary: fc.record({
      audience: fc.constantFrom(audience, "web", "x"),
      issuer: fc.constantFrom(issuer, "https://other.example"),
      requiredClaims: fc.constantFrom([], ["sub"], ["missing"]),
      nonce: fc.constantFrom("n", "m"),
      accessToken: fc.constantFrom("abc"),
      code: fc.constantFrom("abc"),
      skipExpiry: fc.boolean()
    }, { requiredKeys: [] })
  }
)

/** Occasionally changes the text of a token. */
const change = fc.oneof(
  { weight: 4, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      by: fc.constantFrom("", "A", "_", ".", "=", " ", "\u00e4"),
      length: fc.constantFrom(0, 1, 1, 1, 1_000)
    })
  }
)

type Change = typeof change extends fc.Arbitrary<infer A> ? A : never

const changed = (token: string, change: Change): string => {
  if (change === null) return token
  const at = Math.floor(change.at * token.length)
  return token.slice(0, at) + change.by + token.slice(at + change.length)
}

const scene = Effect.fnUntraced(function*() {
  const pairs = [yield* pairOf("ES256"), yield* pairOf("ES256", "ES256-2")] as const
  const keys = keysOf([pairs[0]], common.issuers)
  const validators = Layer.mergeAll(RevocableTokens.layer(access), Logins.layer(login))
  const context = yield* Layer.build(Layer.provideMerge(validators, Layer.merge(keys, Revocation.layerMemory())))
  const list = Context.get(context, Revocation.Revocation)
  const until = yield* inMillis(3_600_000)
  yield* list.revoke({ issuer, sub: "gone" }, until)
  yield* list.revoke({ issuer, jti: "revoked" }, until)
  yield* list.revoke({ issuer, sid: "ended" }, until)
  return { context, pairs }
})

/** Signs any claims. Returns arbitrary text if they cannot be signed. */
const signAny = (pair: Pair, claims: object, header: object): Effect.Effect<string> =>
  Effect.promise(() =>
    new CompactSign(new TextEncoder().encode(JSON.stringify(claims))).setProtectedHeader({ ...header, alg: pair.alg })
      .sign(pair.privateKey)
  )

/** Explains and validates a token. */
const both = <Self, C>(
  tag: Context.Key<Self, TokenValidator.TokenValidator<C>>,
  token: string,
  options: TokenValidator.ValidateOptions
) =>
  Effect.all([
    Explain.explain(tag, token, options),
    Effect.flatMap(tag, ({ validate, validateWith }) =>
      Effect.match(Object.keys(options).length === 0 ? validate(token) : validateWith(token, options), {
        onSuccess: () =>
          undefined,
        onFailure: ({ reason }) => reason
      }))
  ])

/** The number of cases by outcome. */
const seen = new Map<string, number>()

type Case = readonly [
  claims: object,
  header: Readonly<Record<string, unknown>>,
  options: TokenValidator.ValidateOptions,
  change: Change,
  isLogin: boolean,
  isForged: boolean
]

const compare = Effect.fnUntraced(function*([claims, header, options, change, isLogin, isForged]: Case) {
  yield* TestClock.setTime(now * 1000)
  const { context, pairs } = yield* scene()
  const typ = isLogin && header["typ"] === "at+jwt" ? "JWT" : header["typ"]
  const token = changed(yield* signAny(pairs[isForged ? 1 : 0], claims, { ...header, typ }), change)
  const [explanation, reason] = isLogin
    ? yield* Effect.provideContext(both(Logins, token, options), context)
    : yield* Effect.provideContext(both(RevocableTokens, token, options), context)
  const kind = reason?._tag ?? "accepted"
  seen.set(kind, (seen.get(kind) ?? 0) + 1)
  assert.strictEqual(explanation.accepted, reason === undefined)
  assert.deepStrictEqual(explanation.reason, reason)
  assert.include(Explain.render(explanation), explanation.accepted ? "accepted" : "rejected")
})

describe("Explain", () => {
  it("[R8] accepts exactly the tokens that validate accepts, and gives the same reason, for any token and call", async (context) => {
    const forged = fc.constantFrom(false, false, false, false, false, false, true)
    await forAllEffect(context, 600, fc.tuple(claims, header, options, change, fc.boolean(), forged), compare)
    assert.isAbove(seen.get("accepted") ?? 0, 100)
    for (const kind of ["TokenRevoked", "SignatureInvalid", "ClaimRejected", "TokenMalformed"]) {
      assert.isAbove(seen.get(kind) ?? 0, 5, kind)
    }
    assert.isAbove(seen.size, 9)
  })
})
