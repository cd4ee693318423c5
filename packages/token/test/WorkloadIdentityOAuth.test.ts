import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from "jose"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { ClientAuth, OAuthClient, TokenGuard, TokenProvider, WorkloadIdentity } from "../src/index.ts"
import { oauthServer } from "./oauthServer.ts"
import { directory, inEnvironment, json, metadataService } from "./workloadSupport.ts"

/** A platform whose key the server trusts for the client `signer`. */
const platform = Effect.promise(async () => {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true })
  let tokens = 0
  const issue = (audience: string) =>
    new SignJWT({ jti: String(++tokens) }).setProtectedHeader({ alg: "ES256", kid: "platform" }).setIssuer("signer")
      .setSubject("signer").setAudience(audience).setIssuedAt().setExpirationTime("1 hour").sign(privateKey)
  return { issue, jwk: { ...await exportJWK(publicKey), kid: "platform", use: "sig" } }
})

const assertions = (requests: ReadonlyArray<{ readonly body: URLSearchParams }>) =>
  requests.map(({ body }) => decodeJwt(body.get("client_assertion") ?? "").jti)

describe("Workload identity at a real authorization server", () => {
  it.live("[K-39] [C8] a file that rotates authenticates the client, with its current token for each request", () =>
    Effect.gen(function*() {
      const { issue, jwk } = yield* platform
      const server = yield* oauthServer({ keys: [jwk] })
      const path = join(yield* directory, "token")
      const rotate = Effect.promise(async () => {
        await Fs.writeFile(`${path}.new`, await issue(server.issuer))
        await Fs.rename(`${path}.new`, path)
      })
      yield* rotate
      const identity = yield* inEnvironment({})(WorkloadIdentity.file({ path, audience: server.issuer }))
      const source = OAuthClient.clientCredentials({
        issuer: server.issuer,
        clientId: "signer",
        auth: ClientAuth.clientAssertion(identity.assertion),
        scope: "read",
        allowLocalhost: true
      })
      const provider = yield* TokenProvider.make({ name: "idp", source })
      assert.strictEqual((yield* provider.get).scope, "read")
      yield* rotate
      yield* provider.refresh
      assert.deepStrictEqual(assertions(server.requests), ["1", "2"])
      // The server accepts each assertion once: this one is not replaced in time.
      assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "TOKEN_ACQUISITION_FAILED")
    }).pipe(Effect.scoped, quiet))

  it.live("[K-39] [C8] an endpoint of the platform authenticates the client, with a new token for each request", () =>
    Effect.gen(function*() {
      const { issue, jwk } = yield* platform
      const server = yield* oauthServer({ keys: [jwk] })
      const tokens = yield* Effect.promise(() => Promise.all([issue(server.issuer), issue(server.issuer)]))
      const job = yield* metadataService((_, number) => json({ value: tokens[number - 1] }))
      const identity = yield* inEnvironment({
        ACTIONS_ID_TOKEN_REQUEST_URL: `${job.url}/?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t"
      })(WorkloadIdentity.githubActions({ audience: server.issuer }))
      const source = OAuthClient.clientCredentials({
        issuer: server.issuer,
        clientId: "signer",
        auth: ClientAuth.clientAssertion(identity.assertion),
        allowLocalhost: true
      })
      const provider = yield* TokenProvider.make({ name: "idp", source })
      yield* provider.get
      yield* provider.refresh
      assert.deepStrictEqual(assertions(server.requests), ["1", "2"])
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-39] [C8] a missing assertion keeps the error of the platform", () =>
    Effect.gen(function*() {
      const identity = yield* WorkloadIdentity.file({ path: "/nowhere/token" })
      const auth = ClientAuth.clientAssertion(identity.assertion)
      const error = yield* Effect.flip(auth.prepare({ audience: "https://idp.example" }))
      assert.deepStrictEqual([error.code, error.details["path"]], ["WORKLOAD_TOKEN_INVALID", "/nowhere/token"])
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("[K-39] an identity is a source of a guard: an API that trusts the platform gets its token", () =>
    Effect.gen(function*() {
      const { issue } = yield* platform
      const path = join(yield* directory, "token")
      const token = yield* Effect.promise(() => issue("api"))
      yield* Effect.promise(() => Fs.writeFile(path, token))
      const api = yield* metadataService(({ headers }) => ({
        status: headers.authorization === `Bearer ${token}` ? 200 : 401
      }))
      class Api extends TokenGuard.Service<Api>()("test/Api") {}
      const source = yield* inEnvironment({})(WorkloadIdentity.file({ path, audience: "api" }))
      const live = Api.layer({ origins: [api.url], source, allowLocalhost: true })
      const status = yield* Effect.gen(function*() {
        const { status } = yield* (yield* Api).get("/")
        return status
      }).pipe(Effect.provide(Layer.provide(live, FetchHttpClient.layer)))
      assert.strictEqual(status, 200)
    }).pipe(Effect.scoped, quiet))
})
