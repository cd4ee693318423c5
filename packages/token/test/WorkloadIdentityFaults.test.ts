import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { Effect, Fiber, type FileSystem } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { type TokenSource, WorkloadIdentity } from "../src/index.ts"
import {
  type Answer,
  directory,
  failureOf,
  inEnvironment,
  json,
  jwt,
  later,
  metadataService,
  type Script
} from "./workloadSupport.ts"

const audience = "https://idp.example"

type Made = Effect.Effect<TokenSource.TokenSource, unknown, FileSystem.FileSystem>

/** Every source that sends requests, with all its requests to one service. */
const sources: Readonly<Record<string, (url: string, podToken: string) => Made>> = {
  githubActions: (url) =>
    inEnvironment({ ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/?api-version=2.0`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t" })(
      WorkloadIdentity.githubActions({ audience, timeout: "1 minute" })
    ),
  gcp: (endpoint) => WorkloadIdentity.gcp({ audience, endpoint, timeout: "1 minute" }),
  gcpAccessToken: (endpoint) => WorkloadIdentity.gcpAccessToken({ endpoint, timeout: "1 minute" }),
  azureManagedIdentity: (endpoint) =>
    WorkloadIdentity.azureManagedIdentity({ resource: "r", endpoint, timeout: "1 minute" }),
  azureAppService: (url) =>
    inEnvironment({ IDENTITY_ENDPOINT: `${url}/msi/token`, IDENTITY_HEADER: "h" })(
      WorkloadIdentity.azureAppService({ resource: "r", timeout: "1 minute" })
    ),
  "aws, at STS": (endpoint) =>
    inEnvironment({ AWS_ACCESS_KEY_ID: "AK", AWS_SECRET_ACCESS_KEY: "s" })(
      WorkloadIdentity.aws({
        audience,
        region: "eu-central-1",
        credentials: "environment",
        endpoint,
        timeout: "1 minute"
      })
    ),
  "aws, at the instance": (endpoint) =>
    inEnvironment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint })(
      WorkloadIdentity.aws({ audience, region: "eu-central-1", credentials: "instance", endpoint, timeout: "1 minute" })
    ),
  "aws, at the container": (endpoint) =>
    inEnvironment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: endpoint })(
      WorkloadIdentity.aws({
        audience,
        region: "eu-central-1",
        credentials: "container",
        endpoint,
        timeout: "1 minute"
      })
    ),
  kubernetes: (endpoint, path) => WorkloadIdentity.kubernetes({ audience, path, endpoint, timeout: "1 minute" })
}

const flavored = (answer: Answer): Answer => ({
  ...answer,
  headers: { ...answer.headers, "metadata-flavor": "Google" }
})

/** Answers every request in the same way. */
const always = (answer: Answer): Script => () => flavored(answer)

const codes = (source: TokenSource.TokenSource) =>
  Effect.map(failureOf(source), ({ code, details }) => [code, details["reason"] ?? details["status"]])

const run = (make: (url: string, podToken: string) => Made, script: Script) =>
  Effect.gen(function*() {
    const service = yield* metadataService(script)
    const path = join(yield* directory, "token")
    const own = yield* jwt({ exp: later, sub: "system:serviceaccount:a:b" })
    yield* Effect.promise(() => Fs.writeFile(path, own))
    return { service, source: yield* make(service.url, path) }
  })

describe("A platform's endpoint", () => {
  for (const [name, make] of Object.entries(sources)) {
    it.effect(`[K-39] ${name}: one that hangs ends at the time limit`, () =>
      Effect.gen(function*() {
        const { service, source } = yield* run(make, () => undefined)
        const asked = Effect.callback<void>((resume) => {
          service.onHang = () => resume(Effect.void)
        })
        const waiting = yield* Effect.forkChild(codes(source), { startImmediately: true })
        yield* asked
        yield* TestClock.adjust("59999 millis")
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(waiting))[0], "TIMEOUT")
      }).pipe(Effect.scoped, inEnvironment({})))

    it.live(`[K-39] ${name}: a redirect is not followed, wherever it leads`, () =>
      Effect.gen(function*() {
        const target = yield* metadataService(() => json({}))
        for (const status of [301, 302, 303, 307, 308]) {
          const { service, source } = yield* run(make, always({ status, headers: { location: target.url } }))
          assert.deepStrictEqual(yield* codes(source), ["EGRESS_REFUSED", "redirect"])
          assert.strictEqual(service.requests.length, 1)
        }
        assert.strictEqual(target.requests.length, 0)
      }).pipe(Effect.scoped, inEnvironment({})))

    it.live(`[K-39] ${name}: a huge response is not read to its end`, () =>
      Effect.gen(function*() {
        const { source } = yield* run(make, always({ body: "x".repeat(4_000_000) }))
        assert.deepStrictEqual(yield* codes(source), ["RESPONSE_TOO_LARGE", 200])
      }).pipe(Effect.scoped, inEnvironment({})))

    it.live(`[K-39] ${name}: no garbage is taken for a token`, () =>
      Effect.gen(function*() {
        const token = yield* jwt({ exp: later, aud: "somebody else" })
        const bodies = [
          "",
          " \n",
          "null",
          "[]",
          "\"text\"",
          "<html><body>Sign in to the network</body></html>",
          "{\"access_token\":",
          "{\"access_token\":null,\"expires_on\":\"1\",\"value\":7,\"status\":\"Failure\"}",
          "{\"access_token\":\"two words\",\"expires_in\":60,\"expires_on\":\"4000000000\",\"value\":\"a b\"}",
          "{\"access_token\":\"t\",\"expires_in\":\"soon\",\"expires_on\":\"09/14/2017 00:00:00 PM +00:00\"}",
          "{\"access_token\":\"t\",\"expires_in\":-1}",
          JSON.stringify({ value: token, status: { token }, access_token: token }),
          `<WebIdentityToken>${token}</WebIdentityToken>`,
          token,
          `${token}.`,
          token.slice(0, -4),
          "a.b.c",
          "eyJhbGciOiJub25lIn0.eyJleHAiOjQwMDAwMDAwMDB9.",
          "\u0000\ufffd",
          "{".repeat(5_000)
        ]
        for (const body of bodies) {
          const { source } = yield* run(make, always({ body }))
          const [code, reason] = yield* codes(source)
          assert.strictEqual(code, "WORKLOAD_TOKEN_INVALID", body)
          assert.include(["empty", "malformed", "audience", "expired"], reason, body)
        }
      }).pipe(Effect.scoped, inEnvironment({}), quiet))

    it.live(`[K-39] ${name}: a connection that is refused is not retried`, () =>
      Effect.gen(function*() {
        const { source } = yield* run((_, path) => make("http://127.0.0.1:1", path), () => undefined)
        assert.strictEqual((yield* codes(source))[0], "NETWORK_ERROR")
      }).pipe(Effect.scoped, inEnvironment({})))
  }
})
