import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { LocalDevelopment } from "@keelson/core"
import { KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { redisServer, skipReason } from "@keelson/testing/redisServer"
import { reasonOf } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Logger, Schedule } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { decodeJwt } from "jose"
import { BackChannelLogout, Claims, Revocation, TokenValidator, ValidationPolicy } from "../src/index.ts"
import { TestIssuer } from "../src/testing/index.ts"
import { logoutProvider } from "./logoutProvider.ts"

class Logins extends TokenValidator.Service<Logins>()("test/RealLogins", {
  claims: Claims.IdToken,
  revocation: Revocation.Revocation
}) {}

/** An application that receives logout tokens at a port which the provider has to know before the application knows the provider. */
const scene = Effect.fnUntraced(function*(isSessionRequired: boolean, ends: "session" | "subject" = "session") {
  const server = yield* Layer.build(NodeHttpServer.layerTest)
  const { address } = Context.get(server, HttpServer.HttpServer)
  const port = "port" in address ? address.port : 0
  const provider = yield* logoutProvider(`http://127.0.0.1:${port}/logout`, isSessionRequired)
  const { issuer } = provider
  const options = { issuers: [issuer], audiences: ["web"], algorithms: ["ES256"] } as const
  const routes = BackChannelLogout.layer({
    ...options,
    path: "/logout",
    tokenLifetime: "1 hour",
    requireType: true,
    ends
  })
  const context = yield* Layer.build(
    HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provideMerge(Logins.layer(ValidationPolicy.idToken({ ...options, nonce: "optional" }))),
      Layer.provide(Revocation.layerMemory()),
      Layer.provide(KeySource.layerOidc({ issuer })),
      Layer.provide(NodeEgress.layer()),
      Layer.provide(LocalDevelopment.layer),
      Layer.provide(Layer.succeedContext(server))
    )
  )
  return { provider, ...Context.get(context, Logins) }
})

describe("BackChannelLogout with oidc-provider", () => {
  it.live("[K-40] a logout at the provider ends the session in the application, and no other", () =>
    Effect.gen(function*() {
      const { provider, validate } = yield* scene(true)
      const first = yield* provider.logIn("ada")
      const second = yield* provider.logIn("ada")
      assert.isString(decodeJwt(first.idToken)["sid"])
      yield* validate(first.idToken)
      yield* validate(second.idToken)
      yield* first.logOut
      assert.deepStrictEqual(provider.outcomes, ["success"])
      assert.deepStrictEqual(yield* reasonOf(validate(first.idToken)), { _tag: "TokenRevoked" })
      yield* validate(second.idToken)
    }).pipe(Effect.provide(Logger.layer([]))))

  it.live("[K-40] a client without sessions is told the subject alone, and all of its tokens end", () =>
    Effect.gen(function*() {
      const { provider, validate } = yield* scene(false)
      const first = yield* provider.logIn("ada")
      const second = yield* provider.logIn("ada")
      const other = yield* provider.logIn("bob")
      assert.isUndefined(decodeJwt(first.idToken)["sid"])
      yield* first.logOut
      assert.deepStrictEqual(provider.outcomes, ["success"])
      for (const { idToken } of [first, second]) {
        assert.deepStrictEqual(yield* reasonOf(validate(idToken)), { _tag: "TokenRevoked" })
      }
      yield* validate(other.idToken)
    }).pipe(Effect.provide(Logger.layer([]))))

  it.live("[K-40] the provider reports any status but 200 and 204 as an error, and does not repeat the request", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin(503)
      const provider = yield* logoutProvider(`${origin.url}logout`, true)
      yield* (yield* provider.logIn("ada")).logOut
      assert.strictEqual(origin.received.length, 1)
      assert.include(provider.outcomes.join(), "503")
      const [received] = origin.received
      assert.strictEqual(received?.headers["content-type"], "application/x-www-form-urlencoded")
      const claims = decodeJwt(new URLSearchParams(received?.body).get("logout_token") ?? "")
      assert.hasAllKeys(claims, ["iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"])
    }))
})

describe.skipIf(skipReason !== undefined)("BackChannelLogout over Redis", () => {
  const policy = ValidationPolicy.idToken({
    issuers: ["https://idp.example"],
    audiences: ["web"],
    algorithms: ["ES256"],
    nonce: "optional"
  })
  const { algorithms, audiences, issuers } = policy

  it.live("[K-40] [R10] a logout in one process ends the session in all, a token is used once among them, and an outage is a 503", () =>
    Effect.gen(function*() {
      const redis = yield* redisServer
      const issuer = yield* Layer.build(TestIssuer.layer({ policy }))
      const { logoutToken, token } = Context.get(issuer, TestIssuer.TestIssuer)
      const process = Effect.gen(function*() {
        const list = Revocation.layerRedis({ redis: redis.redis, timeout: "5 seconds" })
        const context = yield* Layer.build(
          Logins.layer(policy).pipe(
            Layer.provideMerge(Layer.fresh(list)),
            Layer.provideMerge(Layer.succeedContext(issuer))
          )
        )
        const logout = yield* Effect.provide(
          BackChannelLogout.make({ issuers, audiences, algorithms, tokenLifetime: "1 hour" }),
          context
        )
        return { ...logout, ...Context.get(context, Logins) }
      })
      const first = yield* process
      const second = yield* process
      const ended = yield* token({ sid: "session-1" })
      yield* second.validate(ended)
      const text = yield* logoutToken({ sid: "session-1" })
      yield* first.logout(text)
      assert.deepStrictEqual(yield* reasonOf(second.validate(ended)), { _tag: "TokenRevoked" })
      assert.deepStrictEqual((yield* Effect.flip(second.logout(text))).reason, { _tag: "TokenReplayed" })

      yield* redis.kill
      const during = yield* logoutToken({ sid: "session-2" })
      assert.strictEqual((yield* Effect.flip(second.logout(during))).code, "AUTHORIZATION_UNAVAILABLE")
      yield* redis.start
      // The connection is made again in the background.
      yield* Effect.retry(second.logout(during), {
        while: ({ status }) => status === 503,
        schedule: Schedule.spaced("10 millis")
      })
      assert.deepStrictEqual(
        yield* reasonOf(first.validate(yield* token({ sid: "session-2" }))),
        { _tag: "TokenRevoked" }
      )
    }).pipe(Effect.provide(Logger.layer([]))))
})
