import { assert, describe, it } from "@effect/vitest"
import { JwksOptions } from "@keelson/jwks"
import { keysOf, pairOf, seconds, sign } from "@keelson/testing/tokens"
import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Effect, Layer, Schema } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"

const guide = readFileSync(join(import.meta.dirname, "../../docs/guides/identity-providers.md"), "utf8")

class Tokens extends TokenValidator.Service<Tokens>()("test/Providers", { claims: Claims.Jwt }) {}

interface Sample {
  readonly typ?: string
  readonly claims: Readonly<Record<string, unknown>>
}

const tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
const entra: Sample = {
  typ: "JWT",
  claims: {
    iss: `https://login.microsoftonline.com/${tenant}/v2.0`,
    aud: "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    azp: "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    scp: "access_as_user",
    sub: "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    tid: tenant,
    uti: "fqiBqXLPj0eQa82S-IYFAA",
    ver: "2.0"
  }
}

const auth0 = {
  iss: "https://my-domain.auth0.com/",
  sub: "auth0|123456",
  aud: ["https://example.com/health-api", "https://my-domain.auth0.com/userinfo"],
  scope: "openid profile read:patients read:admin"
}

/** A token of each policy of the guide, of the shape that the provider's documents show. */
const samples: Readonly<Record<string, ReadonlyArray<Sample>>> = {
  "Auth0": [
    { typ: "JWT", claims: { ...auth0, azp: "my_client_id" } },
    { typ: "at+jwt", claims: { ...auth0, client_id: "my_client_id", jti: "73WakrfVbNJBaAmhQtEeDv" } }
  ],
  "Microsoft Entra ID": [entra, entra],
  "Keycloak": [{
    typ: "at+jwt",
    claims: {
      iss: "https://keycloak.example/realms/shop",
      aud: ["service1", "service2"],
      azp: "frontend-client",
      sub: "john",
      typ: "Bearer",
      realm_access: { roles: ["user"] }
    }
  }],
  "Okta": [{
    claims: {
      iss: "https://example.okta.com/oauth2/default",
      aud: "api://default",
      sub: "isaac@example.com",
      cid: "client",
      scp: ["openid"],
      jti: "AT.1"
    }
  }],
  "Google": [{
    typ: "JWT",
    claims: {
      iss: "https://accounts.google.com",
      aud: "1234-abc.apps.googleusercontent.com",
      azp: "1234-abc.apps.googleusercontent.com",
      sub: "10769150350006150715113082367"
    }
  }],
  "Firebase Authentication": [{
    typ: "JWT",
    claims: {
      iss: "https://securetoken.google.com/my-project",
      aud: "my-project",
      sub: "uid",
      auth_time: 1_700_000_000,
      firebase: { identities: {}, sign_in_provider: "password" }
    }
  }],
  "Amazon Cognito": [{
    claims: {
      iss: "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example",
      aud: "1example23456789",
      sub: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
      token_use: "id"
    }
  }],
  "ZITADEL": [{
    claims: {
      iss: "https://shop.zitadel.example",
      aud: ["69234237810729234", "69234237810729019"],
      azp: "69234237810729234",
      sub: "77776025198584418",
      jti: "69234237813329048"
    }
  }],
  "Ory": [{
    typ: "JWT",
    claims: {
      iss: "https://my-project.projects.oryapis.com",
      aud: ["https://api.my-cloud.com/user"],
      sub: "client",
      ext: { some_custom_claim: "some_custom_value" }
    }
  }],
  "GitHub Actions": [{
    typ: "JWT",
    claims: {
      iss: "https://token.actions.githubusercontent.com",
      aud: "https://deploy.example",
      sub: "repo:octo-org@123456/octo-repo@456789:ref:refs/heads/main",
      repository: "octo-org/octo-repo",
      repository_id: "456789",
      ref: "refs/heads/main",
      jti: "4a576b35-ff09-41c5-af2c-ca62dd89b76a"
    }
  }],
  "Kubernetes service accounts": [{
    claims: {
      iss: "https://cluster.example",
      aud: ["https://api.example"],
      sub: "system:serviceaccount:default:myaccount",
      "kubernetes.io": { namespace: "default", serviceaccount: { name: "myaccount", uid: "a709ef71" } }
    }
  }]
}

const sections = guide.split(/^## /m).slice(1).map((text) => [text.slice(0, text.indexOf("\n")), text] as const)
const Profile = Schema.Literals(["jwt", "accessToken", "idToken"])

/** An object literal of a snippet is YAML as well. */
const policiesIn = (section: string): ReadonlyArray<ValidationPolicy.Options> =>
  [...section.matchAll(/ValidationPolicy\.(jwt|accessToken|idToken)\((\{[\s\S]*?\n\})\)/g)].map(
    ([, profile, literal = ""]) => ({
      ...Schema.decodeUnknownSync(ValidationPolicy.ValidationPolicy)(parse(literal)),
      profile: Schema.decodeUnknownSync(Profile)(profile)
    })
  )

const sourcesIn = (section: string): ReadonlyArray<JwksOptions.JwksOptions> =>
  [...section.matchAll(/const keys = KeySource\.layer(?:Oidc|Jwks)\((\{[\s\S]*?\})\)(?:$|\.pipe)/gm)].map((
    [, literal = ""]
  ) => Schema.decodeUnknownSync(JwksOptions.JwksOptions)(parse(literal)))

const nameOf = (issuer: string | ValidationPolicy.IssuerTemplate) =>
  typeof issuer === "string" ? issuer : issuer.template

/** Whether a token of a sample, changed, is accepted by a policy; the code of its refusal otherwise. */
const judge = (
  policy: ValidationPolicy.Options,
  { claims, typ }: Sample,
  changes: Readonly<Record<string, unknown>> = {}
) =>
  Effect.gen(function*() {
    const [alg = "RS256"] = policy.algorithms
    const pair = yield* pairOf(alg)
    const now = yield* seconds
    const token = yield* sign(pair, { iat: now, exp: now + 3600, ...claims, ...changes }, { typ })
    const live = Tokens.layer(policy).pipe(Layer.provide(keysOf([pair], policy.issuers.map(nameOf))))
    return yield* Effect.flatMap(Tokens, (tokens) => tokens.validate(token)).pipe(
      Effect.match({ onFailure: ({ code }): string => code, onSuccess: () => "accepted" }),
      Effect.provide(live)
    )
  })

const cases = sections.flatMap(([name, text]) => policiesIn(text).map((policy, index) => ({ name, policy, index })))

describe("the cookbook of identity providers", () => {
  it("has a sample for each of its policies, and for nothing else", () => {
    const counted = Object.entries(samples).map(([name, list]) => [name, list.length])
    const found = Object.keys(samples).map((name) => [name, cases.filter((one) => one.name === name).length])
    assert.deepStrictEqual(found, counted)
    assert.strictEqual(cases.length, Object.values(samples).flat().length)
  })

  it("finds keys for the issuers of each policy", () => {
    for (const [name, text] of sections.filter(([name]) => name in samples)) {
      const sources = sourcesIn(text).map(({ issuer }) => issuer)
      assert.isNotEmpty(sources, name)
      const issuers = policiesIn(text).flatMap((policy) => policy.issuers.map(nameOf))
      assert.deepStrictEqual(new Set(sources), new Set(issuers), name)
    }
  })

  for (const { index, name, policy } of cases) {
    it.effect(`${name} ${index + 1}: takes a token of the documented shape, and none of others`, () =>
      Effect.gen(function*() {
        const sample = samples[name]?.[index] ?? { claims: {} }
        assert.strictEqual(yield* judge(policy, sample), "accepted")
        assert.strictEqual(yield* judge(policy, sample, { aud: "another" }), "TOKEN_AUDIENCE_MISMATCH")
        assert.strictEqual(yield* judge(policy, sample, { aud: undefined }), "TOKEN_CLAIM_MISSING")
        const other = { iss: "https://attacker.example" }
        assert.strictEqual(yield* judge(policy, sample, other), "TOKEN_ISSUER_UNTRUSTED")
        for (const claim of policy.requiredClaims ?? []) {
          assert.strictEqual(yield* judge(policy, sample, { [claim]: undefined }), "TOKEN_CLAIM_MISSING")
        }
      }))
  }

  it.effect("Microsoft Entra ID: a tenant that is not listed is not trusted", () =>
    Effect.gen(function*() {
      const policy = cases.filter(({ name }) => name === "Microsoft Entra ID").at(1)?.policy
      assert.isDefined(policy)
      if (policy === undefined) return
      const iss = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
      assert.strictEqual(yield* judge(policy, entra, { iss }), "TOKEN_ISSUER_UNTRUSTED")
    }))

  it("Amazon Cognito: says how access tokens, which have no audience, are taken", () => {
    assert.match(guide, /\*\*Access tokens have no `aud`\*\*[\s\S]*?`audienceClaim: "client_id"`/)
  })

  it("every section says what was read", () => {
    for (const [name, text] of sections.filter(([name]) => name in samples)) {
      assert.match(text, /^Read: \[[^\]]+\]\(https:\/\//m, name)
    }
  })
})
