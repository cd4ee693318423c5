import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { keyOrigin, sending } from "@keelson/testing/keyOrigin"
import { metric, quiet, recording } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import {
  ClientAuth,
  OAuthClient,
  OAuthOptions,
  RefreshTokenStore,
  TokenHttpClient,
  TokenProvider
} from "../src/index.ts"
import { detailsOf, textOf } from "./tokenSupport.ts"

type Handle = Parameters<typeof keyOrigin>[0]
type Members = Readonly<Record<string, unknown>>

const json = { "content-type": "application/json" }
const auth = ClientAuth.secretBasic(Redacted.make("a secret of the client"))

const answer = (body: Members | string, status = 200): Handle => (_, response) => {
  response.writeHead(status, json).end(typeof body === "string" ? body : JSON.stringify(body))
}

const good: Members = { access_token: "good", token_type: "Bearer", expires_in: 600 }

/** A provider for client credentials. */
const providerAt = Effect.fnUntraced(function*(handle: Handle) {
  const origin = yield* keyOrigin(handle)
  const tokenEndpoint = `http://127.0.0.1:${origin.port}/token`
  const source = OAuthClient.clientCredentials({ tokenEndpoint, clientId: "client", auth, allowLocalhost: true })
  return { origin, provider: yield* TokenProvider.make({ name: "idp", source }) }
})

/** A provider for a refresh token, with the refresh tokens that were sent and saved. `reply` gets the number of the request. */
const refreshing = Effect.fnUntraced(function*(
  reply: (number: number) => readonly [status: number, body: Members | string],
  options: Partial<OAuthClient.RefreshOptions> = {}
) {
  const sent: Array<string | null> = []
  const saved: Array<string> = []
  const memory = RefreshTokenStore.memory(Redacted.make("first"))
  const store: RefreshTokenStore.RefreshTokenStore = {
    load: memory.load,
    save: (token) => Effect.tap(memory.save(token), () => Effect.sync(() => saved.push(Redacted.value(token))))
  }
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const number = sent.push(new URLSearchParams(body).get("refresh_token"))
      const [status, text] = reply(number)
      const content = typeof text === "string" ? text : JSON.stringify(text)
      return HttpClientResponse.fromWeb(request, new Response(content, { status }))
    })
  )
  const source = OAuthClient.refreshToken({
    tokenEndpoint: "https://idp.example/token",
    clientId: "web",
    auth,
    store,
    ...options
  })
  const provider = yield* TokenProvider.make({ name: "idp", source }).pipe(
    Effect.provideService(TokenHttpClient.TokenHttpClient, client)
  )
  return { provider, sent, saved, store, source }
})

describe("token responses of real servers", () => {
  describe("harmless deviations", () => {
    const accepted: ReadonlyArray<
      readonly [what: string, members: Members, status: number, kinds: ReadonlyArray<string>]
    > = [
      ["a scope that is a list (Twitch)", { scope: ["read", "write"] }, 200, ["scope"]],
      ["a scope that is null", { scope: null }, 200, ["scope"]],
      ["a scope of another type", { scope: { read: true } }, 200, ["scope"]],
      ["no token_type (LinkedIn)", { token_type: undefined }, 200, ["token_type"]],
      ["a token_type that is null", { token_type: null }, 200, ["token_type"]],
      ["a token_type of BearerToken (Apigee)", { token_type: "BearerToken" }, 200, ["token_type"]],
      ["status 201", {}, 201, ["status"]],
      ["expires_in null", { expires_in: null }, 200, ["expires_in"]],
      ["an empty expires_in (ADFS, go-autorest#599)", { expires_in: "" }, 200, ["expires_in"]],
      ["expires_in as text", { expires_in: "600" }, 200, ["expires_in"]],
      ["refresh_token null", { refresh_token: null }, 200, ["refresh_token"]],
      ["an empty refresh_token", { refresh_token: "" }, 200, ["refresh_token"]],
      ["all of them", { scope: [], token_type: "", expires_in: null, refresh_token: null }, 201, [
        "status",
        "token_type",
        "expires_in",
        "scope",
        "refresh_token"
      ]],
      ["none of them", { token_type: "bearer", scope: "read", id_token: "not.a.token", error: null }, 200, []]
    ]
    for (const [what, members, status, kinds] of accepted) {
      it.live(`[K-28 C3] a token response with ${what} is accepted, logged once and counted`, () => {
        const { lines, record } = recording()
        return Effect.gen(function*() {
          const { provider } = yield* providerAt(answer({ ...good, ...members }, status))
          assert.strictEqual(textOf(yield* provider.get), "good")
          yield* provider.refresh
          for (const kind of ["status", "token_type", "expires_in", "scope", "refresh_token"]) {
            const isCounted = kinds.includes(kind)
            const text = yield* PrometheusEndpoint.format
            assert.strictEqual(text.includes(`server="idp",kind="${kind}"`), isCounted, kind)
            const logged = lines.filter((line) => line.includes("deviates") && line.includes(`"member":"${kind}"`))
            assert.strictEqual(logged.length, isCounted ? 1 : 0, kind)
          }
          assert.strictEqual(lines.filter((line) => line.includes("\"WARN\"")).length, kinds.length)
          assert.isEmpty(lines.filter((line) => line.includes("good")))
        }).pipe(Effect.scoped, record, Effect.provide(Metrics.layerIsolated))
      })
    }

    it.live("[K-28 C3] a scope that is a list is the granted scope; without a usable one it is unknown", () =>
      Effect.gen(function*() {
        for (
          const [scope, granted, scoped] of [
            [["read", "write"], "read write", true],
            ["read", "read", true],
            ["", "", false],
            [[], "", false],
            [["read", 7], undefined, "unknown"],
            [null, undefined, "unknown"],
            [undefined, undefined, "unknown"]
          ] as const
        ) {
          const { provider } = yield* providerAt(answer({ ...good, scope }))
          const token = yield* provider.get
          assert.deepStrictEqual([token.scope, token.scoped], [granted, scoped])
        }
      }).pipe(Effect.scoped, quiet))

    it.live("[K-28 C3] each accepted deviation is counted for each response", () =>
      Effect.gen(function*() {
        const { provider } = yield* providerAt(answer({ ...good, scope: ["read"] }))
        yield* provider.get
        yield* provider.refresh
        assert.strictEqual(yield* metric("token_response_deviations_total", "server=\"idp\",kind=\"scope\""), 2)
      }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

    it.effect("[K-28 C3] a token_type of one server is accepted if an option names it, and the error names the option", () =>
      Effect.gen(function*() {
        const body = { ...good, token_type: "Application Access Token", refresh_token: "next" }
        const strict = yield* refreshing(() => [200, body])
        const error = yield* Effect.flip(strict.provider.get)
        assert.strictEqual(error.code, "TOKEN_RESPONSE_INVALID")
        assert.include(error.message, "tokenTypes")
        assert.deepStrictEqual(strict.saved, ["next"])
        const lenient = yield* refreshing(() => [200, body], { tokenTypes: ["application access token"] })
        assert.strictEqual(textOf(yield* lenient.provider.get), "good")
        const options = yield* Configuration.decode(OAuthOptions.OAuthOptions)({
          tokenEndpoint: "https://idp.example/token",
          clientId: "client",
          clientSecret: "secret",
          tokenTypes: ["Application Access Token"]
        })
        const client = HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, Response.json(body)))
        )
        const provider = yield* TokenProvider.make({ name: "idp", source: yield* OAuthClient.fromOptions(options) })
          .pipe(
            Effect.provideService(TokenHttpClient.TokenHttpClient, client)
          )
        assert.strictEqual(textOf(yield* provider.get), "good")
        const tooMany = Configuration.decode(OAuthOptions.OAuthOptions)({
          ...options,
          tokenTypes: Array.from({ length: 21 }, () => "x")
        })
        assert.include(JSON.stringify((yield* Effect.flip(tooMany)).details), "tokenTypes")
      }).pipe(Effect.scoped, quiet))

    it.live("[K-28 C7] a token request has no charset in its content type", () =>
      Effect.gen(function*() {
        const { origin, provider } = yield* providerAt(sending(JSON.stringify(good), json))
        yield* provider.get
        assert.strictEqual(origin.headers[0]?.["content-type"], "application/x-www-form-urlencoded")
      }).pipe(Effect.scoped, quiet))
  })

  describe("refresh tokens", () => {
    const harmless: ReadonlyArray<readonly [string, Members]> = [
      ["a scope that is a list", { scope: ["read"] }],
      ["no token_type", { token_type: undefined }],
      ["expires_in null", { expires_in: null }]
    ]
    for (const [what, members] of harmless) {
      it.effect(`[K-28 C1] [R14] a refresh response with ${what} rotates the refresh token`, () =>
        Effect.gen(function*() {
          const { provider, saved, sent } = yield* refreshing((number) => [
            200,
            { ...good, refresh_token: `next-${number}`, ...members }
          ])
          yield* provider.get
          yield* provider.refresh
          assert.deepStrictEqual([sent, saved], [["first", "next-1"], ["next-1", "next-2"]])
        }).pipe(Effect.scoped, quiet))
    }

    const form = (members: Readonly<Record<string, string>>): string => new URLSearchParams(members).toString()
    const forms: ReadonlyArray<readonly [what: string, body: (next: string) => Members | string, received: string]> = [
      [
        "a form (GitHub without Accept)",
        (next) => form({ access_token: "good", token_type: "bearer", expires_in: "600", refresh_token: next }),
        "a form"
      ],
      [
        "its members in data (TikTok, Lark)",
        (next) => ({ code: 0, message: "ok", data: { ...good, refresh_token: next } }),
        "an object in the member data"
      ],
      ["a refresh token in data only", (next) => ({ data: { refresh_token: next } }), "nothing"]
    ]
    for (const [what, body, form] of forms) {
      it.effect(`[K-28 C1] [R14] a refresh response with ${what} rotates the refresh token, and the deviation is logged`, () => {
        const { lines, record } = recording()
        return Effect.gen(function*() {
          const { provider, saved, sent } = yield* refreshing((number) => [200, body(`next-${number}`)])
          yield* Effect.exit(provider.get)
          yield* Effect.exit(provider.refresh)
          assert.deepStrictEqual([sent, saved], [["first", "next-1"], ["next-1", "next-2"]])
          const logged = lines.filter((line) => line.includes("\"member\":\"body\"") && line.includes(form))
          assert.strictEqual(logged.length, form === "nothing" ? 0 : 1)
          assert.isEmpty(lines.filter((line) => line.includes("next-")))
        }).pipe(Effect.scoped, record)
      })
    }

    it.effect("[K-28 C4] an OAuth error in a form is a refusal with its code, and the dead refresh token is not sent again", () =>
      Effect.gen(function*() {
        const body = form({ error: "bad_refresh_token", error_description: "The refresh token passed is incorrect" })
        const { provider, sent } = yield* refreshing(() => [200, body])
        const error = yield* Effect.flip(provider.get)
        assert.deepStrictEqual([error.code, detailsOf(error)["error"]], [
          "TOKEN_ACQUISITION_FAILED",
          "bad_refresh_token"
        ])
        yield* Effect.flip(provider.get)
        assert.deepStrictEqual(sent, ["first"])
      }).pipe(Effect.scoped, quiet))

    const notForms: ReadonlyArray<readonly [what: string, type: string, body: string]> = [
      ["a login page", "text/html", "<p>access_token=good&refresh_token=next</p>"],
      ["a form of another type", "text/html", form({ access_token: "good", token_type: "bearer" })],
      ["a form with two access tokens", "application/x-www-form-urlencoded", "access_token=good&access_token=other"],
      ["text that is no form", "text/plain", "Bad gateway"],
      ["a list in data", "application/json", JSON.stringify({ data: [good] })],
      ["data within data", "application/json", JSON.stringify({ data: { data: good } })]
    ]
    for (const [what, type, body] of notForms) {
      it.live(`[K-28 C3] ${what} is no token response`, () =>
        Effect.gen(function*() {
          const { provider } = yield* providerAt((_, response) => {
            response.writeHead(200, { "content-type": type }).end(body)
          })
          assert.strictEqual((yield* Effect.flip(provider.get)).code, "TOKEN_RESPONSE_INVALID")
        }).pipe(Effect.scoped, quiet))
    }

    const unusable: ReadonlyArray<readonly [what: string, members: Members, reason: string]> = [
      ["a token_type of DPoP", { token_type: "DPoP" }, "token_type"],
      ["an expires_in with a unit", { expires_in: "10m" }, "expires_in"],
      ["no access_token", { access_token: undefined }, "access_token"],
      ["an access_token that a header cannot carry", { access_token: "a b" }, "access_token"]
    ]
    for (const [what, members, reason] of unusable) {
      it.effect(`[K-28 C1] [R14] a refresh response with ${what} fails after its refresh token was saved, which is sent next`, () =>
        Effect.gen(function*() {
          const { provider, saved, sent } = yield* refreshing((number) => [
            200,
            number === 1 ? { ...good, refresh_token: "next", ...members } : good
          ])
          const error = yield* Effect.flip(provider.get)
          assert.deepStrictEqual([error.code, detailsOf(error)["reason"]], ["TOKEN_RESPONSE_INVALID", reason])
          assert.deepStrictEqual(saved, ["next"])
          yield* provider.get
          assert.deepStrictEqual(sent, ["first", "next"])
        }).pipe(Effect.scoped, quiet))
    }

    it.effect("[K-28 C1] [R14] a lifetime that the policy rejects does not lose the refresh token", () =>
      Effect.gen(function*() {
        const { provider, saved, sent } = yield* refreshing((number) => [
          200,
          {
            ...good,
            access_token: `token-${number}`,
            refresh_token: `next-${number}`,
            expires_in: number === 1 ? 5 : 600
          }
        ])
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "INVALID_CONFIG")
        yield* provider.get
        assert.deepStrictEqual([sent, saved], [["first", "next-1"], ["next-1", "next-2"]])
      }).pipe(Effect.scoped, quiet))

    it.effect("[K-28 C1] [R14] an unusable access token without a new refresh token leaves the old one in use", () =>
      Effect.gen(function*() {
        const { provider, saved, sent } = yield* refreshing((number) => [
          200,
          number === 1 ? { ...good, token_type: "mac" } : good
        ])
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "TOKEN_RESPONSE_INVALID")
        yield* provider.get
        assert.deepStrictEqual([sent, saved], [["first", "first"], []])
      }).pipe(Effect.scoped, quiet))

    for (const refresh of [null, "", undefined, "first", 7]) {
      it.effect(`[K-28 C2] [R14] the refresh_token ${JSON.stringify(refresh) ?? "left out"} keeps the old one`, () =>
        Effect.gen(function*() {
          const { provider, saved, sent } = yield* refreshing(() => [200, { ...good, refresh_token: refresh }])
          for (let i = 0; i < 3; i++) yield* provider.refresh
          assert.deepStrictEqual([sent, saved], [["first", "first", "first"], []])
        }).pipe(Effect.scoped, quiet))
    }

    it.effect("[K-28 C5] a store that returns a value that is not Redacted fails the acquisition, which is counted", () =>
      Effect.gen(function*() {
        const values: Array<any> = ["plain text", null, 7]
        const memory = RefreshTokenStore.memory(Redacted.make("first"))
        const load = Effect.suspend(() => values.length === 0 ? memory.load : Effect.sync(() => values.shift()))
        const { provider, sent } = yield* refreshing(() => [200, good], { store: { ...memory, load } })
        for (let failures = 1; failures < 4; failures++) {
          const error = yield* Effect.flip(provider.get)
          assert.deepStrictEqual(detailsOf(error)["reason"], "store")
          assert.strictEqual((yield* provider.status).counts.failures, failures)
        }
        yield* provider.get
        assert.deepStrictEqual(sent, ["first"])
      }).pipe(Effect.scoped, quiet))

    it.effect("[K-28 C5] an empty refresh token in the store is a missing one, and is not sent", () =>
      Effect.gen(function*() {
        const { provider, sent, store } = yield* refreshing(() => [200, good])
        yield* store.save(Redacted.make(""))
        const error = yield* Effect.flip(provider.get)
        assert.deepStrictEqual([error.code, detailsOf(error)["reason"]], ["TOKEN_REFRESH_FAILED", "missing"])
        yield* store.save(Redacted.make("second"))
        yield* provider.get
        assert.deepStrictEqual(sent, ["second"])
      }).pipe(Effect.scoped, quiet))
  })

  describe("refusals", () => {
    const refusals: ReadonlyArray<readonly [status: number, error: unknown, shown: string]> = [
      [200, "invalid_client", "invalid_client"],
      [200, "incorrect_client_credentials", "incorrect_client_credentials"],
      [201, "invalid_scope", "invalid_scope"],
      [200, "A Text Of The Server", "unregistered"],
      [200, { code: 190 }, "unregistered"],
      [400, "unsupported_over_http", "unsupported_over_http"],
      [400, "0123456789abcdef", "unregistered"],
      [403, "access_denied", "access_denied"],
      [500, "invalid_client", "invalid_client"]
    ]
    for (const [status, error, shown] of refusals) {
      it.live(`[K-28 C4] [R15] status ${status} with the error ${JSON.stringify(error)} is a refusal with the code ${shown}`, () =>
        Effect.gen(function*() {
          const { origin, provider } = yield* providerAt(answer({ error, error_description: "private" }, status))
          const failure = yield* Effect.flip(provider.get)
          assert.strictEqual(failure.code, "TOKEN_ACQUISITION_FAILED")
          assert.deepInclude(detailsOf(failure), { error: shown, status })
          assert.strictEqual(origin.requests.length, 1)
        }).pipe(Effect.scoped, quiet))
    }

    it.live("[K-28 C4] an error beside an access token is no refusal", () =>
      Effect.gen(function*() {
        for (const error of ["invalid_scope", "", null, false]) {
          const { provider } = yield* providerAt(answer({ ...good, error }))
          assert.strictEqual(textOf(yield* provider.get), "good")
        }
      }).pipe(Effect.scoped, quiet))

    const dead: ReadonlyArray<readonly [status: number, error: string, options: Partial<OAuthClient.RefreshOptions>]> =
      [
        [400, "invalid_grant", {}],
        [200, "invalid_grant", {}],
        [503, "invalid_grant", {}],
        [200, "bad_refresh_token", {}],
        [200, "invalid_refresh_token", {}],
        [400, "session_expired", { fatalErrors: ["session_expired"] }],
        [503, "Session Expired", { fatalErrors: ["Session Expired"] }],
        [400, "invalid_grant", { rotates: false }]
      ]
    for (const [status, error, options] of dead) {
      it.effect(
        `[K-28 C4] [R14] after ${status} with ${error} a ${
          options.rotates === false ? "lasting " : ""
        }refresh token is not sent again`,
        () =>
          Effect.gen(function*() {
            const { provider, sent, store } = yield* refreshing(
              (number) => number === 1 ? [status, { error }] : [200, good],
              options
            )
            const first = yield* Effect.flip(provider.get)
            assert.deepStrictEqual([first.code, detailsOf(first)["error"]], ["TOKEN_ACQUISITION_FAILED", error])
            const second = yield* Effect.flip(provider.get)
            assert.deepStrictEqual([second.code, detailsOf(second)["reason"]], ["TOKEN_REFRESH_FAILED", "refused"])
            assert.deepStrictEqual(sent, ["first"])
            yield* store.save(Redacted.make("second"))
            yield* provider.get
            assert.deepStrictEqual(sent, ["first", "second"])
          }).pipe(Effect.scoped, quiet)
      )
    }

    it.effect("[K-28 C4] [R14] an error that is not fatal leaves the refresh token in use", () =>
      Effect.gen(function*() {
        const { provider, sent } = yield* refreshing((number) =>
          number === 1 ? [200, { error: "try_again" }] : [200, good]
        )
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "TOKEN_ACQUISITION_FAILED")
        yield* provider.get
        assert.deepStrictEqual(sent, ["first", "first"])
      }).pipe(Effect.scoped, quiet))

    it("[K-28 C4] fatalErrors are at most 100 texts", () => {
      const make = (fatalErrors: ReadonlyArray<string>) => () =>
        OAuthClient.refreshToken({
          tokenEndpoint: "https://idp.example/token",
          clientId: "web",
          auth,
          store: RefreshTokenStore.memory(Redacted.make("first")),
          fatalErrors
        })
      assert.throws(make([""]), /fatalErrors/)
      assert.throws(make(Array.from({ length: 101 }, (_, index) => `error_${index}`)), /fatalErrors/)
    })
  })

  describe("delivery", () => {
    const gateway = { error: "Service Unavailable" }
    const statuses: ReadonlyArray<readonly [status: number, body: Members | string, isSentAgain: boolean]> = [
      [408, "", false],
      [500, "", false],
      [500, gateway, false],
      [501, "", false],
      [502, "", false],
      [502, gateway, false],
      [504, gateway, false],
      [520, "", false],
      [200, "<html>", false],
      [200, {}, false],
      [204, "", false],
      [304, "", false],
      [302, "", false],
      [503, "", true],
      [503, gateway, true],
      [429, gateway, true],
      [400, "", true],
      [401, { error: "invalid_client" }, true],
      [403, "", true],
      [404, "", true],
      [413, "", true],
      [500, { error: "invalid_request" }, true]
    ]
    for (const [status, body, isSentAgain] of statuses) {
      it.effect(
        `[K-28 J6] [K-28 J19] [R14] after ${status} with ${JSON.stringify(body)} a refresh token is ${
          isSentAgain ? "sent again" : "not sent again"
        }`,
        () =>
          Effect.gen(function*() {
            const hasBody = status !== 204 && status !== 304
            const client = HttpClient.make((request) =>
              Effect.sync(() => {
                const first = sent++ === 0
                const content = first ? body : good
                const text = typeof content === "string" ? content : JSON.stringify(content)
                const response = new Response(first && !hasBody ? null : text, { status: first ? status : 200 })
                return HttpClientResponse.fromWeb(request, response)
              })
            )
            let sent = 0
            const source = OAuthClient.refreshToken({
              tokenEndpoint: "https://idp.example/token",
              clientId: "web",
              auth,
              store: RefreshTokenStore.memory(Redacted.make("first"))
            })
            const { get } = yield* TokenProvider.make({ name: "idp", source }).pipe(
              Effect.provideService(TokenHttpClient.TokenHttpClient, client)
            )
            yield* Effect.flip(get)
            if (isSentAgain) yield* get
            else assert.strictEqual(detailsOf(yield* Effect.flip(get))["reason"], "ambiguous")
            assert.strictEqual(sent, isSentAgain ? 2 : 1)
          }).pipe(Effect.scoped, quiet)
      )
    }

    it.effect("[K-28 J6] [R14] after an answer that is too large a refresh token is not sent again", () =>
      Effect.gen(function*() {
        const { provider, sent } = yield* refreshing(() => [200, "x".repeat(70_000)])
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "RESPONSE_TOO_LARGE")
        assert.strictEqual(detailsOf(yield* Effect.flip(provider.get))["reason"], "ambiguous")
        assert.strictEqual(sent.length, 1)
      }).pipe(Effect.scoped, quiet))

    it.effect("[K-28 J6] [R14] the mark of a spent refresh token is for that token only: the rotated one is sent", () =>
      Effect.gen(function*() {
        const { provider, sent, store } = yield* refreshing((number) => [
          200,
          { ...good, refresh_token: `next-${number}` }
        ])
        for (let i = 0; i < 3; i++) yield* provider.refresh
        assert.deepStrictEqual(sent, ["first", "next-1", "next-2"])
        // A store that lost the new token returns the one that the server has used.
        yield* store.save(Redacted.make("next-2"))
        assert.strictEqual(detailsOf(yield* Effect.flip(provider.refresh))["reason"], "ambiguous")
        assert.strictEqual(sent.length, 3)
      }).pipe(Effect.scoped, quiet))

    it.effect("[K-28 J11] [R11] an opaque redirect of a token request is refused, not read as an answer", () =>
      Effect.gen(function*() {
        const sources = [
          OAuthClient.clientCredentials({ tokenEndpoint: "https://idp.example/token", clientId: "client", auth }),
          OAuthClient.clientCredentials({ issuer: "https://idp.example", clientId: "client", auth })
        ]
        for (const source of sources) {
          // `fetch` with `redirect: "manual"` hides a redirect behind status 0, as in browsers.
          const client = HttpClient.make((request) =>
            Effect.sync(() => {
              const response = new Response(JSON.stringify(good))
              Object.defineProperty(response, "status", { value: 0 })
              return HttpClientResponse.fromWeb(request, response)
            })
          )
          const { get } = yield* TokenProvider.make({ name: "idp", source }).pipe(
            Effect.provideService(TokenHttpClient.TokenHttpClient, client)
          )
          const error = yield* Effect.flip(get)
          assert.deepStrictEqual([error.code, detailsOf(error)["reason"]], ["EGRESS_REFUSED", "redirect"])
        }
      }).pipe(Effect.scoped, quiet))
  })
})
