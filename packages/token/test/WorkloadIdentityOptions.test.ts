import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { TokenHttpClient, WorkloadIdentity, WorkloadIdentityOptions } from "../src/index.ts"
import { checkEndpoint } from "../src/internal/workload/endpoint.ts"
import { directory, inEnvironment, jwt, later } from "./workloadSupport.ts"

const schema = WorkloadIdentityOptions.WorkloadIdentityOptions
const decode = Configuration.decode(schema)

describe("WorkloadIdentityOptions", () => {
  it.effect("[K-39] [S3-23] are read from a file and from the environment, and give the same source", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const token = yield* jwt({ exp: later, aud: "https://idp.example" })
      yield* Effect.promise(() => Fs.writeFile(path, token))
      const env = {
        TOKEN_PATH: path,
        IDENTITY_PLATFORM: "file",
        IDENTITY_PATH: path,
        IDENTITY_AUDIENCE: "https://idp.example",
        IDENTITY_TIMEOUT: "5 seconds"
      }
      const text =
        "identity:\n  platform: file\n  path: ${TOKEN_PATH}\n  audience: https://idp.example\n  timeout: 5 seconds\n"
      const [file, environment] = yield* Effect.all([
        Configuration.decodeText(schema, { format: "yaml", text, section: "identity" }),
        Configuration.fromEnvironment(schema, ["identity"])
      ]).pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))
      assert.deepStrictEqual(file, environment)
      assert.deepInclude(file, { timeout: Duration.seconds(5), maxBytes: 65_536 })
      const identity = yield* inEnvironment({})(WorkloadIdentity.fromOptions(file))
      assert.strictEqual(Redacted.value(yield* identity.assertion), token)
    }).pipe(Effect.scoped))

  const wrong: ReadonlyArray<readonly [object, string]> = [
    [{}, "platform"],
    [{ platform: "ibm" }, "platform"],
    [{ platform: "file" }, "path"],
    [{ platform: "file", path: "" }, "path"],
    [{ platform: "file", path: "/a", pathVariable: "A" }, "path"],
    [{ platform: "file", pathVariable: "A B" }, "pathVariable"],
    [{ platform: "file", path: "/a", resource: "r" }, "resource"],
    [{ platform: "githubActions" }, "audience"],
    [{ platform: "githubActions", audience: "a", endpoint: "https://a.example" }, "endpoint"],
    [{ platform: "gcp" }, "audience"],
    [{ platform: "gcp", audience: "a".repeat(1001) }, "audience"],
    [{ platform: "gcp", audience: "a", serviceAccount: "../x" }, "serviceAccount"],
    [{ platform: "gcp", audience: "a", format: "short" }, "format"],
    [{ platform: "gcp", audience: "a", endpoint: "http://metadata.example" }, "endpoint"],
    [{ platform: "azureManagedIdentity" }, "resource"],
    [{ platform: "azureManagedIdentity", resource: "r", audience: "a" }, "audience"],
    [{ platform: "azureAppService", resource: "r", endpoint: "http://169.254.129.4" }, "endpoint"],
    [{ platform: "aws", audience: "a" }, "credentials"],
    [{ platform: "aws", audience: "a", credentials: "profile" }, "credentials"],
    [{ platform: "aws", audience: "a", credentials: "instance", region: "eu.example" }, "region"],
    [{ platform: "aws", audience: "a", credentials: "instance", lifetime: "61 minutes" }, "lifetime"],
    [{ platform: "aws", audience: "a", credentials: "instance", lifetime: "59 seconds" }, "lifetime"],
    [{ platform: "kubernetes" }, "audience"],
    [{ platform: "kubernetes", audience: "a", lifetime: "9 minutes" }, "lifetime"],
    [{ platform: "kubernetes", audience: "a", timeout: "99 millis" }, "timeout"],
    [{ platform: "kubernetes", audience: "a", maxBytes: 1_023 }, "maxBytes"]
  ]
  for (const [options, path] of wrong) {
    it.effect(`[K-39] ${JSON.stringify(options).slice(0, 120)} is refused at ${path}`, () =>
      Effect.map(
        Effect.flip(decode(options)),
        ({ code, details }) => assert.deepStrictEqual([code, details["path"]], ["INVALID_CONFIG", path])
      ))
  }

  it("[K-39] http is for documented metadata addresses and this machine only", () => {
    const allowed = [
      "http://169.254.169.254",
      "http://169.254.169.254:80/",
      "http://[fd00:ec2::254]/",
      "http://169.254.170.2/v2/credentials",
      "http://169.254.170.23/v1/credentials",
      "http://[fd00:ec2::23]/v1/credentials",
      "http://metadata.google.internal",
      "http://METADATA.google.internal.",
      "http://[fd20:ce::254]",
      "http://localhost:42356/msi/token",
      "http://127.0.0.1:8081",
      "http://[::1]:8081",
      "https://sts.eu-central-1.amazonaws.com"
    ]
    const refused = [
      "http://169.254.169.253",
      "http://169.254.169.254.evil.example",
      "http://metadata.google.internal.evil.example",
      "http://evil.example/169.254.169.254",
      "http://169.254.169.254@evil.example",
      "http://user@169.254.169.254",
      "http://10.0.0.1",
      "http://[fe80::1]",
      "ftp://169.254.169.254",
      "https://user:password@sts.example",
      "https://sts.example/#x",
      "169.254.169.254",
      ""
    ]
    for (const url of allowed) assert.isDefined(checkEndpoint(url), url)
    for (const url of refused) assert.isUndefined(checkEndpoint(url), url)
    // Other spellings of the same address.
    assert.strictEqual(checkEndpoint("http://0xa9fea9fe/")?.hostname, "169.254.169.254")
    assert.isDefined(checkEndpoint("http://169.254.129.4:8081/msi/token", "linkLocal"))
    assert.isUndefined(checkEndpoint("http://169.255.0.1/", "linkLocal"))
  })

  it.effect("[K-39] metadata endpoints are asked with a client of their own, never with that of token requests", () =>
    Effect.gen(function*() {
      const urls = (seen: Array<string>) =>
        Layer.succeed(
          HttpClient.HttpClient,
          HttpClient.make((request) => {
            seen.push(request.url)
            return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 400 })))
          })
        )
      const [metadata, tokens]: [Array<string>, Array<string>] = [[], []]
      const { imds, job } = yield* inEnvironment({
        ACTIONS_ID_TOKEN_REQUEST_URL: "https://vstoken.example/?api-version=2.0",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t"
      })(Effect.all({
        imds: WorkloadIdentity.azureManagedIdentity({ resource: "r" }),
        job: WorkloadIdentity.githubActions({ audience: "a" })
      }))
      const own = Layer.effect(WorkloadIdentity.MetadataHttpClient, HttpClient.HttpClient).pipe(
        Layer.provide(urls(metadata))
      )
      yield* Effect.all([Effect.flip(imds.assertion), Effect.flip(job.assertion)]).pipe(
        Effect.provide(Layer.merge(own, TokenHttpClient.layer(urls(tokens))))
      )
      assert.deepStrictEqual(metadata, [
        "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r"
      ])
      assert.deepStrictEqual(tokens, ["https://vstoken.example/?api-version=2.0&audience=a"])
    }))
})
