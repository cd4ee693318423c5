import { assert, it } from "@effect/vitest"
import { JwksError } from "@keelson/jwks"
import { goodClaims, keysOf, pairOf, sign } from "@keelson/testing/tokens"
import { Duration, Effect, Layer, References, type Scope } from "effect"
import type { HttpSecurityOptions } from "../src/index.ts"
import { bearer, keysDown, type Received, serve, tokensOf, type Variant } from "./protectedServer.ts"

/** The members of problem details that tests compare. */
export const problemOf = ({ headers, json, status }: Received) => ({
  status,
  challenge: headers["www-authenticate"],
  code: typeof json === "object" && json !== null && "code" in json ? json.code : undefined,
  type: headers["content-type"],
  cache: headers["cache-control"]
})

const problem = (status: number, code: string, challenge?: string) => ({
  status,
  challenge,
  code,
  type: "application/problem+json",
  cache: "no-store"
})

export const missing = problem(401, "TOK-008", "Bearer realm=\"api\"")
export const invalid = problem(
  401,
  "AUTH-001",
  "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The access token is not accepted\""
)
export const badRequest = (description: string) =>
  problem(400, "JWT-011", `Bearer realm="api", error="invalid_request", error_description="${description}"`)
export const several = badRequest("The request has more than one access token")
export const malformed = badRequest("The access token is malformed")

/** A token with changed claims, signed by a trusted key. */
export const tokenWith = Effect.fnUntraced(function*(claims: Readonly<Record<string, unknown>> = {}) {
  return yield* sign(yield* pairOf("ES256"), { ...(yield* goodClaims), ...claims })
})

/** Silences the server's log. */
export const quiet = Layer.succeed(References.MinimumLogLevel, "None")

/** A server whose keys are available. */
export const protectedServer = Effect.fnUntraced(function*(
  variant: Variant,
  options?: HttpSecurityOptions.Options,
  around: Layer.Layer<never> = Layer.empty
) {
  return yield* serve(variant, tokensOf(keysOf([yield* pairOf("ES256")])), options, Layer.merge(quiet, around))
})

/** Tests for every way to protect an API. */
export const httpSecuritySuite = (variant: Variant): void => {
  const test = (title: string, body: Effect.Effect<void, unknown, Scope.Scope>) => it.live(title, () => body)

  test(
    "[K-26] accepts a valid token, and provides its claims to the handler",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const token = yield* tokenWith({ scope: "a reports:read", roles: ["admin"] })
      const { json, status } = yield* send("GET /me", bearer(token))
      assert.deepStrictEqual([status, json], [
        200,
        { client: "client-1", scopes: ["a", "reports:read"], roles: ["admin"] }
      ])
    })
  )

  test(
    "[S3-06] responds to a request without a token with 401 and a challenge without an error",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const received = yield* send("GET /me")
      assert.deepStrictEqual(problemOf(received), missing)
      assert.deepInclude(received.json, {
        title: "The request has no token.",
        status: 401,
        category: "AUTHENTICATION",
        details: {}
      })
      assert.strictEqual((yield* send("GET /health")).status, 204)
    })
  )

  test(
    "[S0-25] distinguishes expired tokens only, and does not say why others are rejected",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const refused = yield* Effect.all([
        tokenWith({ iss: "https://other.example" }),
        tokenWith({ aud: "another" }),
        tokenWith({ exp: 1, iss: "https://other.example" }),
        tokenWith({ nbf: 4_000_000_000 }),
        tokenWith({ client_id: 7 }),
        Effect.map(tokenWith(), (token) => `${token.slice(0, -20)}${"A".repeat(20)}`),
        Effect.flatMap(
          goodClaims,
          (claims) => Effect.flatMap(pairOf("ES256", "unknown"), (pair) => sign(pair, claims))
        ),
        Effect.succeed("no.jwt.here")
      ])
      const answers = yield* Effect.forEach(refused, (token) => send("GET /me", bearer(token)))
      for (const answer of answers) {
        assert.deepStrictEqual(problemOf(answer), invalid)
        assert.strictEqual(answer.text, answers[0]?.text)
      }
      const expired = yield* send("GET /me", bearer(yield* tokenWith({ exp: 1_000_000_000 })))
      assert.deepStrictEqual(
        problemOf(expired),
        problem(
          401,
          "TOK-002",
          "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The access token is expired\""
        )
      )
    })
  )

  test(
    "[T6] [K-03] responds with 503 and Retry-After while keys are unavailable, and never with 401",
    Effect.gen(function*() {
      const down = (retryAfter?: Duration.Duration) =>
        serve(variant, tokensOf(keysDown(new JwksError.JwksUnavailable({ retryAfter }))), {}, quiet)
      const token = yield* tokenWith()
      const known = yield* (yield* down(Duration.millis(6500))).send("GET /me", bearer(token))
      assert.deepStrictEqual(problemOf(known), problem(503, "AUTH-003"))
      assert.strictEqual(known.headers["retry-after"], "7")
      const unknown = yield* (yield* down()).send("GET /me", bearer(token))
      assert.deepStrictEqual([unknown.status, unknown.headers["retry-after"]], [503, undefined])
    })
  )

  test(
    "answers a lack of scopes with 403 and their names, and a lack of roles or a predicate without",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const refusal = (description: string, scope: string) =>
        problem(
          403,
          "AUTH-002",
          `Bearer realm="api", error="insufficient_scope", error_description="${description}", scope="${scope}"`
        )
      const lacking = "The access token lacks a required scope"
      const weak = bearer(yield* tokenWith({ scope: "reports:write reports:rea" }))
      const report = yield* send("POST /reports", weak)
      assert.deepStrictEqual(problemOf(report), refusal(lacking, "reports:read reports:write"))
      assert.deepInclude(report.json, { details: { scopes: ["reports:read", "reports:write"] } })
      assert.deepStrictEqual(problemOf(yield* send("GET /reports", weak)), refusal(lacking, "reports:read"))
      for (const path of ["/admin", "/audit", "/web"]) {
        assert.deepStrictEqual(
          problemOf(yield* send(`GET ${path}`, weak)),
          // No scope would help: an error would have clients ask for another token.
          problem(403, "AUTH-002", missing.challenge)
        )
      }
    })
  )

  test(
    "lets in who has the scopes, a scope of several, the role, a role of several, or what the predicate wants",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const strong = bearer(
        yield* tokenWith({ scope: "reports:write reports:read", roles: ["admin"], client_id: "web" })
      )
      for (const line of ["POST /reports", "GET /reports", "GET /admin", "GET /audit", "GET /web"]) {
        assert.strictEqual((yield* send(line, strong)).status, 200, line)
      }
      const auditor = bearer(yield* tokenWith({ scope: "reports:admin", roles: ["auditor"] }))
      assert.strictEqual((yield* send("GET /audit", auditor)).status, 200)
      assert.strictEqual((yield* send("GET /reports", auditor)).status, 200)
      assert.strictEqual((yield* send("GET /admin", auditor)).status, 403)
    })
  )

  test(
    "asks for a token before it says anything else of a protected path, HEAD included",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const head = yield* send("HEAD /me")
      assert.deepStrictEqual([head.status, head.headers["www-authenticate"], head.text], [401, missing.challenge, ""])
      const good = yield* send("HEAD /me", bearer(yield* tokenWith()))
      assert.deepStrictEqual([good.status, good.text], [200, ""])
      assert.strictEqual((yield* send("POST /reports")).status, 401)
      assert.strictEqual((yield* send("OPTIONS /me")).status, 404)
    })
  )

  test(
    "names realm and metadata in each challenge, quoted as RFC 9110 has it",
    Effect.gen(function*() {
      const resourceMetadata = "https://api.example/.well-known/oauth-protected-resource"
      const { send } = yield* protectedServer(variant, { realm: String.raw`a "b" \ c`, resourceMetadata })
      const received = yield* send("GET /me")
      const realm = String.raw`Bearer realm="a \"b\" \\ c"`
      assert.strictEqual(received.headers["www-authenticate"], `${realm}, resource_metadata="${resourceMetadata}"`)
      const denied = yield* send("GET /admin", bearer(yield* tokenWith()))
      assert.strictEqual(
        denied.headers["www-authenticate"],
        `${realm}, resource_metadata="${resourceMetadata}"`
      )
    })
  )
}
