import { assert, describe, it } from "@effect/vitest"
import { JwksOptions, StaticKeys } from "@keelson/jwks"
import { keysOf, pairOf, seconds, sign } from "@keelson/testing/tokens"
import { BearerAuthentication, Claims, HttpSecurity, Principal, TokenValidator, ValidationPolicy } from "@keelson/token"
import * as Explain from "@keelson/token/Explain"
import { Effect, Layer, Redacted, Schema } from "effect"
import { SignJWT } from "jose"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"

const guide = readFileSync(join(import.meta.dirname, "../../docs/guides/identity-providers.md"), "utf8")

/** Without `aud`, which some tokens do not have. */
const AnyClaims = Schema.Struct({ ...Claims.Jwt.fields, aud: Schema.optionalKey(Claims.Audience) })
class Tokens extends TokenValidator.Service<Tokens>()("test/Providers", { claims: AnyClaims }) {}
class Caller extends Principal.Service<Caller, typeof AnyClaims.Type>()("test/ProvidersCaller") {}

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

const clerk = {
  iss: "https://clerk.example.com",
  azp: "https://example.com",
  sub: "user_123",
  sid: "sess_123",
  fva: [7, -1],
  sts: "active",
  v: 2
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
  "Azure AD B2C": [{
    typ: "JWT",
    claims: {
      iss: "https://contoso.b2clogin.com/775527ff-9a37-4307-8b3d-cc311f58d925/v2.0/",
      aud: "90c0fe63-bcf2-44d5-8fb7-b8bbc0b29dc6",
      azp: "d1e2f3a4-0000-4000-8000-000000000001",
      sub: "884408e1-2918-4cz0-b12d-3aa027d7563b",
      tfp: "B2C_1_signin",
      scp: "read",
      ver: "1.0"
    }
  }],
  "Active Directory Federation Services": [{
    typ: "JWT",
    claims: {
      iss: "http://adfs.example/adfs/services/trust",
      aud: "microsoft:identityserver:https://api.example",
      appid: "8e4d4b3a-77f4-4c9e-8f5b-0f0b3f3a5e10",
      apptype: "Confidential",
      auth_time: "2026-11-30T10:00:00.000Z",
      scp: "openid",
      ver: "1.0"
    }
  }],
  "Clerk": [
    { typ: "JWT", claims: clerk },
    { typ: "JWT", claims: { ...clerk, aud: "https://api.example.com" } }
  ],
  "WorkOS": [{
    typ: "JWT",
    claims: {
      iss: "https://api.workos.com/user_management/client_01HXYZ",
      client_id: "client_01HXYZ",
      sub: "user_01HBEQKA6K4QJAS93VPE39W1JT",
      act: { sub: "admin@foocorp.com" },
      org_id: "org_01HRDMC6CM357W30QMHMQ96Q0S",
      role: "member",
      roles: ["member"],
      permissions: ["posts:read", "posts:write"],
      entitlements: ["audit-logs"],
      sid: "session_01HQSXZGF8FHF7A9ZZFCW4387R",
      jti: "01HQSXZXPPFPKMDD32RKTFY6PV"
    }
  }],
  "Supabase": [{
    typ: "JWT",
    claims: {
      iss: "https://abcdefghij.supabase.co/auth/v1",
      aud: "authenticated",
      sub: "123e4567-e89b-12d3-a456-426614174000",
      role: "authenticated",
      aal: "aal1",
      session_id: "123e4567-e89b-12d3-a456-426614174001",
      email: "user@example.com",
      phone: "",
      is_anonymous: false,
      amr: [{ method: "password", timestamp: 1_640_991_600 }],
      app_metadata: { provider: "email" },
      user_metadata: {}
    }
  }],
  "SPIFFE": [{
    typ: "JOSE",
    claims: {
      iss: "https://oidc-discovery.example.org",
      aud: ["spiffe://example.org/api"],
      sub: "spiffe://example.org/ns/default/sa/web"
    }
  }],
  "PingFederate": [{
    claims: {
      iss: "https://pingfederate.example:9031",
      aud: "https://api.example",
      client_id: "web",
      scope: "openid read",
      Username: "joe"
    }
  }],
  "PingAM and ForgeRock": [{
    typ: "JWT",
    claims: {
      iss: "https://am.example:8443/am/oauth2/realms/root/realms/alpha",
      aud: "my-client",
      sub: "(usr!demo)",
      subname: "demo",
      cts: "OAUTH2_STATELESS_GRANT",
      auth_level: 0,
      tokenName: "access_token",
      token_type: "Bearer",
      realm: "/alpha",
      scope: ["read", "write"],
      grant_type: "authorization_code",
      auth_time: 1_700_000_000,
      expires_in: 3599,
      jti: "9Yq5mdsfDI9cPNlCbE-EkGXdTXw"
    }
  }],
  "Apple": [{
    claims: {
      iss: "https://appleid.apple.com",
      aud: "com.example.app",
      sub: "000544.5e201aec537347aeb79d23cbc345170a.1321",
      c_hash: "Cz5ccJ5JC5cQmXw9pM6UjQ",
      email: "abc@privaterelay.appleid.com",
      email_verified: "true",
      is_private_email: "true",
      auth_time: 1_700_000_000,
      nonce_supported: true
    }
  }],
  "LINE": [{
    typ: "JWT",
    claims: {
      iss: "https://access.line.me",
      aud: "1234567890",
      sub: "U1234567890abcdef1234567890abcdef",
      amr: ["linesso"],
      name: "Taro Line",
      picture: "https://sample_line.me/aBcdefg123456"
    }
  }],
  "GitLab CI": [{
    typ: "JWT",
    claims: {
      iss: "https://gitlab.com",
      aud: "https://deploy.example",
      sub: "project_path:my-group/my-project:ref_type:branch:ref:main",
      namespace_id: "72",
      project_id: "22",
      project_path: "my-group/my-project",
      ref: "main",
      ref_type: "branch",
      ref_protected: "true",
      pipeline_source: "push",
      jti: "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b"
    }
  }],
  "Cloudflare Access": [{
    typ: "JWT",
    claims: {
      iss: "https://my-team.cloudflareaccess.com",
      aud: ["4714c1358e65fe4b408ad6d432a5f878f08194bdb4752441fd56faefa9b2b6f2"],
      email: "user@example.com",
      type: "app",
      identity_nonce: "6ei69kawdKzMIAPF",
      sub: "7335d417-61da-459d-899c-0a01c76a2f94",
      country: "US"
    }
  }],
  "Google Cloud IAP": [{
    typ: "JWT",
    claims: {
      iss: "https://cloud.google.com/iap",
      aud: "/projects/1234567890/global/backendServices/9876543210",
      sub: "accounts.google.com:118133858486581853996",
      email: "user@example.com",
      hd: "example.com",
      google: { access_levels: ["accessPolicies/1/accessLevels/recent"] }
    }
  }],
  "AWS Application Load Balancer": [{
    claims: {
      iss: "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example",
      client_id: "1example23456789",
      sub: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
      "cognito:groups": ["staff"],
      scope: "openid",
      token_use: "access",
      version: 2,
      username: "ada",
      jti: "b2d1b4a6-0000-4000-8000-000000000000"
    }
  }],
  "Kubernetes service accounts": [{
    claims: {
      iss: "https://kubernetes.default.svc.cluster.local",
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

/** A token of a sample, changed, with the validator of a policy. */
const signedFor = (
  policy: ValidationPolicy.Options,
  { claims, typ }: Sample,
  changes: Readonly<Record<string, unknown>> = {}
) =>
  Effect.gen(function*() {
    const [alg = "RS256"] = policy.algorithms
    const pair = yield* pairOf(alg)
    const now = yield* seconds
    const token = yield* sign(pair, { iat: now, exp: now + 3600, ...claims, ...changes }, { typ })
    return { token, live: Tokens.layer(policy).pipe(Layer.provide(keysOf([pair], policy.issuers.map(nameOf)))) }
  })

/** Whether a token of a sample, changed, is accepted by a policy; the code of its refusal otherwise. */
const judge = (policy: ValidationPolicy.Options, sample: Sample, changes?: Readonly<Record<string, unknown>>) =>
  Effect.gen(function*() {
    const { live, token } = yield* signedFor(policy, sample, changes)
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
    it.effect(`[K-28 F] ${name} ${index + 1}: takes a token of the documented shape, and none of others`, () =>
      Effect.gen(function*() {
        const sample = samples[name]?.[index] ?? { claims: {} }
        const audience = policy.audienceClaim ?? "aud"
        assert.strictEqual(yield* judge(policy, sample), "accepted")
        assert.strictEqual(yield* judge(policy, sample, { [audience]: "another" }), "TOKEN_AUDIENCE_MISMATCH")
        assert.strictEqual(yield* judge(policy, sample, { [audience]: undefined }), "TOKEN_CLAIM_MISSING")
        const other = { iss: "https://attacker.example" }
        assert.strictEqual(yield* judge(policy, sample, other), "TOKEN_ISSUER_UNTRUSTED")
        if (policy.authorizedParties !== undefined) {
          assert.strictEqual(yield* judge(policy, sample, { azp: "another" }), "VALIDATION_FAILED")
          assert.strictEqual(yield* judge(policy, sample, { azp: undefined }), "TOKEN_CLAIM_MISSING")
        }
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

  it.effect("[K-28 F] Ory: refuses an empty audience, unless the client is the audience", () =>
    Effect.gen(function*() {
      const found = cases.find(({ name }) => name === "Ory")
      const sample: Sample = {
        typ: "JWT",
        claims: { iss: "https://my-project.projects.oryapis.com", aud: [], client_id: "web", sub: "web", scp: ["read"] }
      }
      if (found === undefined) throw new Error("no policy")
      assert.strictEqual(yield* judge(found.policy, sample), "TOKEN_AUDIENCE_MISMATCH")
      const byClient: ValidationPolicy.Options = { ...found.policy, audiences: ["web"], audienceClaim: "client_id" }
      assert.strictEqual(yield* judge(byClient, sample), "accepted")
    }))

  it.effect("[K-28 F] LINE: takes tokens of web login, signed with the channel secret and without kid", () =>
    Effect.gen(function*() {
      const secret = "0123456789abcdef0123456789abcdef"
      const now = yield* seconds
      const claims = { ...samples["LINE"]?.[0]?.claims, iat: now, exp: now + 3600 }
      const token = yield* Effect.promise(() =>
        new SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(new TextEncoder().encode(secret))
      )
      const policy = ValidationPolicy.idToken({
        issuers: ["https://access.line.me"],
        audiences: ["1234567890"],
        algorithms: ["HS256"],
        nonce: "optional"
      })
      const keys = StaticKeys.layer({
        issuers: ["https://access.line.me"],
        keys: [{ algorithm: "HS256", secret: Redacted.make(secret) }]
      })
      const live = Tokens.layer(policy).pipe(Layer.provide(keys))
      const { registered } = yield* Tokens.use((tokens) => tokens.validate(token)).pipe(Effect.provide(live))
      assert.deepStrictEqual(registered.aud, ["1234567890"])
    }))

  it.effect("[K-28 F] AWS Application Load Balancer: refuses x-amzn-oidc-data, whose parts are padded", () =>
    Effect.gen(function*() {
      const found = cases.find(({ name }) => name === "AWS Application Load Balancer")
      if (found === undefined) throw new Error("no policy")
      const padded = (text: string) => Buffer.from(text).toString("base64").replaceAll("+", "-").replaceAll("/", "_")
      const header = {
        typ: "JWT",
        kid: "k",
        alg: "ES256",
        iss: "https://idp.example",
        client: "c",
        signer: "arn:a",
        exp: 1
      }
      const token = [padded(JSON.stringify(header)), padded(JSON.stringify({ sub: "ab" })), padded("x".repeat(64))]
        .join(".")
      const pair = yield* pairOf("RS256")
      const live = Tokens.layer(found.policy).pipe(Layer.provide(keysOf([pair], found.policy.issuers.map(nameOf))))
      const error = yield* Effect.flip(Tokens.use((tokens) => tokens.validate(token))).pipe(Effect.provide(live))
      assert.strictEqual(error.code, "TOKEN_INVALID")
      assert.include(token, "=")
      const source = "x-amzn-oidc-data"
      const refused = yield* Effect.gen(function*() {
        const api = yield* BearerAuthentication.make({ validator: Tokens, principal: Caller, header: source })
        return yield* Effect.flip(api.authenticate({ headers: [[source, token]] }))
      }).pipe(Effect.provide([live, HttpSecurity.layerRedaction(source)]))
      assert.strictEqual(refused.status, 400)
    }))

  it.effect("[K-28 F] proxies that authenticate: an API takes the token from the header that the guide names", () =>
    Effect.gen(function*() {
      const found = sections.flatMap(([name, text]) => {
        const [, header] = /HttpSecurity\.middleware\(\{.*\bheader: "([^"]+)" \}\)/.exec(text) ?? []
        return header === undefined ? [] : [{ name, text, header }]
      })
      assert.deepStrictEqual(found.map(({ name }) => name), [
        "Google Cloud IAP",
        "AWS Application Load Balancer",
        "Cloudflare Access"
      ])
      for (const { header, name, text } of found) {
        assert.include(text, `HttpSecurity.layerRedaction("${header}")`, name)
        const [policy] = policiesIn(text)
        const [sample] = samples[name] ?? []
        if (policy === undefined || sample === undefined) throw new Error(name)
        const { live, token } = yield* signedFor(policy, sample)
        yield* Effect.gen(function*() {
          const { authenticate } = yield* BearerAuthentication.make({ validator: Tokens, principal: Caller, header })
          const admitted = yield* authenticate({ headers: [[header.toLowerCase(), token]] })
          assert.strictEqual(admitted.subject, sample.claims["sub"], name)
          const elsewhere = yield* Effect.flip(authenticate({ headers: [["x-other", token]] }))
          assert.strictEqual(elsewhere.code, "TOKEN_MISSING", name)
        }).pipe(Effect.provide([live, HttpSecurity.layerRedaction(header)]))
      }
    }))

  it("[K-28 F] Kubernetes: the egress that has a token is limited to the host of the keys", () => {
    const text = sections.find(([name]) => name === "Kubernetes service accounts")?.[1] ?? ""
    assert.match(text, /allowedHosts: \["kubernetes\.default\.svc"\][\s\S]*bearerTokenFile: /)
    assert.match(text, /url: "https:\/\/kubernetes\.default\.svc\//)
  })

  it.effect("[K-28 F] Explain leads the reader of a rejected token to the section of the provider", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      /** Providers whose issuer may be any host, and the load balancer, whose tokens are those of Cognito. */
      const unknown = new Set(["PingFederate", "SPIFFE", "AWS Application Load Balancer"])
      for (const { name, policy } of cases) {
        const live = Tokens.layer(policy).pipe(Layer.provide(keysOf([pair], policy.issuers.map(nameOf))))
        const explanation = yield* Explain.explain(Tokens, "not.a.token").pipe(Effect.provide(live))
        const anchor = explanation.guide?.replace("https://keelson.dev/docs/guides/identity-providers", "")
        if (unknown.has(name)) continue
        assert.include(guide, `[${name}](${anchor})`, name)
        assert.include(Explain.render(explanation), explanation.guide ?? name)
      }
      const other = ValidationPolicy.jwt({ issuers: ["https://idp.example"], audiences: ["a"], algorithms: ["RS256"] })
      const live = Tokens.layer(other).pipe(Layer.provide(keysOf([pair], ["https://idp.example"])))
      const explanation = yield* Explain.explain(Tokens, "not.a.token").pipe(Effect.provide(live))
      assert.notProperty(explanation, "guide")
    }))

  it("[K-28 F] has a section for each provider, and an index of all", () => {
    const names = sections.map(([name]) => name)
    for (const name of names) assert.include(guide, `[${name}](#`)
    assert.isAtLeast(Object.keys(samples).length, 24)
  })

  it("every section says what was read", () => {
    for (const [name, text] of sections.filter(([name]) => name in samples)) {
      assert.match(text, /^Read: \[[^\]]+\]\(https:\/\//m, name)
    }
  })
})
