import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { assertionAudience, grantProvider } from "@keelson/testing/grantProvider"
import { quiet, recording, spanText } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { importJWK, SignJWT } from "jose"
import { inspect } from "node:util"
import * as OAuth from "oauth4webapi"
import * as OpenId from "openid-client"
import { CallerGuard, ClientAuth, OAuthClient, TokenHttpClient, TokenProvider, TokenSource } from "../src/index.ts"
import { api, callerOf, sentBy } from "./callerSupport.ts"
import { detailsOf, textOf } from "./tokenSupport.ts"

const secret = "s3cr3t/of the+tests"
const clients = [{ client_id: "middle tier", client_secret: secret }]
const auth = ClientAuth.secretBasic(Redacted.make(secret))
const exp = 4_000_000_000

const setup = Effect.gen(function*() {
  const provider = yield* grantProvider(clients)
  const client = { issuer: provider.issuer, clientId: "middle tier", auth, allowLocalhost: true }
  return { provider, client }
})

/** A guard over an API that responds with the token that it received. */
const guardOf = (source: TokenSource.SubjectSource) =>
  Effect.provideService(
    CallerGuard.make({ name: "api", origins: [api], source }),
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.succeed(
        HttpClientResponse.fromWeb(request, new Response(request.headers["authorization"]?.replace("Bearer ", "")))
      )
    )
  )

/** A JWT that the provider accepts as an assertion for a person. */
const assertionFor = (key: Parameters<typeof importJWK>[0], sub: string) =>
  Effect.promise(async () =>
    new SignJWT({ sub }).setProtectedHeader({ alg: "ES256" }).setAudience(assertionAudience).setExpirationTime(
      "5 minutes"
    )
      .sign(await importJWK(key, "ES256"))
  )

describe("OAuthClient.tokenExchange at a real authorization server", () => {
  it.live("[K-38] exchanges each caller's token for one of the same person, for scope and audience", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* setup
      const guard = yield* guardOf(OAuthClient.tokenExchange({ ...client, audience: "billing", scope: "read" }))
      for (const name of ["ada", "bob"]) {
        const token = Redacted.make(yield* provider.tokenFor(name))
        const issued = yield* sentBy(guard.onBehalfOf(token, callerOf(name, exp)))
        assert.notStrictEqual(issued, Redacted.value(token))
        const stored = yield* provider.find(issued)
        assert.strictEqual(stored?.accountId, name)
        assert.deepInclude(stored?.grant, { audience: "billing" })
        assert.strictEqual(stored?.scope, "read")
      }
      const token = Redacted.make(yield* provider.tokenFor("ada"))
      const narrowed = guard.onBehalfOf(token, callerOf("ada", exp), { scope: "write", audience: "mail" })
      const stored = yield* provider.find(yield* sentBy(narrowed))
      assert.strictEqual(stored?.scope, "write")
      assert.deepInclude(stored?.grant, { audience: "mail" })
    }).pipe(Effect.scoped, quiet))

  it.live("[K-38] names the actor, whose token is read for each request", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* setup
      const actors = ["robot-1", "robot-2"]
      const actorToken = Effect.flatMap(
        Effect.sync(() => actors.shift() ?? ""),
        (name) => Effect.map(provider.tokenFor(name), (token) => Redacted.make(token))
      )
      const guard = yield* guardOf(OAuthClient.tokenExchange({ ...client, actorToken }))
      for (const [name, actor] of [["ada", "robot-1"], ["bob", "robot-2"]] as const) {
        const token = Redacted.make(yield* provider.tokenFor(name))
        const stored = yield* provider.find(yield* sentBy(guard.onBehalfOf(token, callerOf(name, exp))))
        assert.deepInclude(stored?.grant, { act: { sub: actor } })
      }
    }).pipe(Effect.scoped, quiet))

  it.live("[K-38] a token that the server does not know is SUBJECT_TOKEN_REJECTED with the OAuth error, sent once", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* setup
      const guard = yield* guardOf(OAuthClient.tokenExchange(client))
      const error = yield* Effect.flip(sentBy(guard.onBehalfOf(Redacted.make("unknown"), callerOf("eve", exp))))
      assert.deepInclude(error, { code: "SUBJECT_TOKEN_REJECTED", status: 401 })
      assert.deepInclude(detailsOf(error), {
        error: "invalid_grant",
        status: 400,
        server: "api",
        attempts: 1,
        endpoint: `${provider.issuer}/token`
      })
      assert.lengthOf(provider.requests, 1)
      // An audience that the server does not allow concerns this caller too.
      const token = Redacted.make(yield* provider.tokenFor("ada"))
      const other = guard.onBehalfOf(token, callerOf("ada", exp), { audience: "unknown" })
      assert.deepInclude(yield* Effect.flip(sentBy(other)), { code: "SUBJECT_TOKEN_REJECTED" })
    }).pipe(Effect.scoped, quiet))

  it.live("[K-38] a wrong secret of the client concerns all callers: TOKEN_ACQUISITION_FAILED", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* setup
      const wrong = ClientAuth.secretBasic(Redacted.make("wrong"))
      const guard = yield* guardOf(OAuthClient.tokenExchange({ ...client, auth: wrong }))
      const token = Redacted.make(yield* provider.tokenFor("ada"))
      const error = yield* Effect.flip(sentBy(guard.onBehalfOf(token, callerOf("ada", exp))))
      assert.deepInclude(error, { code: "TOKEN_ACQUISITION_FAILED" })
    }).pipe(Effect.scoped, quiet))

  it.live("[K-38] forSubject exchanges the token of a workload, which is read for each request", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* setup
      let reads = 0
      const token = Effect.map(
        Effect.suspend(() => provider.tokenFor(`workload-${++reads}`)),
        (text) => Redacted.make(`${text}\n`)
      )
      const source = TokenSource.forSubject(OAuthClient.tokenExchange(client), token)
      const tokens = yield* TokenProvider.make({ name: "idp", source })
      assert.strictEqual((yield* provider.find(textOf(yield* tokens.get)))?.accountId, "workload-1")
      assert.strictEqual((yield* provider.find(textOf(yield* tokens.refresh)))?.accountId, "workload-2")
      const empty = yield* Effect.flip(
        TokenSource.forSubject(OAuthClient.tokenExchange(client), Redacted.make(" ")).acquire
      )
      assert.deepInclude(empty, { code: "KEY_INVALID" })
    }).pipe(Effect.scoped, quiet))
})

describe("OAuthClient.jwtBearer at a real authorization server", () => {
  it.live("[K-38] presents the caller's token as an assertion, with the parameters of the server", () =>
    Effect.gen(function*() {
      const { client, provider } = yield* setup
      const source = OAuthClient.jwtBearer({
        ...client,
        scope: "read",
        parameters: { requested_token_use: "on_behalf_of" }
      })
      const guard = yield* guardOf(source)
      for (const name of ["ada", "bob"]) {
        const token = Redacted.make(yield* assertionFor(provider.key, name))
        const stored = yield* provider.find(yield* sentBy(guard.onBehalfOf(token, callerOf(name, exp))))
        assert.strictEqual(stored?.accountId, name)
        assert.deepInclude(stored?.grant, { use: "on_behalf_of" })
      }
      const error = yield* Effect.flip(sentBy(guard.onBehalfOf(Redacted.make("a.b.c"), callerOf("eve", exp))))
      assert.deepInclude(error, { code: "SUBJECT_TOKEN_REJECTED" })
    }).pipe(Effect.scoped, quiet))
})

describe("The requests of both grants", () => {
  const endpoint = "https://idp.example/token"
  const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

  const sorted = (form = new URLSearchParams()) => {
    form.sort()
    return [...form]
  }

  /** The form that a source sends, and a response. */
  const formOf = (source: TokenSource.SubjectSource, json: object = {}) =>
    Effect.gen(function*() {
      const forms: Array<URLSearchParams> = []
      const server = HttpClient.make((request) => {
        if (request.body._tag === "Uint8Array") {
          forms.push(new URLSearchParams(new TextDecoder().decode(request.body.body)))
        }
        const body = { access_token: "a", token_type: "Bearer", issued_token_type: accessTokenType, ...json }
        return Effect.succeed(HttpClientResponse.fromWeb(request, Response.json(body)))
      })
      const exit = yield* Effect.result(source.acquireFor(Redacted.make("the subject's"), {})).pipe(
        Effect.provideService(TokenHttpClient.TokenHttpClient, server)
      )
      return { form: sorted(forms[0]), exit }
    })

  const options = { tokenEndpoint: endpoint, clientId: "c", auth: ClientAuth.secretPost(Redacted.make("s")) }

  /** The form of the same request by oauth4webapi and by openid-client. */
  const formsOfOthers = (grantType: string, parameters: Record<string, string>) =>
    Effect.promise(async () => {
      const forms: Array<ReadonlyArray<readonly [string, string]>> = []
      const customFetch = async (_: string, { body }: { readonly body: unknown }) => {
        forms.push(sorted(new URLSearchParams(String(body))))
        return Response.json({ access_token: "a", token_type: "Bearer" })
      }
      const server = { issuer: "https://idp.example", token_endpoint: endpoint }
      await OAuth.genericTokenEndpointRequest(
        server,
        { client_id: "c" },
        OAuth.ClientSecretPost("s"),
        grantType,
        parameters,
        {
          [OAuth.customFetch]: customFetch
        }
      )
      const config = new OpenId.Configuration(server, "c", undefined, OpenId.ClientSecretPost("s"))
      config[OpenId.customFetch] = customFetch
      await OpenId.genericGrantRequest(config, grantType, parameters)
      return forms
    })

  it.effect("[K-38] token exchange sends what oauth4webapi and openid-client send", () =>
    Effect.gen(function*() {
      const { form } = yield* formOf(OAuthClient.tokenExchange({
        ...options,
        scope: "read",
        audience: "billing",
        resource: "https://billing.example",
        actorToken: Redacted.make("the actor's"),
        actorTokenType: "urn:ietf:params:oauth:token-type:jwt",
        requestedTokenType: accessTokenType
      }))
      const others = yield* formsOfOthers("urn:ietf:params:oauth:grant-type:token-exchange", {
        subject_token: "the subject's",
        subject_token_type: accessTokenType,
        actor_token: "the actor's",
        actor_token_type: "urn:ietf:params:oauth:token-type:jwt",
        requested_token_type: accessTokenType,
        scope: "read",
        audience: "billing",
        resource: "https://billing.example"
      })
      assert.deepStrictEqual(others, [form, form])
    }))

  it.effect("[K-38] JWT bearer sends what oauth4webapi and openid-client send", () =>
    Effect.gen(function*() {
      const parameters = { requested_token_use: "on_behalf_of" }
      const { form } = yield* formOf(OAuthClient.jwtBearer({ ...options, scope: "read", parameters }))
      const others = yield* formsOfOthers("urn:ietf:params:oauth:grant-type:jwt-bearer", {
        assertion: "the subject's",
        scope: "read",
        ...parameters
      })
      assert.deepStrictEqual(others, [form, form])
    }))

  const jwt = "urn:ietf:params:oauth:token-type:jwt"
  const issued: ReadonlyArray<readonly [requested: string | undefined, issued: unknown, isAccepted: boolean]> = [
    [undefined, accessTokenType, true],
    [undefined, jwt, true],
    [undefined, undefined, true],
    [undefined, "urn:ietf:params:oauth:token-type:refresh_token", false],
    [undefined, "urn:ietf:params:oauth:token-type:id_token", false],
    [undefined, 5, false],
    [undefined, null, false],
    [accessTokenType, accessTokenType, true],
    [accessTokenType, undefined, true],
    [accessTokenType, jwt, false],
    [jwt, jwt, true],
    [jwt, undefined, false],
    [jwt, accessTokenType, false]
  ]
  for (const [requestedTokenType, issuedType, isAccepted] of issued) {
    const given = issuedType === undefined ? "none" : JSON.stringify(issuedType)
    it.effect(`[K-38] requested ${requestedTokenType ?? "any"}, issued ${given}: ${isAccepted ? "accepted" : "rejected"}`, () =>
      Effect.gen(function*() {
        const source = OAuthClient.tokenExchange({ ...options, requestedTokenType })
        const { exit } = yield* formOf(source, { issued_token_type: issuedType })
        if (isAccepted) {
          assert.strictEqual(exit._tag, "Success")
          const deviations = exit._tag === "Success" ? exit.success.deviations : undefined
          assert.lengthOf(deviations ?? [], issuedType === undefined ? 1 : 0)
        } else {
          assert.deepInclude(exit._tag === "Failure" ? exit.failure : undefined, { code: "TOKEN_RESPONSE_INVALID" })
        }
      }))
  }

  it("wrong options throw, naming the option", () => {
    const make = (more: object) => () => OAuthClient.tokenExchange({ ...options, ...more })
    assert.throws(make({ subjectTokenType: "" }), /subjectTokenType/)
    for (const name of ["subject_token", "assertion", "actor_token_type", "requested_token_type"]) {
      assert.throws(make({ parameters: { [name]: "x" } }), /parameters/)
    }
  })
})

describe("Secrets", () => {
  it.effect("[R21] no error, log, span or metric shows the tokens, assertions and keys of a request, whatever the server answers", () => {
    const { lines, record, spans } = recording()
    return Effect.gen(function*() {
      const secrets = {
        subject: "SecretSubjectToken0123",
        actor: "SecretActorToken0123",
        assertion: "SecretAssertion0123",
        issued: "SecretIssued0123",
        audience: "https://idp.example/token"
      }
      const answers = [
        Response.json({ error: "invalid_grant", error_description: secrets.subject }, { status: 400 }),
        Response.json({ error: secrets.subject }, { status: 400 }),
        Response.json({ error: "invalid_client", error_uri: secrets.assertion }, { status: 401 }),
        Response.json({ access_token: secrets.issued, token_type: secrets.actor }),
        Response.json({ access_token: secrets.issued, token_type: "Bearer", issued_token_type: secrets.subject }),
        Response.json({ access_token: `${secrets.issued}\u0000`, token_type: "Bearer" }),
        new Response(`<p>${secrets.actor}</p>`, { status: 502 }),
        new Response(null, { status: 302, headers: { location: `https://evil.example/?t=${secrets.actor}` } })
      ]
      const seen: Array<unknown> = []
      for (const answer of answers) {
        const server = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, answer)))
        const source = OAuthClient.tokenExchange({
          tokenEndpoint: secrets.audience,
          clientId: "c",
          auth: ClientAuth.clientAssertion(Redacted.make(secrets.assertion)),
          actorToken: Redacted.make(secrets.actor)
        })
        const failed = Effect.gen(function*() {
          const guard = yield* guardOf(source)
          return yield* Effect.flip(
            guard.onBehalfOf(Redacted.make(secrets.subject), callerOf("SecretSub0123", exp)).token
          )
        })
        const error = yield* record(Effect.scoped(failed)).pipe(
          Effect.provideService(TokenHttpClient.TokenHttpClient, server)
        )
        assert.property(error, "code")
        seen.push(error)
      }
      assert.lengthOf(seen, answers.length)
      const text = [
        ...seen.map((value) =>
          `${inspect(value, { depth: 12, showHidden: true })} ${JSON.stringify(Problem.encode(value))}`
        ),
        ...lines,
        ...spans.map(spanText),
        yield* PrometheusEndpoint.format
      ].join("\n")
      for (const secret of [secrets.subject, secrets.actor, secrets.assertion, secrets.issued, "SecretSub0123"]) {
        assert.notInclude(text, secret)
      }
    }).pipe(Effect.provide(Metrics.layerIsolated))
  })
})
