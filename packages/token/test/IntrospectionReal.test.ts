import { assert, describe, it } from "@effect/vitest"
import { StaticKeys } from "@keelson/jwks"
import { quiet } from "@keelson/testing/observe"
import { reasonOf } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Redacted, Result, Schema } from "effect"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import * as OAuth from "oauth4webapi"
import { ClientAuth, Introspection, TokenValidator, ValidationPolicy } from "../src/index.ts"
import { decodeRegistered } from "../src/internal/validation/claims.ts"
import { compileRules } from "../src/internal/validation/rules.ts"
import { keySourceOf, OpaqueTokens } from "./introspectionSupport.ts"
import { clientSecret, type OpaqueServer, opaqueServer, resource } from "./opaqueServer.ts"

const secret = ClientAuth.secretBasic(Redacted.make(clientSecret))

const validatorOf = (
  { issuer }: OpaqueServer,
  more: Partial<Introspection.Options> = {},
  policy: Partial<Introspection.Policy> = {}
) =>
  Effect.map(
    Layer.build(OpaqueTokens.layerIntrospected(
      { issuers: [issuer], audiences: [resource], ...policy },
      Introspection.client({ issuer, clientId: "api:basic", auth: secret, allowLocalhost: true, ...more })
    )),
    (context) => Context.get(context, OpaqueTokens)
  )

const keysOf = ({ issuer, key: { crv, kid, kty, x, y } }: OpaqueServer) =>
  keySourceOf(StaticKeys.layer({ issuers: [issuer], keys: [{ id: kid, algorithm: "ES256", jwk: { kty, crv, x, y } }] }))

describe("Introspection at oidc-provider", () => {
  it.live("[K-23] accepts an opaque token that the metadata's endpoint says is active, until it is revoked", () =>
    Effect.gen(function*() {
      const server = yield* opaqueServer()
      const tokens = yield* validatorOf(server)
      const token = yield* server.accessToken()
      const { claims, registered } = yield* tokens.validate(token)
      assert.deepInclude(claims, { sub: "alice", client_id: "web", roles: ["admin"], aud: resource })
      assert.deepStrictEqual([registered.iss, registered.scopes], [server.issuer, ["read"]])
      yield* tokens.validate(token)
      assert.strictEqual(server.requests.length, 1)
      yield* server.revoke(token)
      yield* tokens.validate(token)
      yield* tokens.invalidate
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "TokenInactive" })
      assert.strictEqual(server.requests.length, 2)
    }).pipe(Effect.scoped))

  it.live("[K-23] authenticates by each method", () =>
    Effect.gen(function*() {
      const { privateKey, publicKey } = yield* Effect.promise(() => generateKeyPair("ES256"))
      const publicJwk = yield* Effect.promise(() => exportJWK(publicKey))
      const server = yield* opaqueServer([{ ...publicJwk, kid: "api", alg: "ES256" }])
      const clients: ReadonlyArray<Partial<Introspection.Options>> = [
        {},
        { clientId: "api-post", auth: ClientAuth.secretPost(Redacted.make(clientSecret)) },
        { clientId: "api-jwt", auth: ClientAuth.privateKeyJwt({ key: privateKey, kid: "api" }) }
      ]
      for (const client of clients) {
        const tokens = yield* validatorOf(server, client)
        assert.strictEqual((yield* tokens.validate(yield* server.clientToken())).registered.client_id, "web")
        assert.deepStrictEqual(yield* reasonOf(tokens.validate("neverIssued0123456789")), { _tag: "TokenInactive" })
      }
    }).pipe(Effect.scoped))

  it.live("[K-23] a client that the server rejects is a 503, which says so to the operator alone", () =>
    Effect.gen(function*() {
      const server = yield* opaqueServer()
      const tokens = yield* validatorOf(server, { auth: ClientAuth.secretBasic(Redacted.make("wrong")) })
      const error = yield* Effect.flip(tokens.validate(yield* server.accessToken()))
      assert.include(error.reason, { _tag: "IntrospectionUnavailable", problem: "refused" })
      assert.strictEqual(error.status, 503)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] a refresh token, which the server says is active, is rejected", () =>
    Effect.gen(function*() {
      const server = yield* opaqueServer()
      const token = yield* server.refreshToken
      const strict = yield* validatorOf(server, { requireTokenType: true })
      assert.deepStrictEqual(yield* reasonOf(strict.validate(token)), { _tag: "ClaimMissing", claim: "token_type" })
      const byDefault = yield* validatorOf(server, { defaultAudience: resource })
      assert.deepStrictEqual(yield* reasonOf(byDefault.validate(token)), { _tag: "ClaimMissing", claim: "token_type" })
      const other = yield* validatorOf(server)
      assert.deepStrictEqual(yield* reasonOf(other.validate(token)), { _tag: "ClaimMissing", claim: "aud" })
    }).pipe(Effect.scoped))

  it.live("[K-23] a token that is bound to a key keeps its `cnf`, read as in a JWT", () =>
    Effect.gen(function*() {
      class Bound extends TokenValidator.Service<Bound>()("test/Bound", {
        claims: Schema.Record(Schema.String, Schema.Unknown)
      }) {}
      const server = yield* opaqueServer()
      const { issuer } = server
      const policy = { issuers: [issuer], audiences: [resource] }
      const layer = Bound.layerIntrospected(
        policy,
        Introspection.client({ issuer, clientId: "api:basic", auth: secret, allowLocalhost: true })
      )
      const tokens = Context.get(yield* Layer.build(layer), Bound)
      const bindings = [["jkt", "DPoP"], ["x5t#S256", "Bearer"]] as const
      for (const [name, type] of bindings) {
        const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        const token = yield* server.clientToken({ [name]: thumbprint })
        const { claims, registered } = yield* tokens.validate(token)
        assert.deepInclude(claims, { token_type: type, cnf: { [name]: thumbprint } })
        const rules = compileRules(ValidationPolicy.make(ValidationPolicy.jwt({ ...policy, algorithms: ["ES256"] })))
        assert.deepStrictEqual(registered, Result.getOrThrow(decodeRegistered(claims, rules)))
      }
    }).pipe(Effect.scoped))

  it.live("[K-23] a JWT, which the server does not introspect, is inactive", () =>
    Effect.gen(function*() {
      const server = yield* opaqueServer()
      const { privateKey } = yield* Effect.promise(() => generateKeyPair("ES256"))
      const jwt = yield* Effect.promise(() => new SignJWT({}).setProtectedHeader({ alg: "ES256" }).sign(privateKey))
      const tokens = yield* validatorOf(server)
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(jwt)), { _tag: "TokenInactive" })
    }).pipe(Effect.scoped))

  it.live("[K-23] verifies signed answers with the issuer's keys, and oauth4webapi reads the same in them", () =>
    Effect.gen(function*() {
      const server = yield* opaqueServer()
      const token = yield* server.accessToken()
      const signed = { keys: Effect.succeed(yield* keysOf(server)), algorithms: ["ES256"] as const }
      const tokens = yield* validatorOf(server, { signed })
      const { claims } = yield* tokens.validate(token)
      const [request] = server.requests
      assert.strictEqual(request?.headers.accept, "application/token-introspection+jwt")
      const as = { issuer: server.issuer, introspection_endpoint: `${server.issuer}/token/introspection` }
      const client = { client_id: "api:basic", introspection_signed_response_alg: "ES256" }
      const theirs = yield* Effect.promise(async () =>
        OAuth.processIntrospectionResponse(
          as,
          client,
          await OAuth.introspectionRequest(as, client, OAuth.ClientSecretBasic(clientSecret), token, {
            [OAuth.allowInsecureRequests]: true
          })
        )
      )
      assert.deepInclude<unknown>(theirs, { ...claims, active: true })
      const preferred = yield* validatorOf(server, { signed: { ...signed, required: false } })
      yield* preferred.validate(token)
      const answered = server.requests.at(-1)
      assert.strictEqual(
        answered?.headers.accept,
        "application/token-introspection+jwt, application/json;q=0.5"
      )
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] a killed server is a 503 for new tokens; it recovers by itself once the server is back", () =>
    Effect.gen(function*() {
      const server = yield* opaqueServer()
      const tokens = yield* validatorOf(server, { resilience: { breaker: { enabled: false } } })
      const [first, second] = [yield* server.accessToken(), yield* server.accessToken()]
      yield* tokens.validate(first)
      yield* server.kill
      yield* tokens.validate(first)
      const error = yield* Effect.flip(tokens.validate(second))
      assert.include(error.reason, { _tag: "IntrospectionUnavailable", problem: "network" })
      assert.isFalse(error.isRejection)
      yield* server.start
      yield* tokens.validate(second)
    }).pipe(Effect.scoped, quiet))
})
