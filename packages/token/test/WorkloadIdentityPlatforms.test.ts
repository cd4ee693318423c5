import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { TokenHttpClient, TokenProvider, type TokenSource, WorkloadIdentity } from "../src/index.ts"
import {
  directory,
  failureOf,
  inEnvironment,
  json,
  jwt,
  later,
  metadataService,
  type Script
} from "./workloadSupport.ts"

const inNoEnvironment = inEnvironment({})

const value = (identity: WorkloadIdentity.WorkloadIdentity) => Effect.map(identity.assertion, Redacted.value)

const lifetime = ({ acquire }: TokenSource.TokenSource) =>
  Effect.map(acquire, ({ expiresIn }) => Duration.toSeconds(expiresIn ?? Duration.zero))

const audience = "https://idp.example"

// https://docs.github.com/en/actions/reference/security/oidc: the URL of the environment has a query already; the response is
// {"value": "eyJ..."}. The header's scheme is written in lower case there.
describe("GitHub Actions", () => {
  const environment = (url: string) =>
    inEnvironment({
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/_apis/distributedtask/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token"
    })

  it.live("[K-39] requests a token for the audience, with the token of the job", () =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: audience, exp: later, sub: "repo:octo-org/octo-repo:environment:prod" })
      const service = yield* metadataService(() => json({ count: 1, value: token }))
      const identity = yield* environment(service.url)(WorkloadIdentity.githubActions({ audience }))
      assert.strictEqual(yield* value(identity), token)
      const [request] = service.requests
      assert.strictEqual(request?.path, "/_apis/distributedtask/token")
      assert.strictEqual(request?.query.get("api-version"), "2.0")
      assert.strictEqual(request?.query.get("audience"), audience)
      assert.strictEqual(request?.headers.authorization, "Bearer request-token")
    }).pipe(Effect.scoped))

  it.live("[K-39] a token for another audience is not used", () =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: "https://github.com/octo-org", exp: later })
      const service = yield* metadataService(() => json({ value: token }))
      const identity = yield* environment(service.url)(WorkloadIdentity.githubActions({ audience }))
      const { code, details } = yield* failureOf(identity)
      assert.deepStrictEqual([code, details["reason"]], ["WORKLOAD_TOKEN_INVALID", "audience"])
    }).pipe(Effect.scoped))

  it.effect("[K-39] outside of a job, and without the permission, no request is sent", () =>
    Effect.gen(function*() {
      const identity = yield* inNoEnvironment(WorkloadIdentity.githubActions({ audience }))
      assert.strictEqual((yield* failureOf(identity)).details["path"], "ACTIONS_ID_TOKEN_REQUEST_URL")
      const half = yield* inEnvironment({ ACTIONS_ID_TOKEN_REQUEST_URL: "https://vstoken.example" })(
        WorkloadIdentity.githubActions({ audience })
      )
      assert.strictEqual((yield* failureOf(half)).details["path"], "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    }))

  it.effect("[K-39] a URL of the environment must be https", () =>
    Effect.gen(function*() {
      const source = inEnvironment({
        ACTIONS_ID_TOKEN_REQUEST_URL: "http://vstoken.example/x",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t"
      })(WorkloadIdentity.githubActions({ audience }))
      const { code, details } = yield* Effect.flip(source)
      assert.deepStrictEqual([code, details["path"]], ["INVALID_CONFIG", "ACTIONS_ID_TOKEN_REQUEST_URL"])
    }))
})

// https://cloud.google.com/compute/docs/metadata/querying-metadata: requests without the header get a 403, and responses have
// it too. https://cloud.google.com/compute/docs/instances/verifying-instance-identity: the token is the whole body.
describe("Google Cloud", () => {
  const flavor = { "metadata-flavor": "Google", server: "Metadata Server for VM" }
  const server = (answer: Script): Script => (request, number) =>
    request.headers["metadata-flavor"] === "Google"
      ? answer(request, number)
      : { status: 403, headers: flavor, body: "Missing Metadata-Flavor:Google header." }

  it.live("[K-39] gets an identity token with audience and format", () =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: audience, exp: later, iss: "https://accounts.google.com" })
      const service = yield* metadataService(
        server(() => ({ headers: { ...flavor, "content-type": "text/html" }, body: token }))
      )
      const identity = yield* inNoEnvironment(
        WorkloadIdentity.gcp({ audience, format: "full", endpoint: service.url })
      )
      assert.strictEqual(yield* value(identity), token)
      const [request] = service.requests
      assert.strictEqual(request?.path, "/computeMetadata/v1/instance/service-accounts/default/identity")
      assert.deepStrictEqual(Object.fromEntries(request?.query ?? []), { audience, format: "full" })
    }).pipe(Effect.scoped))

  it.live("[K-39] gets access tokens with scopes, of another account, with what is left of their lifetime", () =>
    Effect.gen(function*() {
      const service = yield* metadataService(
        server(() => json({ access_token: "ya29.token", expires_in: 3210, token_type: "Bearer" }, flavor))
      )
      const source = yield* WorkloadIdentity.gcpAccessToken({
        endpoint: service.url,
        serviceAccount: "batch@project.iam.gserviceaccount.com",
        scopes: ["https://www.googleapis.com/auth/pubsub", "https://www.googleapis.com/auth/devstorage.read_only"]
      })
      const provider = yield* TokenProvider.make({ name: "google", source })
      const token = yield* provider.get
      assert.strictEqual(Redacted.value(token.value), "ya29.token")
      assert.strictEqual(token.expiresAt.wall - token.issuedAt.wall, 3_210_000)
      const [request] = service.requests
      assert.strictEqual(
        request?.path,
        "/computeMetadata/v1/instance/service-accounts/batch@project.iam.gserviceaccount.com/token"
      )
      assert.strictEqual(
        request?.query.get("scopes"),
        "https://www.googleapis.com/auth/pubsub,https://www.googleapis.com/auth/devstorage.read_only"
      )
    }).pipe(Effect.scoped))

  it.live("[K-39] a response without the header is from another service, and not used", () =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: audience, exp: later })
      const service = yield* metadataService((request) =>
        request.path.endsWith("/token") ? json({ access_token: "t", expires_in: 60 }) : { body: token }
      )
      const identity = yield* inNoEnvironment(WorkloadIdentity.gcp({ audience, endpoint: service.url }))
      const source = yield* WorkloadIdentity.gcpAccessToken({ endpoint: service.url })
      for (const one of [identity, source]) {
        const { code, details } = yield* failureOf(one)
        assert.deepStrictEqual([code, details["reason"]], ["WORKLOAD_IDENTITY_UNAVAILABLE", "flavor"])
      }
    }).pipe(Effect.scoped))

  // https://cloud.google.com/compute/docs/troubleshooting/troubleshoot-metadata-server
  it.live("[K-39] a machine without a service account is refused with 404, which is not retried", () =>
    Effect.gen(function*() {
      const service = yield* metadataService(server(() => ({ status: 404, headers: flavor, body: "<html>Not Found" })))
      const identity = yield* inNoEnvironment(WorkloadIdentity.gcp({ audience, endpoint: service.url }))
      assert.deepStrictEqual(yield* failureOf(identity), {
        code: "WORKLOAD_IDENTITY_UNAVAILABLE",
        message: "the Google Cloud metadata server refused the request with status 404",
        details: {
          reason: "status",
          endpoint: `${service.url}/computeMetadata/v1/instance/service-accounts/-/identity`,
          status: 404
        }
      })
      assert.strictEqual(service.requests.length, 1)
    }).pipe(Effect.scoped))

  it.effect("[K-39] a service account cannot change the path", () =>
    Effect.gen(function*() {
      const { details } = yield* Effect.flip(WorkloadIdentity.gcpAccessToken({ serviceAccount: "../../project" }))
      assert.strictEqual(details["path"], "serviceAccount")
    }))
})

// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token: numbers are texts;
// expires_in counts "from time of issuance", expires_on since 1970.
describe("Azure Instance Metadata Service", () => {
  const resource = "api://AzureADTokenExchange"
  const answer = (token: string, expiresOn: number) =>
    json({
      access_token: token,
      refresh_token: "",
      expires_in: "86399",
      expires_on: String(expiresOn),
      not_before: "1506480273",
      resource,
      token_type: "Bearer"
    })

  it.effect("[K-39] gets a token of a user-assigned identity, whose lifetime follows from expires_on", () =>
    Effect.gen(function*() {
      const service = yield* metadataService(() => answer("opaque.to.clients", 4_000))
      const identity = yield* inNoEnvironment(
        WorkloadIdentity.azureManagedIdentity({ resource, clientId: "11111111-aaaa", endpoint: service.url })
      )
      yield* TestClock.setTime(1_000_000)
      assert.strictEqual(yield* value(identity), "opaque.to.clients")
      // The token was cached by the service: expires_in is that of its issuance.
      assert.strictEqual(yield* lifetime(identity), 3_000)
      const [request] = service.requests
      assert.strictEqual(request?.path, "/metadata/identity/oauth2/token")
      assert.strictEqual(request?.headers["metadata"], "true")
      assert.deepStrictEqual(Object.fromEntries(request?.query ?? []), {
        "api-version": "2018-02-01",
        resource,
        client_id: "11111111-aaaa"
      })
      yield* TestClock.setTime(4_000_000)
      const { details } = yield* failureOf(identity)
      assert.deepStrictEqual([details["reason"], details["expires_at"]], ["expired", "1970-01-01T01:06:40.000Z"])
    }).pipe(Effect.scoped))

  for (const status of [404, 410, 429, 500, 503]) {
    it.effect(`[K-39] retries after ${status} as documented, each time at least a second later`, () =>
      Effect.gen(function*() {
        const times: Array<number> = []
        // Answers at once, so that virtual time alone decides when the next request is sent.
        const client = HttpClient.make((request) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const isGood = times.push(now) === 4
            const init = { status: isGood ? 200 : status, headers: isGood ? {} : { "content-length": "0" } }
            return HttpClientResponse.fromWeb(request, new Response(isGood ? answer("t", later).body : "", init))
          })
        )
        const identity = yield* inNoEnvironment(
          WorkloadIdentity.azureManagedIdentity({ resource, timeout: "90 seconds" })
        )
        const waiting = yield* Effect.forkChild(
          Effect.provideService(identity.assertion, WorkloadIdentity.MetadataHttpClient, client),
          { startImmediately: true }
        )
        for (let passed = 0; passed < 89 && times.length < 4; passed++) yield* TestClock.adjust("1 seconds")
        assert.strictEqual(times.length, 4)
        assert.strictEqual(Redacted.value(yield* Fiber.join(waiting)), "t")
        for (const [index, time] of times.slice(1).entries()) assert.isAtLeast(time - (times[index] ?? 0), 1_000)
      }))
  }

  it.effect("[K-39] does not retry past its time limit", () =>
    Effect.gen(function*() {
      const service = yield* metadataService(() => ({ status: 410 }))
      const identity = yield* inNoEnvironment(
        WorkloadIdentity.azureManagedIdentity({ resource, endpoint: service.url, timeout: "900 millis" })
      )
      const { code, details } = yield* failureOf(identity)
      assert.deepStrictEqual([code, details["status"]], ["UPSTREAM_UNAVAILABLE", 410])
      assert.strictEqual(service.requests.length, 1)
      assert.isTrue(identity.isRetryable(yield* Effect.flip(identity.assertion)))
    }).pipe(Effect.scoped))

  it.live("[K-39] a machine without the identity is refused with an error code, which is not retried", () =>
    Effect.gen(function*() {
      const service = yield* metadataService(() => ({
        ...json({ error: "invalid_request", error_description: "Identity not found" }),
        status: 400
      }))
      const identity = yield* inNoEnvironment(
        WorkloadIdentity.azureManagedIdentity({ resource, endpoint: service.url })
      )
      const { code, details, message } = yield* failureOf(identity)
      assert.strictEqual(code, "WORKLOAD_IDENTITY_UNAVAILABLE")
      assert.strictEqual(
        message,
        "the Azure Instance Metadata Service refused the request with status 400 (invalid_request)"
      )
      assert.deepStrictEqual([details["status"], details["error"]], [400, "invalid_request"])
      assert.strictEqual(service.requests.length, 1)
      assert.isFalse(identity.isRetryable(yield* Effect.flip(identity.assertion)))
    }).pipe(Effect.scoped))
})

// https://learn.microsoft.com/azure/app-service/overview-managed-identity: X-IDENTITY-HEADER, api-version 2019-08-01, and a
// response with expires_on only.
describe("Azure App Service", () => {
  it.effect("[K-39] gets a token from the endpoint of the environment, with its header", () =>
    Effect.gen(function*() {
      const service = yield* metadataService((request) =>
        request.headers["x-identity-header"] === "853b9a84"
          ? json({
            access_token: "t",
            expires_on: "3000",
            resource: "https://vault.azure.net",
            token_type: "Bearer",
            client_id: "5E29463D"
          })
          : { status: 401 }
      )
      const identity = yield* inEnvironment({
        IDENTITY_ENDPOINT: `${service.url}/msi/token`,
        IDENTITY_HEADER: "853b9a84"
      })(WorkloadIdentity.azureAppService({ resource: "https://vault.azure.net", clientId: "5E29463D" }))
      assert.strictEqual(yield* lifetime(identity), 3_000)
      const [request] = service.requests
      assert.strictEqual(request?.path, "/msi/token")
      assert.deepStrictEqual(Object.fromEntries(request?.query ?? []), {
        "api-version": "2019-08-01",
        resource: "https://vault.azure.net",
        client_id: "5E29463D"
      })
      assert.isUndefined(request?.headers["metadata"])
    }).pipe(Effect.scoped))

  it.effect("[K-39] its endpoint may be any link-local address, and no other one without TLS", () =>
    Effect.gen(function*() {
      const make = (url: string) =>
        inEnvironment({ IDENTITY_ENDPOINT: url, IDENTITY_HEADER: "h" })(
          WorkloadIdentity.azureAppService({ resource: "r" })
        )
      yield* make("http://169.254.129.4:8081/msi/token")
      yield* make("http://localhost:42356/msi/token")
      for (const url of ["http://10.0.0.1/msi/token", "http://169.254.129.4.nip.io/", "ftp://127.0.0.1/", "x"]) {
        assert.strictEqual((yield* Effect.flip(make(url))).details["path"], "IDENTITY_ENDPOINT", url)
      }
    }))
})

// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/: 201 with status.token.
describe("Kubernetes", () => {
  it.live("[K-39] requests a token for another audience with the pod's own token", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const own = yield* jwt({ exp: later, sub: "system:serviceaccount:shop:billing" })
      const token = yield* jwt({ exp: later, aud: [audience], sub: "system:serviceaccount:shop:billing" })
      yield* Effect.promise(() => Fs.writeFile(path, own))
      const service = yield* metadataService(() => ({
        ...json({
          kind: "TokenRequest",
          apiVersion: "authentication.k8s.io/v1",
          spec: { audiences: [audience], expirationSeconds: 900 },
          status: { token, expirationTimestamp: "2096-10-02T07:06:40Z" }
        }),
        status: 201
      }))
      const identity = yield* inNoEnvironment(
        WorkloadIdentity.kubernetes({ audience, path, lifetime: "15 minutes", endpoint: service.url })
      )
      assert.strictEqual(yield* value(identity), token)
      const [request] = service.requests
      assert.strictEqual(request?.method, "POST")
      assert.strictEqual(request?.path, "/api/v1/namespaces/shop/serviceaccounts/billing/token")
      assert.strictEqual(request?.headers.authorization, `Bearer ${own}`)
      assert.strictEqual(request?.headers["content-type"], "application/json")
      assert.deepStrictEqual(JSON.parse(request?.body ?? ""), {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences: [audience], expirationSeconds: 900 }
      })
    }).pipe(Effect.scoped))

  it.live("[K-39] without the permission it is refused with 403; a foreign subject changes no path", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const service = yield* metadataService(() => ({
        ...json({ kind: "Status", status: "Failure", reason: "Forbidden", code: 403 }),
        status: 403
      }))
      const identity = yield* inNoEnvironment(WorkloadIdentity.kubernetes({ audience, path, endpoint: service.url }))
      const write = (sub: string) =>
        Effect.flatMap(jwt({ exp: later, sub }), (token) => Effect.promise(() => Fs.writeFile(path, token)))
      yield* write("system:serviceaccount:shop:billing")
      assert.strictEqual((yield* failureOf(identity)).details["status"], 403)
      for (const sub of ["system:serviceaccount:../../x:y", "system:serviceaccount:a:b/../c", "user", ""]) {
        yield* write(sub)
        assert.strictEqual((yield* failureOf(identity)).code, "WORKLOAD_TOKEN_INVALID", sub)
      }
      assert.strictEqual(service.requests.length, 1)
    }).pipe(Effect.scoped))

  it.effect("[K-39] finds the API server in the environment, and asks it with the client of token requests", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const own = yield* jwt({ exp: later, sub: "system:serviceaccount:shop:billing" })
      yield* Effect.promise(() => Fs.writeFile(path, own))
      const urls: Array<string> = []
      const client = HttpClient.make((request) => {
        urls.push(request.url)
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 403 })))
      })
      const through = TokenHttpClient.layer(Layer.succeed(HttpClient.HttpClient, client))
      for (const host of ["10.0.0.1", "fd00::1"]) {
        const identity = yield* inEnvironment({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: "6443" })(
          WorkloadIdentity.kubernetes({ audience, path })
        )
        yield* Effect.provide(Effect.flip(identity.assertion), through)
      }
      const suffix = "/api/v1/namespaces/shop/serviceaccounts/billing/token"
      assert.deepStrictEqual(urls, [`https://10.0.0.1:6443${suffix}`, `https://[fd00::1]:6443${suffix}`])
    }).pipe(Effect.scoped))
})
