import { assert, describe, it } from "@effect/vitest"
import { JwksRegistry, KeySource, StaticKeys } from "@keelson/jwks"
import { byUrl, documentOf, makeProvider } from "@keelson/testing/scriptedProvider"
import {
  audience,
  goodClaims,
  keysOf,
  type Pair,
  pairOf,
  reasonOf,
  sign,
  Tokens,
  validatorOf
} from "@keelson/testing/tokens"
import { Context, Effect, Layer } from "effect"
import { ValidationPolicy } from "../src/index.ts"

const base = { audiences: [audience], algorithms: ["ES256"] } as const

/** A key source that records its lookups. */
const watched = (keys: Layer.Layer<KeySource.KeySource, unknown>) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    const { find } = Context.get(yield* Layer.build(Layer.orDie(keys)), KeySource.KeySource)
    const source: KeySource.KeySource["Service"] = {
      find: (issuer, header) => {
        asked.push(issuer)
        return find(issuer, header)
      }
    }
    return { asked, layer: Layer.succeed(KeySource.KeySource, source) }
  })

const template = "https://login.example/{tenantid}/v2.0"
const issuerOf = (tenant: string) => template.replace("{tenantid}", tenant)

/** The keys of an issuer template, one of which names a single tenant as its issuer. */
const templateKeys = (shared: Pair, own: Pair, ownIssuer: string) =>
  StaticKeys.layer({
    issuers: [template],
    keys: [
      { id: shared.kid, algorithm: "ES256", jwk: { ...shared.publicJwk, issuer: template } },
      { id: own.kid, algorithm: "ES256", jwk: { ...own.publicJwk, issuer: ownIssuer } }
    ]
  })

describe("TokenValidator and issuers", () => {
  it.live("[R3] [K-26] one validator over 50 issuers: each is verified with its own keys, and no other's", () =>
    Effect.gen(function*() {
      const issuers = Array.from({ length: 50 }, (_, index) => `https://idp-${index}.example`)
      const pairs = yield* Effect.forEach(issuers, (_, index) => pairOf("ES256", `key-${index}`))
      const urlOf = (issuer: string) => `${issuer}/jwks`
      const answers = Object.fromEntries(issuers.map((issuer, index) => [
        urlOf(issuer),
        documentOf(JSON.stringify({ keys: [{ ...pairs[index]?.publicJwk, kid: "same", use: "sig" }] }))
      ]))
      const { egress } = makeProvider(byUrl(answers))
      const registry = Context.get(
        yield* Layer.build(Layer.provide(JwksRegistry.layer, egress)),
        JwksRegistry.JwksRegistry
      )
      for (const [index, issuer] of issuers.entries()) {
        yield* registry.put({ tenantId: "tenant", providerId: `provider-${index}` }, { issuer, url: urlOf(issuer) }, {
          ifAbsent: true
        })
      }
      const keys = Layer.succeed(KeySource.KeySource, registry.keySource("tenant"))
      const tokens = yield* validatorOf(ValidationPolicy.accessToken({ ...base, issuers }), keys)
      const claims = yield* goodClaims
      for (const [index, iss] of issuers.entries()) {
        const pair = { ...pairs[index]!, kid: "same" }
        assert.strictEqual((yield* tokens.validate(yield* sign(pair, { ...claims, iss }))).registered.iss, iss)
        const other = yield* sign(pair, { ...claims, iss: issuers[(index + 1) % issuers.length] ?? "" })
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(other)), { _tag: "SignatureInvalid" })
      }
    }))

  it.effect("[R3] an untrusted issuer costs no lookup, however similar it is to a trusted one", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const { asked, layer } = yield* watched(keysOf([pair], ["https://idp.example"]))
      const tokens = yield* validatorOf(
        ValidationPolicy.accessToken({ ...base, issuers: ["https://idp.example"] }),
        layer
      )
      const claims = yield* goodClaims
      const near = [
        "https://idp.example/",
        "https://IDP.example",
        "http://idp.example",
        " https://idp.example",
        "",
        "__proto__"
      ]
      for (const iss of near) {
        const reason = yield* reasonOf(tokens.validate(yield* sign(pair, { ...claims, iss })))
        assert.deepStrictEqual(reason, { _tag: "IssuerUntrusted" })
      }
      assert.deepStrictEqual(asked, [])
      yield* tokens.validate(yield* sign(pair, { ...claims, iss: "https://idp.example" }))
      assert.deepStrictEqual(asked, ["https://idp.example"])
    }))

  it.effect("[R3] an issuer of the policy that the source does not serve is not trusted: a 401", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const policy = ValidationPolicy.accessToken({ ...base, issuers: ["https://a.example", "https://b.example"] })
      const tokens = yield* validatorOf(policy, keysOf([pair], ["https://a.example"]))
      const token = yield* sign(pair, { ...yield* goodClaims, iss: "https://b.example" })
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), { _tag: "IssuerUntrusted" })
    }))

  it.effect("[R3] a template trusts the tenants that are listed, and the key's own issuer has to agree", () =>
    Effect.gen(function*() {
      const [shared, own] = yield* Effect.all([pairOf("ES256", "shared"), pairOf("ES256", "own")])
      const policy = ValidationPolicy.accessToken({ ...base, issuers: [{ template, tenants: ["a", "b", "$&"] }] })
      const tokens = yield* validatorOf(policy, templateKeys(shared, own, issuerOf("a")))
      const claims = yield* goodClaims
      const verdict = (pair: Pair, iss: string) =>
        Effect.flatMap(
          sign(pair, { ...claims, iss }),
          (token) => Effect.match(tokens.validate(token), { onFailure: ({ reason }) => reason, onSuccess: () => "ok" })
        )
      for (const tenant of ["a", "b", "$&"]) {
        assert.strictEqual(yield* verdict(shared, template.split("{tenantid}").join(tenant)), "ok")
      }
      assert.strictEqual(yield* verdict(own, issuerOf("a")), "ok")
      assert.deepStrictEqual(yield* verdict(own, issuerOf("b")), {
        _tag: "KeyNotFound",
        reason: "mismatched",
        keyIssuer: issuerOf("a")
      })
      assert.deepStrictEqual(yield* verdict(shared, issuerOf("c")), { _tag: "IssuerUntrusted" })
      assert.deepStrictEqual(yield* verdict(shared, template), { _tag: "IssuerUntrusted" })
    }))

  it.effect("[R4] none of more than four keys of a custom source is tried", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const claims = yield* goodClaims
      const give = (times: number) =>
        Effect.gen(function*() {
          const keys = Context.get(yield* Layer.build(keysOf([pair])), KeySource.KeySource)
          const many: KeySource.KeySource["Service"] = {
            find: (issuer, header) =>
              Effect.map(keys.find(issuer, header), (candidates) => Array.from({ length: times }, () => candidates[0]!))
          }
          const policy = ValidationPolicy.accessToken({ ...base, issuers: ["https://idp.example"] })
          return yield* validatorOf(policy, Layer.succeed(KeySource.KeySource, many))
        })
      const token = yield* sign(pair, claims)
      assert.strictEqual((yield* (yield* give(4)).validate(token)).claims.sub, "user-1")
      assert.deepStrictEqual(
        yield* reasonOf((yield* give(5)).validate(token)),
        { _tag: "KeyNotFound", reason: "ambiguous" }
      )
    }))

  it.effect("[K-26] several validators live in one application, each with its own policy and claims", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const keys = keysOf([pair], ["https://idp.example"])
      const claims = { ...yield* goodClaims, iss: "https://idp.example" }
      const narrow = yield* validatorOf({ ...base, issuers: ["https://idp.example"], types: ["at+jwt"] }, keys)
      const wide = yield* validatorOf({
        ...base,
        issuers: ["https://idp.example"],
        audiences: ["other"],
        types: ["at+jwt"]
      }, keys)
      const token = yield* sign(pair, claims)
      assert.strictEqual((yield* narrow.validate(token)).claims.sub, "user-1")
      assert.deepStrictEqual(yield* reasonOf(wide.validate(token)), { _tag: "AudienceMismatch" })
      assert.strictEqual(Tokens.key, "test/Tokens")
    }))
})
