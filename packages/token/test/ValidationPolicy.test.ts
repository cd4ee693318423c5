import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { errorOf } from "@keelson/testing/exits"
import { ConfigProvider, Duration, Effect } from "effect"
import { ValidationPolicy } from "../src/index.ts"
import { compileRules } from "../src/internal/validation/rules.ts"

const complete = { issuers: ["https://idp.example"], audiences: ["api"], algorithms: ["RS256"] } as const

/** The path and bound in the error of an invalid policy. */
const refusal = (options: object) =>
  Effect.map(Effect.exit(Configuration.decode(ValidationPolicy.ValidationPolicy)(options)), (exit) => {
    const { code, details } = errorOf(exit)
    return [code, details["path"], details["expected"]]
  })

const withChanges = (changes: object) => ({ ...complete, ...changes })

describe("ValidationPolicy", () => {
  it.effect("[K-08] [T1] there is none without issuers, audiences and algorithms, nor with empty ones", () =>
    Effect.gen(function*() {
      for (const name of ["issuers", "audiences", "algorithms"] as const) {
        const { [name]: _, ...rest } = complete
        assert.deepStrictEqual(yield* refusal(rest), ["INVALID_CONFIG", name, "is missing"])
        assert.strictEqual((yield* refusal(withChanges({ [name]: [] })))[1], name)
      }
    }))

  it.effect("[S4-35] [K-08] only known algorithms are accepted, and never none", () =>
    Effect.gen(function*() {
      for (const algorithm of ["none", "None", "NONE", "RS1", "ES256K", "rs256", "HS1024", "", "dir"]) {
        assert.strictEqual((yield* refusal(withChanges({ algorithms: [algorithm] })))[1], "algorithms.0", algorithm)
      }
      for (const algorithm of ["HS256", "RS256", "ES256"] as const) {
        const policy = yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(
          withChanges({ algorithms: [algorithm] })
        )
        assert.deepStrictEqual(policy.algorithms, [algorithm])
      }
    }))

  it.effect("[T1] the clock tolerance is 30 seconds, and 5 minutes at most", () =>
    Effect.gen(function*() {
      const policy = yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(complete)
      assert.strictEqual(Duration.toMillis(policy.clockTolerance), 30_000)
      yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(withChanges({ clockTolerance: "5 minutes" }))
      const [code, path, expected] = yield* refusal(withChanges({ clockTolerance: "300001 millis" }))
      assert.deepStrictEqual([code, path], ["INVALID_CONFIG", "clockTolerance"])
      assert.deepStrictEqual(expected, "a duration with its unit, from 0 millis to 5 minutes")
    }))

  it.effect("[R2] the limits of a token have the defaults of the rules", () =>
    Effect.gen(function*() {
      const policy = yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(complete)
      const { maxAudiences, maxDepth, maxLength, maxMembers } = policy
      assert.deepStrictEqual([maxLength, maxDepth, maxMembers, maxAudiences], [16_384, 8, 256, 64])
      assert.deepStrictEqual([policy.cacheEntries, policy.cacheBytes], [20_000, 32 * 1024 * 1024])
    }))

  it.effect("[K-08] unknown options, and options out of range, are rejected", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* refusal(withChanges({ ignoreExpiration: true })))[1], "ignoreExpiration")
      assert.strictEqual((yield* refusal(withChanges({ maxLength: 255 })))[1], "maxLength")
      assert.strictEqual((yield* refusal(withChanges({ maxDepth: 0 })))[1], "maxDepth")
      assert.strictEqual((yield* refusal(withChanges({ requiredClaims: [""] })))[1], "requiredClaims.0")
      assert.strictEqual((yield* refusal(withChanges({ types: [] })))[1], "types")
      assert.strictEqual((yield* refusal(withChanges({ maxAge: "0 millis" })))[1], "maxAge")
    }))

  it.effect("[R3] a template has its placeholder once, and a list of tenants", () =>
    Effect.gen(function*() {
      const template = "https://login.example/{tenantid}/v2.0"
      for (const bad of [{ template }, { template, tenants: [] }, { template: "https://a.example", tenants: ["a"] }]) {
        assert.strictEqual((yield* refusal(withChanges({ issuers: [bad] })))[0], "INVALID_CONFIG")
      }
      const policy = yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(
        withChanges({ issuers: [{ template, tenants: ["a", "b"] }] })
      )
      const { trustedIssuer } = compileRules(policy)
      const trusted = ["a", "b", "c", "{tenantid}"].map((tenant) =>
        trustedIssuer(`https://login.example/${tenant}/v2.0`)
      )
      assert.deepStrictEqual(trusted, [{ keysOf: template }, { keysOf: template }, undefined, undefined])
    }))

  it.effect("[K-28 A4] the placeholder of a template may have any case", () =>
    Effect.gen(function*() {
      for (const template of ["https://login.example/{tenantId}/v2.0", "https://login.example/{TENANTID}/v2.0"]) {
        const policy = yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(
          withChanges({ issuers: [{ template, tenants: ["a"] }] })
        )
        const { trustedIssuer } = compileRules(policy)
        assert.deepStrictEqual(trustedIssuer("https://login.example/a/v2.0"), { keysOf: template })
        assert.isUndefined(trustedIssuer(template))
      }
      const twice = "https://login.example/{tenantid}/{tenantId}"
      assert.strictEqual(
        (yield* refusal(withChanges({ issuers: [{ template: twice, tenants: ["a"] }] })))[1],
        "issuers.0.template"
      )
    }))

  it.effect("[R3] an issuer may occur only once, also as a tenant of a template", () =>
    Effect.gen(function*() {
      const entra = { template: "https://login.example/{tenantid}/v2.0", tenants: ["a"] }
      for (const again of ["https://login.example/a/v2.0", entra]) {
        assert.strictEqual((yield* refusal(withChanges({ issuers: [entra, again] })))[1], "issuers")
      }
      yield* Configuration.decode(ValidationPolicy.ValidationPolicy)(
        withChanges({ issuers: [entra, "https://login.example/b/v2.0"] })
      )
    }))

  it("make throws what decode fails with", () => {
    assert.strictEqual(ValidationPolicy.make(complete).profile, "jwt")
    assert.throws(
      () => ValidationPolicy.make(withChanges({ maxDepth: 33 })),
      /maxDepth must be a whole number from 1 to 32/
    )
  })

  it("[K-08] presets set the profile, and the claims that it requires", () => {
    const rulesFor = (options: ValidationPolicy.Options) => compileRules(ValidationPolicy.make(options))
    const access = rulesFor(ValidationPolicy.accessToken(complete))
    assert.deepStrictEqual([[...access.types], access.requireType], [["at+jwt"], true])
    assert.deepStrictEqual(access.requiredClaims, ["sub", "client_id", "iat", "jti"])
    const id = rulesFor(ValidationPolicy.idToken({ ...complete, requiredClaims: ["sub", "email"] }))
    assert.deepStrictEqual([[...id.types], id.requireType], [["jwt"], false])
    assert.deepStrictEqual(id.requiredClaims, ["sub", "iat", "email"])
    const jwt = rulesFor(ValidationPolicy.jwt({ ...complete, types: ["application/Secevent+JWT"], requireType: true }))
    assert.deepStrictEqual([[...jwt.types], jwt.requireType, jwt.requiredClaims], [["secevent+jwt"], true, []])
  })

  it.effect("comes from text and from the environment too", () =>
    Effect.gen(function*() {
      const text =
        "auth:\n  issuers: [https://idp.example]\n  audiences: [api]\n  algorithms: [RS256]\n  maxAge: 1 hour\n"
      const fromText = yield* Configuration.decodeText(ValidationPolicy.ValidationPolicy, {
        format: "yaml",
        text,
        section: "auth"
      })
      assert.strictEqual(Duration.toMillis(fromText.maxAge ?? 0), 3_600_000)
      const env = {
        APP_AUTH_ISSUERS: "https://idp.example",
        APP_AUTH_AUDIENCES: "api,admin",
        APP_AUTH_ALGORITHMS: "RS256"
      }
      const fromEnvironment = yield* Effect.provideService(
        Configuration.fromEnvironment(ValidationPolicy.ValidationPolicy, ["app", "auth"]),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env })
      )
      assert.deepStrictEqual(fromEnvironment.audiences, ["api", "admin"])
    }))
})
