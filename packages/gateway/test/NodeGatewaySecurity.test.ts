import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { forAllEffect } from "@keelson/testing/properties"
import { goodClaims, pairOf, sign } from "@keelson/testing/tokens"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { gateway, policy, send, type SendOptions, tokenOf } from "./gatewaySuite.ts"

const closed = (bucket = {}) =>
  Effect.gen(function*() {
    return yield* gateway({ bucket: { public: false, ...bucket }, config: { auth: { default: yield* policy } } })
  })

describe("NodeGateway, callers", () => {
  it.effect("[R31] without a token nothing is read, whatever the cache holds", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* closed()
      s3.put("files", "a", "secret", { "cache-control": "public, s-maxage=600, max-age=60" })
      const token = yield* tokenOf()
      const read = yield* get("/files/a", { token })
      assert.deepStrictEqual([read.status, read.text], [200, "secret"])
      const hot = yield* get("/files/a", { token })
      assert.match(String(hot.headers["cache-status"]), /hit/)
      // [G-17] No shared cache between the gateway and its clients may keep it.
      for (const { headers } of [read, hot]) {
        assert.strictEqual(headers["cache-control"], "private, max-age=60")
        assert.match(String(headers["vary"]), /authorization/)
      }
      for (
        const options of [{}, { token: "junk" }, { token: `${token}x` }, { method: "HEAD" }] satisfies Array<
          SendOptions
        >
      ) {
        const refused = yield* get("/files/a", options)
        assert.strictEqual(refused.status, 401)
        assert.match(String(refused.headers["www-authenticate"]), /^Bearer realm="gateway"/)
        assert.notInclude(refused.text, "secret")
        assert.isUndefined(refused.headers["etag"])
      }
      const known = yield* get("/files/a", { headers: { "if-none-match": String(read.headers["etag"]) } })
      assert.strictEqual(known.status, 401)
      assert.strictEqual(s3.requests.length, 1)
    }))

  it.effect("[R31] a token that expires is refused, though it is remembered and the object cached", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* closed()
      s3.put("files", "a", "secret")
      const token = yield* tokenOf()
      assert.strictEqual((yield* get("/files/a", { token })).status, 200)
      yield* TestClock.adjust("2 hours")
      const expired = yield* get("/files/a", { token })
      assert.strictEqual(expired.status, 401)
      assert.match(String(expired.headers["www-authenticate"]), /error="invalid_token"/)
    }))

  it.effect("[G-17] an answer to a token in the URL is stored by no cache", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({
        bucket: { public: false },
        config: { auth: { default: { ...yield* policy, queryParameter: "access_token" } } }
      })
      s3.put("files", "a", "secret", { "cache-control": "max-age=60" })
      const token = yield* tokenOf()
      for (const _ of [1, 2]) {
        const answer = yield* get(`/files/a?access_token=${token}`)
        assert.deepStrictEqual([answer.status, answer.headers["cache-control"]], [200, "private, no-store"])
      }
      assert.strictEqual((yield* get("/files/a", { token })).headers["cache-control"], "private, max-age=60")
      assert.notInclude(s3.requests.map(({ url }) => url).join(), "access_token")
    }))

  it.effect("[S4-30] scopes, roles and claims are required, by method", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* closed({
        methods: ["GET", "HEAD", "DELETE"],
        require: { scopes: ["files:read"], claims: { "org.tenant": ["acme", "other"] } },
        requireFor: { DELETE: { roles: ["owner"] } }
      })
      s3.put("files", "a", "secret")
      const org = { tenant: "acme" }
      const none = yield* get("/files/a", { token: yield* tokenOf({ org }) })
      assert.strictEqual(none.status, 403)
      assert.match(String(none.headers["www-authenticate"]), /error="insufficient_scope".*scope="files:read"/)
      const other = yield* get("/files/a", { token: yield* tokenOf({ scope: "files:read", org: { tenant: "evil" } }) })
      assert.deepStrictEqual([other.status, /scope=/.test(String(other.headers["www-authenticate"]))], [403, false])
      const token = yield* tokenOf({ scope: "files:read", org })
      assert.strictEqual((yield* get("/files/a", { token })).status, 200)
      assert.strictEqual((yield* get("/files/a", { token, method: "DELETE" })).status, 403)
      const owner = yield* tokenOf({ scope: "files:read", org, roles: ["owner"] })
      assert.strictEqual((yield* get("/files/a", { token: owner, method: "DELETE" })).status, 204)
    }))

  it.effect("[S4-48] rate limits of users and addresses are a 429 with Retry-After", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* closed({ rateLimit: { perUser: "2 per 10 seconds" } })
      s3.put("files", "a", "x")
      const [ada, bob] = [yield* tokenOf({ sub: "ada" }), yield* tokenOf({ sub: "bob" })]
      assert.strictEqual((yield* get("/files/a", { token: ada })).status, 200)
      assert.strictEqual((yield* get("/files/a", { token: ada })).status, 200)
      const limited = yield* get("/files/a", { token: ada })
      assert.deepStrictEqual([limited.status, Number(limited.headers["retry-after"]) > 0], [429, true])
      assert.strictEqual((yield* get("/files/a", { token: bob })).status, 200)
      const open = yield* gateway({ bucket: { rateLimit: { perAddress: "1 per minute" } } })
      open.s3.put("files", "a", "x")
      assert.strictEqual((yield* open.get("/files/a")).status, 200)
      assert.strictEqual((yield* open.get("/files/a")).status, 429)
    }))

  it.effect("[S4-48] a subject is another user at another issuer", () =>
    Effect.gen(function*() {
      const usual = yield* policy
      const { get, s3 } = yield* gateway({
        bucket: { public: false, rateLimit: { perUser: "1 per minute" } },
        config: { auth: { default: { ...usual, issuers: [...usual.issuers, "https://other.example"] } } }
      })
      s3.put("files", "a", "x")
      const one = yield* tokenOf({ sub: "ada" })
      const other = yield* tokenOf({ sub: "ada", iss: "https://other.example" })
      const statusOf = (token: string) => Effect.map(get("/files/a", { token }), ({ status }) => status)
      assert.deepStrictEqual(yield* Effect.forEach([one, other, one, other], statusOf), [200, 200, 429, 429])
    }))

  it.effect("[G1] a caller reads what its own token allows and nothing else, in any order", (context) =>
    Effect.promise(() =>
      forAllEffect(context, 12, histories, (history) =>
        Effect.gen(function*() {
          const auth = { default: yield* policy }
          const bucket = (name: string) => ({ name, path: `/${name}`, require: { scopes: [name] } })
          const { port, s3 } = yield* gateway({
            bucket: { ...bucket("files"), public: false },
            config: { auth }
          })
          for (const key of keys) s3.put("files", key, `content of ${key}`)
          const tokens = {
            reader: yield* tokenOf({ scope: "files" }),
            stranger: yield* tokenOf({ scope: "other" }),
            forged: yield* sign(yield* pairOf("ES256", "another"), { ...yield* goodClaims, scope: "files" }),
            none: undefined
          }
          for (const { key, method, range, who } of history) {
            const token = tokens[who]
            const answer = yield* send(port, `/files/${key}`, {
              method,
              headers: range ? { range: "bytes=0-3" } : {},
              ...(token === undefined ? undefined : { token })
            })
            const isAllowed = who === "reader"
            assert.strictEqual(
              answer.status,
              isAllowed ? range && method === "GET" ? 206 : 200 : who === "stranger" ? 403 : 401
            )
            if (!isAllowed) {
              assert.notInclude(answer.text, "content of")
              assert.isUndefined(answer.headers["etag"])
              assert.isUndefined(answer.headers["age"])
            } else if (method === "GET") {
              assert.strictEqual(answer.text, `content of ${key}`.slice(0, range ? 4 : undefined))
            }
          }
        }))
    ))
})

const keys = ["a", "b", "c/d"]
const histories = fc.array(
  fc.record({
    who: fc.constantFrom("reader", "stranger", "forged", "none"),
    key: fc.constantFrom(...keys),
    method: fc.constantFrom("GET", "GET", "HEAD"),
    range: fc.boolean()
  }),
  { minLength: 5, maxLength: 25 }
)

describe("NodeGateway, administrators", () => {
  const withAdmin = Effect.gen(function*() {
    const usual = yield* policy
    const setup = yield* gateway({
      bucket: { public: false },
      config: {
        auth: { default: usual, admin: { ...usual, audiences: ["admin"] } },
        admin: { enabled: true, port: 0 }
      }
    })
    const port = setup.running.adminAddress?.port ?? 0
    return {
      ...setup,
      admin: yield* tokenOf({ aud: "admin", scope: "gateway:admin" }),
      token: yield* tokenOf(),
      call: (method: string, target: string, token?: string) =>
        send(port, target, { method, ...(token === undefined ? undefined : { token }) })
    }
  })

  it.effect("[S4-30] [S4-31] 401 without a token, 403 without the scope, and no token of a bucket", () =>
    Effect.gen(function*() {
      const { call, token } = yield* withAdmin
      const noScope = yield* tokenOf({ aud: "admin" })
      for (
        const [method, target] of [
          ["POST", "/admin/cache/purge"],
          ["POST", "/admin/cache/purge/files"],
          ["POST", "/admin/cache/purge/files/a"],
          ["GET", "/admin/cache/stats"],
          ["GET", "/admin/cache/stats/files"],
          ["POST", "/admin/reload"],
          ["GET", "/anything"]
        ] as const
      ) {
        assert.strictEqual((yield* call(method, target)).status, 401)
        assert.strictEqual((yield* call(method, target, token)).status, 401)
        assert.strictEqual((yield* call(method, target, noScope)).status, 403)
      }
    }))

  it.effect("[S4-30] purges an object by its raw key, a bucket, and all", () =>
    Effect.gen(function*() {
      const { admin, call, get, s3, token } = yield* withAdmin
      for (const key of ["a;b", "a//b", "c d"]) s3.put("files", key, "x")
      const fill = Effect.forEach(["a;b", "a//b", "c%20d"], (key) => get(`/files/${key}`, { token }))
      yield* fill
      const purge = (rest: string) => call("POST", `/admin/cache/purge${rest}`, admin)
      const one = yield* purge("/files/a;b")
      assert.deepStrictEqual([one.status, JSON.parse(one.text)], [200, { purged: 1 }])
      assert.strictEqual((yield* purge("/files/a;b")).status, 404)
      assert.strictEqual((yield* purge("/files/a/b")).status, 404)
      assert.strictEqual((yield* purge("/files/c%20d")).status, 200)
      assert.deepStrictEqual(JSON.parse((yield* purge("/files")).text), { purged: 1 })
      assert.strictEqual((yield* purge("/nope")).status, 404)
      assert.strictEqual((yield* purge("/nope/a")).status, 404)
      const before = s3.requests.length
      yield* fill
      assert.strictEqual(s3.requests.length, before + 3)
      assert.deepStrictEqual(JSON.parse((yield* purge("")).text), { purged: 3 })
      assert.strictEqual((yield* call("GET", "/admin/cache/purge", admin)).headers["allow"], "POST")
    }))

  it.effect.each(["", "/files", "/files/a"])(
    "[S4-30] what a running request reads during a purge (%s) is not stored",
    (rest) =>
      Effect.gen(function*() {
        const { admin, call, get, s3, token } = yield* withAdmin
        s3.put("files", "a", "x")
        const { promise, resolve } = Promise.withResolvers<void>()
        s3.fault("files/a", { until: promise, times: 1 })
        const running = yield* Effect.forkChild(get("/files/a", { token }), { startImmediately: true })
        yield* eventually(() => s3.requests.length === 1)
        yield* call("POST", `/admin/cache/purge${rest}`, admin)
        resolve()
        assert.strictEqual((yield* Fiber.join(running)).status, 200)
        assert.match(String((yield* get("/files/a", { token })).headers["cache-status"]), /fwd=uri-miss/)
      })
  )

  it.effect("[S4-31] statistics of all and of a bucket", () =>
    Effect.gen(function*() {
      const { admin, call, get, s3, token } = yield* withAdmin
      s3.put("files", "a", "x")
      for (const _ of [1, 2, 3, 4]) yield* get("/files/a", { token })
      const all = JSON.parse((yield* call("GET", "/admin/cache/stats", admin)).text)
      assert.deepStrictEqual([all.hits, all.misses, all.hit_rate, all.items], [3, 1, 0.75, 1])
      assert.strictEqual(all.layers.memory.hits, 3)
      assert.strictEqual(all.buckets.files.hits, 3)
      const one = JSON.parse((yield* call("GET", "/admin/cache/stats/files", admin)).text)
      assert.deepStrictEqual([one.hits, one.items > 0], [3, true])
      assert.strictEqual((yield* call("GET", "/admin/cache/stats/nope", admin)).status, 404)
    }))

  it.effect("[R36] clients do not reach the admin API through their listener", () =>
    Effect.gen(function*() {
      const { admin, get } = yield* withAdmin
      assert.strictEqual((yield* get("/admin/cache/stats", { token: admin })).status, 404)
    }))
})
