import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { JwksError, KeySource } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { recording, spanText } from "@keelson/testing/observe"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { audience, issuer, validatorOf } from "@keelson/testing/tokens"
import { Duration, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { ValidationPolicy } from "../../src/index.ts"
import { SignatureVerifier } from "../../src/internal/validation/signature.ts"
import { shownBy, shows } from "../corpus/run.ts"
import { Hostile, now, trusted } from "./hostile.ts"
import { hostileValidator } from "./oracle.ts"

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const [key] = trusted
const goodHeader = { alg: key.alg, kid: key.kid, typ: "at+jwt" }
const goodClaims = { iss: issuer, aud: audience, exp: now + 600, iat: now, sub: "s", client_id: "c", jti: "j" }
const signed = (header: object, claims: object): string => {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${key.sign(text)}`
}

const policy = ValidationPolicy.accessToken({
  issuers: [issuer],
  audiences: [audience],
  algorithms: ["HS256", "EdDSA"]
})

/** The faults that T1 names, one at a time. */
const faults: Readonly<Record<string, (token: string) => string>> = {
  signature: (token) => `${token.slice(0, -43)}${"A".repeat(43)}`,
  issuer: () => signed(goodHeader, { ...goodClaims, iss: `${issuer}/` }),
  audience: () => signed(goodHeader, { ...goodClaims, aud: [`${audience}/`] }),
  algorithm: () => signed({ ...goodHeader, alg: "HS512" }, goodClaims),
  expiry: () => signed(goodHeader, { ...goodClaims, exp: now - 301 }),
  "no expiry": () => signed(goodHeader, { ...goodClaims, exp: undefined }),
  "no issuer": () => signed(goodHeader, { ...goodClaims, iss: undefined }),
  "no audience": () => signed(goodHeader, { ...goodClaims, aud: undefined })
}

/** Any valid options of a policy. */
const options = fc.record({
  profile: fc.constantFrom("accessToken" as const, "jwt" as const),
  requireType: fc.boolean(),
  clockTolerance: fc.integer({ min: 0, max: 300_000 }).map(Duration.millis),
  maxAge: fc.integer({ min: 1, max: 31_536_000 }).map(Duration.seconds),
  nonce: fc.constantFrom("optional" as const, "required" as const),
  maxLength: fc.integer({ min: 1024, max: 65_536 }),
  maxDepth: fc.integer({ min: 1, max: 32 }),
  maxMembers: fc.integer({ min: 8, max: 4096 }),
  maxAudiences: fc.integer({ min: 1, max: 1024 }),
  cacheEntries: fc.constantFrom(0, 1, 100),
  cacheBytes: fc.integer({ min: 65_536, max: 1_000_000 })
}, { requiredKeys: [] })

const callOptions = fc.record({
  audience: fc.constant(audience),
  issuer: fc.constant(issuer),
  requiredClaims: fc.constantFrom([], ["sub"], ["exp", "iss"])
}, { requiredKeys: [] })

describe("Laws of validation", () => {
  it("[T1] [K-08] no options of a policy or call accept a token with a fault in signature, issuer, audience, algorithm or expiry", (context) =>
    forAllEffect(context, 200, fc.tuple(options, callOptions), ([more, call]) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const required = { issuers: [issuer], audiences: [audience], algorithms: ["HS256" as const], types: ["at+jwt"] }
        const tokens = yield* hostileValidator({ ...required, ...more })
        const good = signed(goodHeader, goodClaims)
        yield* tokens.validateWith(good, call)
        for (const [name, make] of Object.entries(faults)) {
          for (const validate of [tokens.validate, (token: string) => tokens.validateWith(token, call)]) {
            assert.strictEqual((yield* Effect.exit(validate(make(good))))._tag, "Failure", name)
          }
        }
        yield* tokens.validate(good)
      })))

  it("[T1] [K-08] a policy with missing or empty issuers, audiences or algorithms is invalid", (context) =>
    forAll(
      context,
      200,
      fc.tuple(
        options,
        fc.constantFrom("issuers", "audiences", "algorithms"),
        fc.constantFrom(undefined, [], null, "", "*")
      ),
      ([more, name, value]) => {
        const given = { issuers: [issuer], audiences: [audience], algorithms: ["RS256"], ...more, [name]: value }
        assert.strictEqual(
          Exit.isFailure(Effect.runSyncExit(Configuration.decode(ValidationPolicy.ValidationPolicy)(given))),
          true
        )
      }
    ))

  it("[T2] only alg and kid of a header select keys; other members do not change the outcome", (context) => {
    const known = new Set(["alg", "kid", "typ", "crit", "b64"])
    const name = fc.oneof(
      fc.constantFrom(
        "jku",
        "x5u",
        "jwk",
        "x5c",
        "x5t",
        "x5t#S256",
        "cty",
        "iss",
        "aud",
        "zip",
        "enc",
        "url",
        "nonce",
        "epk"
      ),
      fc.string({ maxLength: 8 }).filter((name) => !known.has(name) && name !== "__proto__")
    )
    const members = fc.dictionary(name, fc.oneof(fc.webUrl(), fc.jsonValue({ maxDepth: 1 })), { maxKeys: 8 })
    return forAllEffect(context, 200, fc.tuple(members, fc.boolean()), ([more, isGood]) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const asked: Array<unknown> = []
        const source: KeySource.KeySource["Service"] = {
          find: (issuer, { alg, kid }) =>
            Effect.suspend(() => {
              asked.push([issuer, alg, kid])
              return Effect.fail(new JwksError.JwksKeyNotFound({ reason: "unknown" }))
            })
        }
        const asking = yield* validatorOf(policy, Layer.succeed(KeySource.KeySource, source))
        const tokens = yield* hostileValidator()
        const token = signed({ ...more, ...goodHeader }, goodClaims)
        const given = isGood ? token : `${token.slice(0, -43)}${"A".repeat(43)}`
        yield* Effect.exit(asking.validate(given))
        assert.deepStrictEqual(asked, [[issuer, key.alg, key.kid]])
        const exit = yield* Effect.exit(tokens.validate(given))
        if (isGood) assert.isTrue(Exit.isSuccess(exit))
        else assert.strictEqual(errorOf(exit).reason._tag, "SignatureInvalid")
      }))
  })

  it("[T6] [K-03] [R5] while no keys are available, a token that could be valid is a 503, an invalid token a 401, and none is accepted", async (context) => {
    const ownFaults = new Set([
      "TokenMalformed",
      "AlgorithmUnsupported",
      "TypeMismatch",
      "IssuerUntrusted",
      "ClaimMissing",
      "ClaimInvalid"
    ])
    const seen = { unavailable: 0, rejected: 0 }
    await forAllEffect(
      context,
      100,
      fc.tuple(fc.integer(), fc.nat(60_000)),
      ([seed, millis]) =>
        Effect.gen(function*() {
          yield* TestClock.setTime(now * 1000)
          const retryAfter = Duration.millis(millis)
          const down: KeySource.KeySource["Service"] = {
            find: () => Effect.fail(new JwksError.JwksUnavailable({ retryAfter }))
          }
          const tokens = yield* validatorOf(policy, Layer.succeed(KeySource.KeySource, down))
          const hostile = new Hostile(seed)
          for (let count = 0; count < 100; count++) {
            const error = errorOf(yield* Effect.exit(tokens.validate(hostile.next().token)))
            if (error.reason._tag === "KeysUnavailable") {
              assert.deepStrictEqual([error.status, error.isRejection, error.code], [503, false, "JWKS_UNAVAILABLE"])
              assert.strictEqual(Duration.toMillis(error.retryAfter), millis)
              seen.unavailable++
            } else {
              assert.isTrue(ownFaults.has(error.reason._tag), error.reason._tag)
              assert.deepStrictEqual([error.status, error.isRejection], [401, true])
              seen.rejected++
            }
          }
        })
    )
    assert.isAbove(seen.unavailable, 1000)
    assert.isAbove(seen.rejected, 1000)
  })

  it("[T5] [R21] no error, log line or span contains a piece of any of 5,000 hostile tokens", (context) =>
    forAllEffect(context, 100, fc.integer(), (seed) => {
      const { lines, record, spans } = recording()
      return Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const tokens = yield* hostileValidator()
        const hostile = new Hostile(seed)
        for (let count = 0; count < 50; count++) {
          const { token } = hostile.next()
          const exit = yield* Effect.exit(tokens.validate(token))
          const error = Exit.isSuccess(exit) ? "" : shownBy(errorOf(exit))
          const shown = [error, ...spans.splice(0).map(spanText), ...lines.splice(0)].join("\n")
          assert.isFalse(shows(shown, token), shown)
        }
      }).pipe(record)
    }))

  const visit = fc.record({ from: fc.nat(50), until: fc.option(fc.nat(50), { nil: undefined }), isPlain: fc.boolean() })

  it("[T3] [K-05] [R6] concurrent callers with one token share one signature check, whenever they start or are interrupted", (context) =>
    forAllEffect(
      context,
      200,
      fc.array(visit, { minLength: 1, maxLength: 40, size: "max" }),
      (visits) =>
        Effect.gen(function*() {
          yield* TestClock.setTime(now * 1000)
          const verified = Promise.withResolvers<boolean>()
          let checks = 0
          const tokens = yield* Effect.provideService(hostileValidator(), SignatureVerifier, () => {
            checks++
            return verified.promise
          })
          const token = signed(goodHeader, goodClaims)
          const validate = (isPlain: boolean) =>
            isPlain ? tokens.validate(token) : tokens.validateWith(token, { issuer })
          const fibers = yield* Effect.forEach(visits, ({ from, isPlain, until }) =>
            Effect.gen(function*() {
              const fiber = yield* Effect.forkChild(
                Effect.andThen(Effect.sleep(from), Effect.suspend(() => validate(isPlain)))
              )
              if (until !== undefined) {
                yield* Effect.forkChild(Effect.andThen(Effect.sleep(until), Fiber.interrupt(fiber)))
              }
              return { fiber, isInterrupted: until !== undefined }
            }))
          yield* TestClock.adjust(60)
          verified.resolve(true)
          const last = yield* tokens.validate(token)
          for (const { fiber, isInterrupted } of fibers) {
            const exit = yield* Fiber.await(fiber)
            if (Exit.isSuccess(exit)) assert.strictEqual(exit.value, last)
            else assert.isTrue(isInterrupted && Exit.hasInterrupts(exit))
          }
          assert.strictEqual(checks, 1)
        })
    ))
})
