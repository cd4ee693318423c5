import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { HttpSecurity } from "../src/index.ts"
import {
  badRequest,
  invalid,
  malformed,
  missing,
  problemOf,
  protectedServer,
  several,
  tokenWith
} from "./HttpSecuritySuite.ts"
import { bearer, type Variant } from "./protectedServer.ts"

const redacted = HttpSecurity.layerRedaction()
const inQuery = { queryParameter: "access_token" }
const cookie = { name: "__Host-token", origins: ["https://app.example", "http://localhost:3000"] }
const otherOrigin = {
  status: 403,
  challenge: missing.challenge,
  code: "AUTH-002",
  type: "application/problem+json",
  cache: "no-store"
}

/** Tests of finding tokens in requests, for every way to protect an API. */
export const httpSecuritySourcesSuite = (variant: Variant): void => {
  const test = (title: string, body: Effect.Effect<void, unknown, Scope.Scope>) => it.live(title, () => body)

  test(
    "[R7] [K-27] takes the scheme in any case and after any number of spaces, as RFC 9110 has it",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const token = yield* tokenWith()
      for (const value of [`Bearer ${token}`, `bearer ${token}`, `BEARER   ${token}`, `  Bearer ${token}  `]) {
        assert.strictEqual((yield* send("GET /me", `Authorization:${value}`)).status, 200, value)
      }
      assert.strictEqual((yield* send("GET /me", `aUTHORIZATION: Bearer ${token}`)).status, 200)
    })
  )

  test(
    "[R7] [K-27] rejects with 400 a malformed token, or several, in Authorization",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const token = yield* tokenWith()
      const forms = [
        "Bearer",
        "Bearer ",
        `Bearer\t${token}`,
        `Bearer ${token} ${token}`,
        `Bearer ${token},`,
        `Bearer ${token}, Bearer ${token}`,
        `Bearer ${token}, Basic abc`,
        `Bearer "${token}"`,
        `Bearer token=${token}`,
        `Bearer ${token}=x`,
        `Bearer: ${token}`,
        `Bearer ${token}\u00e9`,
        `,Bearer ${token}`,
        "Bearer ="
      ]
      for (const value of forms) {
        assert.deepStrictEqual(problemOf(yield* send("GET /me", `Authorization: ${value}`)), malformed, value)
      }
    })
  )

  test(
    "[R7] [K-27] rejects two Authorization headers with 400, whichever is valid",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const good = bearer(yield* tokenWith())
      for (const second of [good, "authorization: Basic abc", "AUTHORIZATION: ", "Authorization: Bearer x"]) {
        assert.deepStrictEqual(problemOf(yield* send("GET /me", good, second)), several)
        assert.deepStrictEqual(problemOf(yield* send("GET /me", second, good)), several)
      }
    })
  )

  test(
    "[R7] [K-27] does not count a header of another name as a second one",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const others = ["X-Header-1234: a", "X-Header-1234: b", "Accept: authorization", "Accept: authorization"]
      assert.strictEqual((yield* send("GET /me", bearer(yield* tokenWith()), ...others)).status, 200)
    })
  )

  test(
    "[R7] [K-27] treats other schemes, and an empty header, as missing credentials",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const token = yield* tokenWith()
      for (
        const value of ["Basic dTpw", `DPoP ${token}`, "", "  ", token, `BearerX ${token}`, `Basic a, Bearer ${token}`]
      ) {
        assert.deepStrictEqual(problemOf(yield* send("GET /me", `Authorization: ${value}`)), missing, value)
      }
    })
  )

  test(
    "[R7] [K-27] ignores URL and cookies by default",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant)
      const token = yield* tokenWith()
      const elsewhere = [
        `GET /me?access_token=${token}&token=${token}`,
        `Cookie: access_token=${token}; ${cookie.name}=${token}`
      ]
      const [line = "", header = ""] = elsewhere
      assert.deepStrictEqual(problemOf(yield* send(line, header)), missing)
      // A source that is not enabled does not count as a second token.
      const received = yield* send(line, header, bearer(token))
      assert.deepStrictEqual([received.status, received.headers["cache-control"]], [200, undefined])
    })
  )

  test(
    "[R7] accepts a token in the URL with GET only, and forbids caching of the response",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant, inQuery, redacted)
      const token = yield* tokenWith()
      const good = yield* send(`GET /me?a=b&access_token=${token}#x`)
      assert.deepStrictEqual([good.status, good.headers["cache-control"]], [200, "private, no-store"])
      const kept = { cache: "private, no-store" }
      assert.deepStrictEqual(problemOf(yield* send("GET /me?access_token=a.b.c")), { ...invalid, ...kept })
      const forGet = { ...badRequest("An access token in the query is only allowed with GET"), ...kept }
      assert.deepStrictEqual(problemOf(yield* send(`POST /me?access_token=${token}`)), forGet)
      const head = yield* send(`HEAD /me?access_token=${token}`)
      assert.deepStrictEqual([head.status, head.headers["cache-control"]], [400, "private, no-store"])
      assert.deepStrictEqual(problemOf(yield* send("GET /me?access_token=")), { ...malformed, ...kept })
      const denied = yield* send(`GET /admin?access_token=${token}`)
      assert.deepStrictEqual([denied.status, denied.headers["cache-control"]], [403, "private, no-store"])
      assert.deepStrictEqual(problemOf(yield* send("GET /me?ACCESS_TOKEN=a.b.c")), missing)
    })
  )

  test(
    "[K-28 B4] [R7] accepts a token in the named header, and keeps shared caches from storing the response",
    Effect.gen(function*() {
      const header = "Cf-Access-Jwt-Assertion"
      const around = HttpSecurity.layerRedaction(header)
      const { send } = yield* protectedServer(variant, { header }, around)
      const token = yield* tokenWith()
      for (const name of [header, header.toLowerCase(), header.toUpperCase()]) {
        const { headers, status } = yield* send("POST /me", `${name}: ${token}`)
        assert.deepStrictEqual(
          [status, headers["cache-control"], headers["vary"]],
          [200, "private", header.toLowerCase()]
        )
      }
      assert.strictEqual((yield* send("GET /me", bearer(token))).status, 200)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `X-${header}: ${token}`)), missing)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `${header}: Bearer ${token}`)), malformed)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `${header}: a.b.c`)), invalid)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `${header}: ${token}`, bearer(token))), several)
      const twice = yield* send("GET /me", `${header}: ${token}`, `${header}: ${token}`)
      assert.strictEqual(twice.status, 400)
    })
  )

  test(
    "[R7] refuses two tokens at once with 400: of two sources, or two of one",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant, { ...inQuery, cookie }, redacted)
      const token = yield* tokenWith()
      const asCookie = `Cookie: ${cookie.name}=${token}`
      const query = `GET /me?access_token=${token}`
      const kept = { ...several, cache: "private, no-store" }
      assert.deepStrictEqual(problemOf(yield* send(`${query}&access_token=${token}`)), kept)
      assert.deepStrictEqual(problemOf(yield* send(query, bearer(token))), kept)
      assert.deepStrictEqual(problemOf(yield* send(query, "Authorization: Bearer")), kept)
      assert.deepStrictEqual(problemOf(yield* send(query, asCookie)), kept)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", asCookie, bearer(token))), several)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `${asCookie}; ${cookie.name}=a`)), several)
      assert.strictEqual((yield* send("GET /me", asCookie, "Authorization: Basic abc")).status, 200)
    })
  )

  test(
    "[R7] accepts a token in the named cookie, and keeps shared caches from storing the response",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant, { cookie })
      const token = yield* tokenWith()
      for (const value of [`${cookie.name}=${token}`, `a=b;${cookie.name} = ${token};c`]) {
        const { headers, status } = yield* send("GET /me", `Cookie: ${value}`)
        assert.deepStrictEqual([status, headers["cache-control"], headers["vary"]], [200, "private", "cookie"])
      }
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `Cookie: ${cookie.name}=`)), missing)
      assert.deepStrictEqual(
        problemOf(yield* send("GET /me", `Cookie: other=${token}; X${cookie.name}=${token}`)),
        missing
      )
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `Cookie: ${cookie.name}=a b`)), malformed)
      assert.deepStrictEqual(problemOf(yield* send("GET /me", `Cookie: ${cookie.name}=a.b.c`)), invalid)
    })
  )

  test(
    "[R7] accepts a cookie with an unsafe method from listed origins only",
    Effect.gen(function*() {
      const { send } = yield* protectedServer(variant, { cookie })
      const asCookie = `Cookie: ${cookie.name}=${yield* tokenWith()}`
      for (const origin of cookie.origins) {
        assert.strictEqual((yield* send("POST /me", asCookie, `Origin: ${origin}`)).status, 200)
      }
      const others = [
        "X: y",
        "Origin: null",
        "Origin: https://app.example.evil.example",
        "Origin: http://app.example",
        "Origin: https://app.example:444",
        "Origin: https://app.example, https://evil.example",
        "Referer: https://app.example/"
      ]
      for (const origin of others) {
        assert.deepStrictEqual(problemOf(yield* send("POST /me", asCookie, origin)), otherOrigin, origin)
      }
      const socket = ["Upgrade: websocket", "Connection: upgrade", "Origin: https://evil.example"]
      assert.strictEqual((yield* send("GET /me", asCookie, "Origin: https://evil.example")).status, 200)
      assert.strictEqual((yield* send("GET /me", asCookie, ...socket)).status, 403)
      // A token that browsers do not send automatically requires no origin.
      assert.strictEqual((yield* send("POST /me", bearer(yield* tokenWith()))).status, 200)
    })
  )
}
