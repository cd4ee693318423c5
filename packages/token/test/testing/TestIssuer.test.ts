import { assert, describe, it } from "@effect/vitest"
import { ErrorCode, KeelsonError, Problem } from "@keelson/core"
import { KeySource } from "@keelson/jwks"
import { reasonOf } from "@keelson/testing/tokens"
import { Context, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { decodeJwt, decodeProtectedHeader } from "jose"
import { Claims, ClientAuth, OAuthClient, TokenValidator, ValidationPolicy } from "../../src/index.ts"
import { TestIssuer } from "../../src/testing/index.ts"

const AnyClaims = Schema.Struct({ exp: Claims.NumericDate })

class Tokens extends TokenValidator.Service<Tokens>()("test/KitTokens", { claims: AnyClaims }) {}

const preset = { audiences: ["api", "other"], algorithms: ["ES256", "RS256"] } as const
const policies: Readonly<Record<ValidationPolicy.Profile, TestIssuer.Options["policy"]>> = {
  jwt: { ...preset, profile: "jwt" },
  accessToken: { ...preset, profile: "accessToken" },
  idToken: { ...preset, profile: "idToken", nonce: "optional" },
  spiffe: ValidationPolicy.spiffe({ trustDomain: "example.org", audiences: ["api"], algorithms: ["ES256"] })
}

/** The validator and its issuer. */
const scene = (options: TestIssuer.Options) =>
  Effect.gen(function*() {
    const issuer = yield* Layer.build(TestIssuer.layer(options))
    const service = Context.get(issuer, TestIssuer.TestIssuer)
    const tokens = yield* Layer.build(Layer.provide(Tokens.layer(service.policy), Layer.succeedContext(issuer)))
    return { ...service, ...Context.get(tokens, Tokens), context: issuer }
  })

const payloadOf = (token: string): object => decodeJwt(token)
const headerOf = (token: string): object => decodeProtectedHeader(token)

const accessTokens = { policy: policies.accessToken }

describe("TestIssuer", () => {
  it.effect.each(Object.entries(policies))(
    "[K-42] mints a token that the policy accepts: %s",
    ([, policy]) =>
      Effect.gen(function*() {
        const { issuer, token, validate } = yield* scene({ policy })
        const { registered } = yield* validate(yield* token())
        assert.strictEqual(registered.iss, issuer)
        assert.deepStrictEqual(registered.aud, ["api"])
      })
  )

  it.effect("[K-42] mints a token of a policy with unusual demands", () =>
    Effect.gen(function*() {
      const policy = ValidationPolicy.jwt({
        issuers: [{ template: "https://login.example/{tenantid}/v2.0", tenants: ["acme"] }],
        audiences: ["app"],
        audienceClaim: "client_id",
        authorizedParties: ["web"],
        algorithms: ["HS256", "EdDSA"],
        types: ["application/special+jwt"],
        requireType: true,
        requiredClaims: ["tenant", "sub"]
      })
      const { token, validate } = yield* scene({ policy, claims: { tenant: "acme" } })
      const { registered } = yield* validate(yield* token({ sub: "ada" }))
      assert.deepInclude(registered, { iss: "https://login.example/acme/v2.0", sub: "ada", client_id: "app" })
    }))

  it.effect("[K-42] claims replace those of a valid token, and undefined leaves one out", () =>
    Effect.gen(function*() {
      const { token, validate } = yield* scene({ ...accessTokens, claims: { tenant: "acme", role: "reader" } })
      const text = yield* token({ sub: "ada", scope: "reports:read", role: "admin" }, { header: { x: 1 } })
      assert.deepInclude(payloadOf(text), { sub: "ada", scope: "reports:read", tenant: "acme", role: "admin" })
      assert.deepInclude(headerOf(text), { typ: "at+jwt", kid: "test-key-1", x: 1 })
      assert.deepStrictEqual((yield* validate(text)).registered.scopes, ["reports:read"])
      assert.deepStrictEqual(
        yield* reasonOf(validate(yield* token({ sub: undefined }))),
        { _tag: "ClaimMissing", claim: "sub" }
      )
    }))

  const reasons: Readonly<Record<TestIssuer.TokenFault, object>> = {
    expired: { _tag: "TokenExpired" },
    notYetValid: { _tag: "TokenNotYetValid", claim: "nbf" },
    issuedInFuture: { _tag: "TokenNotYetValid", claim: "iat" },
    wrongIssuer: { _tag: "IssuerUntrusted" },
    wrongAudience: { _tag: "AudienceMismatch" },
    wrongType: { _tag: "TypeMismatch" },
    wrongKey: { _tag: "SignatureInvalid" },
    unknownKey: { _tag: "KeyNotFound", reason: "unknown" },
    tampered: { _tag: "SignatureInvalid" },
    unsigned: { _tag: "AlgorithmUnsupported" },
    publicKeyAsSecret: { _tag: "AlgorithmUnsupported" },
    malformed: { _tag: "TokenMalformed", part: "header", problem: "encoding" }
  }
  it.effect.each(Object.entries(reasons))(
    "[K-42] a token with the fault %s is rejected for that reason alone",
    ([fault, reason]) =>
      Effect.gen(function*() {
        // At 0 seconds since 1970, an expired token would have negative times.
        yield* TestClock.setTime(Date.UTC(2026, 0))
        const { token, validate } = yield* scene(accessTokens)
        yield* validate(yield* token())
        const name = Object.keys(reasons).find((one): one is TestIssuer.TokenFault => one === fault)
        assert.deepStrictEqual(yield* reasonOf(validate(yield* token({}, { fault: name }))), reason)
      })
  )

  it.effect("[K-42] times come from Effect's clock", () =>
    Effect.gen(function*() {
      const { token, validate } = yield* scene(accessTokens)
      yield* TestClock.adjust("30 minutes")
      const text = yield* token({}, { lifetime: "10 minutes" })
      assert.deepInclude(payloadOf(text), { iat: 1800, exp: 2400 })
      yield* validate(text)
      yield* TestClock.adjust("10 minutes")
      yield* validate(text)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* reasonOf(validate(text)))._tag, "TokenExpired")
    }))

  it.effect("[K-42] hashes of an ID token are those of what the test gives", () =>
    Effect.gen(function*() {
      const { token, validateWith } = yield* scene({ policy: policies.idToken })
      const given = { accessToken: "an access token", code: "a code" }
      yield* validateWith(yield* token({}, given), given)
      assert.deepStrictEqual(
        yield* reasonOf(validateWith(yield* token({}, given), { code: "another" })),
        { _tag: "ClaimRejected", claim: "c_hash" }
      )
    }))

  it.effect("[K-42] a key that is rotated in is found, and a withdrawn one is not", () =>
    Effect.gen(function*() {
      const { keySet, requests, rotateKey, token, validate } = yield* scene(accessTokens)
      const old = yield* token()
      yield* validate(old)
      yield* rotateKey()
      yield* validate(yield* token())
      yield* validate(old)
      assert.deepStrictEqual((yield* keySet).keys.map(({ kid }) => kid), ["test-key-2", "test-key-1"])
      yield* rotateKey({ withdraw: true })
      yield* TestClock.adjust("30 seconds")
      yield* validate(yield* token())
      assert.strictEqual((yield* reasonOf(validate(old)))._tag, "KeyNotFound")
      assert.deepStrictEqual(yield* requests, { metadata: 0, keys: 3, token: 0 })
    }))

  it.effect.each(["down", "error", "garbage", "noKeys"] as const)(
    "[K-42] with the server fault %s tokens are a 503 until it ends",
    (fault) =>
      Effect.gen(function*() {
        const { setFault, token, validate } = yield* scene({ ...accessTokens, fault })
        const text = yield* token()
        const failing = yield* Effect.forkChild(reasonOf(validate(text)), { startImmediately: true })
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual((yield* Fiber.join(failing))._tag, "KeysUnavailable")
        yield* setFault(undefined)
        yield* TestClock.adjust("2 minutes")
        yield* validate(text)
      })
  )

  it.effect("[K-42] hang and delay keep callers waiting, by Effect's clock", () =>
    Effect.gen(function*() {
      const { setFault, token, validate } = yield* scene(accessTokens)
      const text = yield* token()
      yield* setFault({ delay: "2 seconds" }, "keys")
      const slow = yield* Effect.forkChild(validate(text), { startImmediately: true })
      yield* TestClock.adjust("1900 millis")
      assert.strictEqual(slow.pollUnsafe(), undefined)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(slow)
      const hanging = yield* scene({ ...accessTokens, fault: "hang" })
      const waiting = yield* Effect.forkChild(reasonOf(hanging.validate(text)), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "KeysUnavailable")
    }))

  it.effect("[K-42] serves discovery and tokens to the clients of the application, in memory", () =>
    Effect.gen(function*() {
      const { context, issuer, requests, setFault, validate } = yield* scene(accessTokens)
      const keys = Layer.provide(KeySource.layerOidc({ issuer }), Layer.succeedContext(context))
      const found = Effect.flatMap(KeySource.KeySource, ({ find }) => find(issuer, { alg: "ES256" }))
      assert.strictEqual((yield* Effect.provide(found, keys)).length, 1)

      const acquire = (secret: string) =>
        OAuthClient.clientCredentials({
          issuer,
          clientId: "test-client",
          auth: ClientAuth.secretBasic(Redacted.make(secret)),
          scope: "reports:read"
        }).acquire.pipe(
          Effect.map(({ accessToken }) => accessToken),
          Effect.mapError((error) => ErrorCode.fromId(Problem.encode(error).error_code)),
          Effect.provide(context)
        )
      const acquired = yield* acquire("test-secret")
      const { registered } = yield* validate(acquired)
      assert.deepInclude(registered, { sub: "test-client", client_id: "test-client", scope: "reports:read" })
      assert.strictEqual(yield* Effect.flip(acquire("another")), "TOKEN_ACQUISITION_FAILED")
      assert.isAtLeast((yield* requests).token, 2)
      yield* setFault("down", "token")
      assert.strictEqual(yield* Effect.flip(acquire("test-secret")), "NETWORK_ERROR")
    }))

  it.effect("[K-42] refuses a policy for which it cannot mint", () =>
    Effect.gen(function*() {
      const messageOf = (options: TestIssuer.Options) =>
        Effect.map(Effect.flip(scene(options)), (error) => {
          assert.instanceOf(error, KeelsonError.ConfigurationError)
          return error.message
        })
      assert.include(yield* messageOf({ policy: { audiences: ["api"], algorithms: ["HS256"] } }), "public keys")
      assert.include(yield* messageOf({ policy: { audiences: [], algorithms: ["RS256"] } }), "policy.audiences")
      const open = { template: "https://login.example/{tenantid}", tenants: () => true }
      assert.include(yield* messageOf({ policy: { ...preset, issuers: [open] } }), "tenants")
    }))
})
