import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { attempt } from "@keelson/testing/attempt"
import { audience, issuer as otherIssuer, pairOf } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import type * as Http from "node:http"
import { Claims, HttpSecurityError, type Principal, ProofReplays } from "../src/index.ts"
import { type AnyClaims, type Auth, auth, type LineLogger, problemOf } from "../src/NodeAuth.ts"
import { applications, inExpress, makeIssuer, openAuth, request } from "./nodeAuthServers.ts"
import { baseUrl, makeProof, proofSigner } from "./proofSupport.ts"

const problemOfText = (
  body: string
): { readonly status?: unknown; readonly code?: unknown; readonly title?: unknown } => JSON.parse(body)

/** Collects log lines. */
const makeLogger = () => {
  const lines: Array<{ readonly level: string; readonly fields: object; readonly message: string }> = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message })
  const logger: LineLogger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
  return { lines, logger }
}

describe("[K-46] authentication without Effect", () => {
  it.live("[K-23] two processes with one record of proofs: a proof that one accepted is rejected by the other", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const used = new Set<string>()
      let isClosed = false
      const record = ProofReplays.ProofReplays.of({
        add: ({ jti }) => Effect.sync(() => !isClosed && !used.has(jti) && used.add(jti).size > 0)
      })
      const replays = Layer.effect(
        ProofReplays.ProofReplays,
        Effect.as(Effect.addFinalizer(() => Effect.sync(() => void (isClosed = true))), record)
      )
      const options = { dpop: "allowed", baseUrls: [baseUrl], replays } as const
      const urls = yield* Effect.all([openAuth(issuer, options), openAuth(issuer, options)].map(
        (opened) => Effect.flatMap(opened, inExpress)
      ))
      const signer = yield* proofSigner()
      const token = yield* issuer.token({ scope: "reports:read", cnf: { jkt: signer.jkt } })
      const dpop = yield* makeProof(signer, token, { htu: `${baseUrl}/reports` })
      const headers = { authorization: `DPoP ${token}`, dpop }
      const statuses = yield* Effect.forEach(
        urls,
        (url) => Effect.map(request(`${url}/reports`, { headers }), ({ status }) => status)
      )
      assert.deepStrictEqual(statuses, [200, 401])
    }))

  for (const [name, application] of Object.entries(applications)) {
    describe(`in ${name}`, () => {
      it.live(`[K-46] [K-28 H4] ${name}: admits callers with a valid token and its scopes`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const url = yield* application(yield* openAuth(issuer))
          const token = yield* issuer.token({ scope: "reports:read reports:write", tenant: "acme" })
          const read = yield* request(`${url}/reports`, { token })
          assert.deepStrictEqual([read.status, JSON.parse(read.body)], [200, { caller: "user-1", tenant: "acme" }])
          const headers = { "content-type": "application/json" }
          const made = yield* request(`${url}/reports`, { token, method: "POST", headers, body: `{"title":"a"}` })
          assert.deepStrictEqual([made.status, JSON.parse(made.body)], [201, { title: "a" }])
          assert.strictEqual((yield* request(`${url}/nested/reports`, { token })).body, "user-1")
          assert.strictEqual((yield* request(`${url}/open`)).body, "open")
          const streamed = yield* request(`${url}/stream`, { token })
          assert.deepStrictEqual([streamed.status, streamed.body], [200, "one two three"])
          const admin = yield* issuer.token({ roles: ["admin"] })
          assert.strictEqual((yield* request(`${url}/admin`, { token: admin })).body, "admin")
        }))

      it.live(`[K-23] ${name}: admits callers with a bound token and a proof, also in a mounted router, and hands out nonces`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const options = { dpop: { nonce: "required" }, baseUrls: [baseUrl] } as const
          const url = yield* application(yield* openAuth(issuer, options))
          const signer = yield* proofSigner()
          const token = yield* issuer.token({ scope: "reports:read", cnf: { jkt: signer.jkt } })
          const send = Effect.fnUntraced(function*(path: string, nonce: string | undefined) {
            const dpop = yield* makeProof(signer, token, { htu: `${baseUrl}${path}`, nonce })
            return yield* request(`${url}${path}?page=2`, { headers: { authorization: `DPoP ${token}`, dpop } })
          })
          const first = yield* send("/reports", undefined)
          const nonce = first.headers.get("dpop-nonce") ?? undefined
          assert.deepStrictEqual([first.status, problemOfText(first.body).code], [401, "JWT-016"])
          assert.isDefined(nonce)
          assert.strictEqual((yield* send("/reports", nonce)).status, 200)
          assert.strictEqual((yield* send("/nested/reports", nonce)).body, "user-1")
          assert.strictEqual((yield* request(`${url}/reports`, { token })).status, 401)
        }))

      it.live(`[K-46] [K-28 H4] ${name}: refuses others with problem details and a challenge`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const url = yield* application(yield* openAuth(issuer, { realm: "reports" }))
          const token = yield* issuer.token()
          const shapeOf = ({ body, headers, status }: { status: number; headers: Headers; body: string }) => [
            status,
            headers.get("content-type"),
            headers.get("cache-control"),
            headers.get("www-authenticate"),
            problemOfText(body).status,
            problemOfText(body).code
          ]
          const refused = (status: number, code: string, rest = "") => [
            status,
            "application/problem+json",
            "no-store",
            `Bearer realm="reports"${rest}`,
            status,
            code
          ]
          const none = yield* request(`${url}/reports`)
          assert.deepStrictEqual(shapeOf(none), refused(401, "TOK-008"))
          const forged = yield* request(`${url}/reports`, { token: `${token.slice(0, -8)}AAAAAAAA` })
          assert.deepStrictEqual(
            shapeOf(forged),
            refused(401, "AUTH-001", `, error="invalid_token", error_description="The access token is not accepted"`)
          )
          const lacking = `, error="insufficient_scope", error_description="The access token lacks a required scope"`
          const scopes = yield* request(`${url}/reports`, { token })
          assert.deepStrictEqual(shapeOf(scopes), refused(403, "AUTH-002", `${lacking}, scope="reports:read"`))
          const admin = yield* request(`${url}/admin`, { token })
          assert.deepStrictEqual([admin.status, problemOfText(admin.body).code], [403, "AUTH-002"])
          const malformed = yield* request(`${url}/reports`, { headers: { authorization: "Bearer a b" } })
          assert.deepStrictEqual([malformed.status, malformed.headers.get("content-type")], [
            400,
            "application/problem+json"
          ])
        }))

      it.live(`[K-46] [K-28 H4] ${name}: responds to HEAD and OPTIONS as to GET`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const url = yield* application(yield* openAuth(issuer))
          const token = yield* issuer.token({ scope: "reports:read" })
          const refused = yield* request(`${url}/nested/reports`, { method: "HEAD" })
          assert.deepStrictEqual([refused.status, refused.body], [401, ""])
          assert.include(refused.headers.get("www-authenticate") ?? "", "Bearer")
          const admitted = yield* request(`${url}/nested/reports`, { token, method: "HEAD" })
          assert.deepStrictEqual([admitted.status, admitted.body], [200, ""])
          const options = yield* request(`${url}/nested/reports`, { method: "OPTIONS" })
          assert.include([401, 404], options.status)
          assert.notInclude(options.body, "user-1")
        }))

      it.live(`[K-46] [K-28 H4] ${name}: responds with 503 and Retry-After while the issuer is down`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          issuer.isDown = true
          const url = yield* application(yield* openAuth(issuer))
          const token = yield* issuer.token({ scope: "reports:read" })
          const down = yield* request(`${url}/reports`, { token })
          assert.deepStrictEqual(
            [down.status, down.headers.get("content-type"), down.headers.get("www-authenticate")],
            [
              503,
              "application/problem+json",
              null
            ]
          )
          assert.match(down.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
          assert.notInclude(down.body, issuer.url)
        }))

      it.live(`[K-46] [K-28 H4] ${name}: leaves failures of handlers and conditions to the application`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const url = yield* application(yield* openAuth(issuer))
          const token = yield* issuer.token({ scope: "reports:read" })
          for (const path of ["/broken", "/broken-condition", "/unprotected"]) {
            const failed = yield* request(url + path, { token })
            assert.deepStrictEqual([failed.status, failed.headers.get("x-handled"), failed.body], [
              500,
              "yes",
              "failed"
            ])
          }
          assert.strictEqual((yield* request(`${url}/reports`, { token })).status, 200)
        }))

      it.live(`[K-46] ${name}: serves metrics in the Prometheus text format`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const url = yield* application(yield* openAuth(issuer, { name: "metrics_test" }))
          yield* request(`${url}/stream`, { token: yield* issuer.token() })
          const { body, headers, status } = yield* request(`${url}/metrics`)
          assert.deepStrictEqual([status, headers.get("content-type")], [
            200,
            "text/plain; version=0.0.4; charset=utf-8"
          ])
          assert.match(body, /^keelson_\w+\{[^}]*metrics_test[^}]*\} [1-9]/m)
        }))

      it.live(`[K-46] ${name}: says to shared caches that a response depends on the cookie`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const cookie = { name: "__Host-token", origins: ["https://app.example"] }
          const url = yield* application(yield* openAuth(issuer, { cookie }))
          const headers = { cookie: `__Host-token=${yield* issuer.token({ scope: "reports:read reports:write" })}` }
          const { headers: received, status } = yield* request(`${url}/reports`, { headers })
          assert.deepStrictEqual([status, received.get("cache-control"), received.get("vary")], [
            200,
            "private",
            "cookie"
          ])
          const foreign = yield* request(`${url}/reports`, { method: "POST", headers, body: "{}" })
          assert.deepStrictEqual([foreign.status, foreign.headers.get("cache-control")], [403, "no-store"])
        }))

      it.live(`[K-46] ${name}: refuses requests with a 503 once it is closed`, () =>
        Effect.gen(function*() {
          const issuer = yield* makeIssuer
          const api = yield* openAuth(issuer)
          const url = yield* application(api)
          const token = yield* issuer.token({ scope: "reports:read" })
          const running = Array.from({ length: 20 }, () => request(`${url}/reports`, { token }))
          const statuses = yield* Effect.all(running, { concurrency: "unbounded" })
          assert.deepStrictEqual(new Set(statuses.map(({ status }) => status)), new Set([200]))
          yield* Effect.promise(() => Promise.all([api.close(), api.close()]))
          assert.strictEqual((yield* request(`${url}/reports`, { token })).status, 503)
          assert.strictEqual((yield* request(`${url}/metrics`)).status, 200)
        }))
    })
  }

  it.live("[K-46] authenticates requests of node:http and of the web platform", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const api = yield* openAuth(issuer)
      const token = yield* issuer.token()
      const web = new Request("https://api.example/", { headers: { authorization: `Bearer ${token}` } })
      assert.strictEqual((yield* Effect.promise(() => api.authenticate(web))).subject, "user-1")
      const node = { method: "GET", url: "/", rawHeaders: ["Authorization", `Bearer ${token}`] }
      assert.strictEqual((yield* Effect.promise(() => api.authenticate(node))).issuer, issuer.url)
      const rejected = yield* Effect.flip(
        attempt(() => api.authenticate({ method: "GET", url: "/", rawHeaders: [] }))
      )
      assert.isTrue(HttpSecurityError.isHttpSecurityError(rejected))
      assert.strictEqual(problemOf(rejected)?.status, 401)
      assert.isUndefined(problemOf(new Error("other")))
      expectTypeOf<Http.IncomingMessage>().toExtend<Parameters<typeof api.authenticate>[0]>()
    }))

  it.live("[K-46] a requirement that is no scope and no function is refused when the route is defined", () =>
    Effect.gen(function*() {
      const api = yield* openAuth(yield* makeIssuer)
      const adapters: ReadonlyArray<(...all: ReadonlyArray<never>) => unknown> = [
        api.express.protect,
        api.fastify.protect,
        api.hono.protect
      ]
      for (const protect of adapters) {
        for (const given of [["reports:read"], undefined, null, { scope: "reports:read" }]) {
          // @ts-expect-error -- JavaScript has no types
          assert.throws(() => protect(given), KeelsonError.ConfigurationError, /requirements\.0 must be a scope/)
        }
      }
    }))

  it.live("[K-46] a condition that returns anything but true, as a promise, admits nobody", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const api = yield* openAuth(issuer)
      const token = yield* issuer.token()
      const web = new Request("https://api.example/", { headers: { authorization: `Bearer ${token}` } })
      const admits = (holds: () => unknown) =>
        Effect.promise(async () => {
          let isAdmitted = false
          // @ts-expect-error -- JavaScript has no types
          const protect = api.hono.protect(holds)
          await protect(
            {
              req: { raw: web },
              res: new Response(),
              body: (data, status, headers) => new Response(data, { status, headers }),
              header: () => {}
            },
            async () => {
              isAdmitted = true
            }
          )
          return isAdmitted
        })
      assert.isTrue(yield* admits(() => true))
      for (const other of [Promise.resolve(false), Promise.resolve(true), "yes", 1, false, undefined]) {
        assert.isFalse(yield* admits(() => other))
      }
    }))

  it.live("[K-46] [R7] the token may be in a named header, but not beside Authorization", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const api = yield* openAuth(issuer, { header: "Cf-Access-Jwt-Assertion" })
      const token = yield* issuer.token()
      const ask = (...headers: ReadonlyArray<string>) =>
        Effect.promise(() =>
          api.authenticate({ method: "GET", url: "/", rawHeaders: headers }).then(
            ({ subject }) => subject,
            (error: unknown) => problemOf(error)?.status
          )
        )
      assert.strictEqual(yield* ask("CF-Access-JWT-Assertion", token), "user-1")
      assert.strictEqual(yield* ask("cf-access-jwt-assertion", token, "Authorization", `Bearer ${token}`), 400)
      assert.strictEqual(yield* ask("cf-access-jwt-assertion", token, "CF-Access-JWT-Assertion", token), 400)
      assert.strictEqual(yield* ask("cf-access-jwt-assertion", "", "CF-Access-JWT-Assertion", token), 400)
    }))

  const refusals: ReadonlyArray<readonly [what: string, options: object, code: string, message: RegExp]> = [
    ["no issuer", { issuer: undefined, audience }, "INVALID_CONFIG", /\bissuer\b/],
    ["no audience", { issuer: otherIssuer, audience: undefined }, "INVALID_CONFIG", /\baudience\b/],
    ["no audience in a list", { issuer: otherIssuer, audience: [] }, "INVALID_CONFIG", /audience/],
    [
      "an unknown option",
      { issuer: otherIssuer, audience, audiance: "x" },
      "INVALID_CONFIG",
      /audiance is not an option/
    ],
    ["a query parameter", { issuer: otherIssuer, audience, queryParameter: "t" }, "INVALID_CONFIG", /queryParameter/],
    ["an algorithm", { issuer: otherIssuer, audience, algorithms: ["none"] }, "INVALID_CONFIG", /algorithms\.0/],
    ["a name", { issuer: otherIssuer, audience, name: "a b" }, "INVALID_CONFIG", /name/],
    ["http", { issuer: "http://localhost:1", audience }, "EGRESS_REFUSED", /./],
    [
      "a key",
      { issuer: otherIssuer, audience, keys: [{ algorithm: "ES256", pem: "x" }] },
      "KEY_INVALID",
      /keys\.0\.pem/
    ]
  ]
  for (const [what, options, code, message] of refusals) {
    it(`[K-46] [K-28 H4] does not start with ${what}: ${code}`, async () => {
      const open: (options: object) => Promise<unknown> = Function.prototype.call.bind(auth, undefined)
      const error: unknown = await open(options).catch((reason: unknown) => reason)
      if (!(error instanceof KeelsonError.CodedError)) throw error
      assert.strictEqual(error.code, code)
      assert.match(error.message, message)
    })
  }

  it("[K-46] throws for text that is not a scope when the route is defined", async () => {
    const api = await auth({ issuer: otherIssuer, audience, jwks: { prefetch: false } })
    for (const { protect } of [api.express, api.fastify, api.hono]) {
      assert.throws(() => protect("two words"), KeelsonError.ConfigurationError, /scopes/)
    }
    await api.close()
  })

  it.live("[K-46] [K-28 H2] logs why a request is refused, with neither token nor secret", () =>
    Effect.gen(function*() {
      const { lines, logger } = makeLogger()
      const issuer = yield* makeIssuer
      const api = yield* openAuth(issuer, { logger })
      const token = yield* issuer.token({ aud: "another" })
      yield* Effect.flip(
        attempt(() => api.authenticate({ method: "GET", url: "/", rawHeaders: ["Authorization", `Bearer ${token}`] }))
      )
      const written = JSON.stringify(lines)
      assert.isTrue(lines.some(({ level, message }) => level === "warn" && message.startsWith("Local development")))
      assert.isTrue(
        lines.some(({ level, message }) => level === "debug" && message === "Request rejected: AudienceMismatch"),
        written
      )
      assert.notInclude(written, token.split(".")[1] ?? "")
    }))

  it.live("[K-46] [K-28 F] takes the token from the header of a proxy", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const api = yield* openAuth(issuer, { header: "Cf-Access-Jwt-Assertion" })
      const rawHeaders = ["cf-access-jwt-assertion", yield* issuer.token()]
      const caller = yield* Effect.promise(() => api.authenticate({ method: "GET", url: "/", rawHeaders }))
      assert.strictEqual(caller.subject, "user-1")
    }))

  it.live("[K-46] takes static keys, several audiences, and claims with a schema", () =>
    Effect.gen(function*() {
      const { publicJwk } = yield* pairOf("ES256")
      const issuer = yield* makeIssuer
      const api = yield* Effect.acquireRelease(
        Effect.promise(() =>
          auth({
            issuer: issuer.url,
            audience: ["other", audience],
            algorithms: ["ES256"],
            keys: [{ algorithm: "ES256", jwk: publicJwk }],
            claims: Claims.AccessToken,
            roles: ({ groups = [] }) => groups
          })
        ),
        ({ close }) => Effect.promise(close)
      )
      expectTypeOf(api).toEqualTypeOf<Auth<Claims.AccessToken>>()
      const token = yield* issuer.token({ groups: ["staff"] })
      const caller = yield* Effect.promise(() =>
        api.authenticate({ method: "GET", url: "/", rawHeaders: ["Authorization", `Bearer ${token}`] })
      )
      assert.deepStrictEqual([caller.claims.client_id, caller.hasRole("staff")], ["client-1", true])
    }))

  it("[K-46] types the claims without a schema as unknown", () => {
    assert.isFunction(auth)
    expectTypeOf<ReturnType<Auth<AnyClaims>["caller"]>>().toEqualTypeOf<Principal.Principal<AnyClaims>>()
    expectTypeOf<AnyClaims["tenant"]>().toEqualTypeOf<unknown>()
    expectTypeOf<AnyClaims["sub"]>().toEqualTypeOf<string | undefined>()
  })
})
