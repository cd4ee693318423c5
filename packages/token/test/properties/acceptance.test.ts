import { assert, describe, it } from "@effect/vitest"
import { Algorithm } from "@keelson/jwks"
import { forAllEffect } from "@keelson/testing/properties"
import { Clock, Duration, Effect, Exit, Schema } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { TokenValidator, ValidationPolicy } from "../../src/index.ts"
import { randomOf } from "./hostile.ts"
import { signedBy, sourceOf } from "./pairs.ts"

/** Any text that is Unicode. */
const text = fc.string({ unit: "binary", minLength: 1, maxLength: 30 })
const texts = fc.uniqueArray(text, { minLength: 1, maxLength: 5 })
const algorithm = fc.constantFrom(...Algorithm.algorithms)

const registered = new Set([
  "iss",
  "sub",
  "aud",
  "exp",
  "nbf",
  "iat",
  "jti",
  "sid",
  "client_id",
  "scope",
  "scp",
  "azp",
  "nonce"
])
/** Claims of one's own: any JSON, of any names but those that mean something. */
const others = fc.dictionary(
  text.filter((name) => !registered.has(name) && name !== "__proto__"),
  fc.jsonValue({ maxDepth: 4 }),
  {
    maxKeys: 6
  }
)

/** Seconds from now, within what the tolerance of a policy leaves. */
const good = fc.record({
  alg: algorithm,
  profile: fc.constantFrom("jwt", "accessToken", "idToken"),
  issuers: texts,
  audiences: texts,
  more: texts,
  isList: fc.boolean(),
  hasKid: fc.boolean(),
  tolerance: fc.integer({ min: 0, max: 300 }),
  expires: fc.integer({ min: 1, max: 1e9 }),
  begins: fc.option(fc.nat(1e6), { nil: undefined }),
  issued: fc.nat(1e6),
  maxAge: fc.option(fc.integer({ min: 1_000_001, max: 31_536_000 }), { nil: undefined }),
  claims: others
})
type Good = typeof good extends fc.Arbitrary<infer A> ? A : never

const typeOf = { accessToken: "at+jwt", idToken: "JWT", jwt: "JWT" } as const

/** The claims of a good token: at the edge of what is allowed where the numbers are small. */
const claimsOf = (
  { audiences, begins, claims, expires, isList, issued, issuers, more, profile, tolerance }: Good,
  now: number
) => ({
  ...claims,
  iss: issuers.at(-1) ?? "",
  aud: isList && profile !== "idToken" ? [...more, ...audiences.slice(0, 1)] : audiences[0] ?? "",
  exp: now - tolerance + expires,
  iat: now + tolerance - issued,
  ...(begins === undefined ? undefined : { nbf: now + tolerance - begins }),
  sub: "subject",
  jti: "token",
  client_id: "client"
})

const policyOf = ({ alg, audiences, issuers, maxAge, profile, tolerance }: Good): ValidationPolicy.Options => ({
  profile,
  issuers,
  audiences,
  algorithms: [alg],
  nonce: "optional",
  clockTolerance: Duration.seconds(tolerance),
  maxAge: maxAge === undefined ? undefined : Duration.seconds(maxAge)
})

const Anything = Schema.Record(Schema.String, Schema.Unknown)

describe("Good tokens", () => {
  it("[S0-22] [K-08] one with good claims that a trusted key signed passes, whatever else is in it, with all that is in it", (context) =>
    forAllEffect(context, 300, good, (one) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_800_000_000_000)
        const now = (yield* Clock.currentTimeMillis) / 1000
        const claims = claimsOf(one, now)
        const header = { typ: typeOf[one.profile], ...(one.hasKid ? { kid: "key" } : undefined) }
        const token = yield* signedBy(one.alg, claims, header)
        const make = TokenValidator.make("test", { claims: Anything, policy: policyOf(one) })
        const tokens = yield* Effect.provide(make, yield* sourceOf(one.alg, one.issuers))
        const validated = yield* tokens.validate(token)
        assert.deepStrictEqual(validated.claims, JSON.parse(JSON.stringify(claims)))
        assert.strictEqual(yield* tokens.validate(token), validated)
      })))

  const edited = fc.record({ alg: algorithm, seed: fc.integer() })
  const characters = Array.from(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= \n+/\u0000\u00E9\uFF21"
  )

  /** At every place of a token one edit of one character. */
  const edits = (token: string, seed: number): ReadonlyArray<string> => {
    const random = randomOf(seed)
    return Array.from(token, (char, at) => {
      const others = characters.filter((other) => other !== char)
      const put = others[Math.floor(random() * others.length)] ?? ""
      const kind = random()
      if (kind < 0.8) return `${token.slice(0, at)}${put}${token.slice(at + 1)}`
      return kind < 0.9
        ? `${token.slice(0, at)}${token.slice(at + 1)}`
        : `${token.slice(0, at)}${put}${token.slice(at)}`
    }).filter((other) => other !== token)
  }

  it("[S4-36] [R1] [T1] a token with any one character changed, inserted or removed is rejected", (context) =>
    forAllEffect(context, 100, edited, ({ alg, seed }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_800_000_000_000)
        const claims = { iss: "i", aud: "a", exp: 1_800_000_600, sub: String(seed) }
        const token = yield* signedBy(alg, claims, { typ: "JWT", kid: "key" })
        const policy = ValidationPolicy.jwt({ issuers: ["i"], audiences: ["a"], algorithms: [alg] })
        const make = TokenValidator.make("test", { claims: Anything, policy })
        const tokens = yield* Effect.provide(make, yield* sourceOf(alg, ["i"]))
        yield* tokens.validate(token)
        const exits = yield* Effect.forEach(
          edits(token, seed),
          (other) => Effect.map(Effect.exit(tokens.validate(other)), (exit) => [other, exit] as const),
          { concurrency: 32 }
        )
        assert.deepStrictEqual(exits.filter(([, exit]) => Exit.isSuccess(exit) || Exit.hasDies(exit)), [])
      })))
})
