import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { recording, spanText } from "@keelson/testing/observe"
import { Cause, Effect, Exit, Option, Redacted } from "effect"
import { HttpClient } from "effect/http"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { inspect } from "node:util"
import { TokenProvider, type TokenSource, WorkloadIdentity } from "../src/index.ts"
import { type Answer, directory, inEnvironment, json, jwt, later, metadataService } from "./workloadSupport.ts"

const audience = "https://idp.example"

/** Values that only requests, responses and files may contain. */
const secrets = {
  request: "SecretOfTheJob0123456789",
  header: "SecretHeader0123456789",
  access: "SecretAccess0123456789",
  key: "SecretAccessKey0123456789",
  session: "SecretSession0123456789",
  instance: "SecretInstanceSession0123456789",
  pod: "SecretPodAgent0123456789",
  garbage: "SecretGarbage0123456789",
  location: "SecretLocation0123456789",
  subject: "secret-subject-0123456789",
  account: "AKIASECRET0123456789",
  role: "secret-role-0123456789",
  email: "secret-account-0123456789"
}

const retry = { maxAttempts: 2, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } as const

const shown = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (error === undefined) return [inspect(exit, { depth: 10 }), JSON.stringify(exit)]
  return [
    inspect(error, { depth: 10 }),
    JSON.stringify(error),
    error instanceof Error ? `${error.message} ${error.stack} ${inspect(error.cause, { depth: 10 })}` : "",
    JSON.stringify(Problem.encode(error)),
    Cause.pretty(Cause.fail(error))
  ]
}

describe("Workload identity", () => {
  it.live("[K-39] [R21] errors, logs, spans and metrics contain no token, key or subject, whatever the platform responds", () => {
    const { lines, record, spans } = recording()
    return record(Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const podAgent = join(yield* directory, "agent")
      yield* Effect.promise(() => Fs.writeFile(podAgent, secrets.pod))
      const claims = { exp: later, aud: audience, sub: `system:serviceaccount:shop:${secrets.subject}` }
      const token = yield* jwt(claims)
      const foreign = yield* jwt({ ...claims, aud: secrets.garbage })
      const flavor = { "metadata-flavor": "Google" }
      const credentials = { AccessKeyId: secrets.account, SecretAccessKey: secrets.key, Token: secrets.session }
      const good = (value: string): Answer =>
        json({
          value,
          status: { token: value },
          access_token: secrets.access,
          expires_in: 600,
          expires_on: String(later),
          ...credentials
        }, flavor)
      const answers: ReadonlyArray<Answer> = [
        good(token),
        good(foreign),
        { headers: flavor, body: token },
        { headers: flavor, body: foreign },
        { headers: flavor, body: `<WebIdentityToken>${token}</WebIdentityToken>` },
        { headers: flavor, body: token.slice(0, -5) },
        { headers: flavor, body: secrets.garbage },
        { headers: flavor, body: `{"access_token": "${secrets.garbage} x"}` },
        { status: 400, body: JSON.stringify({ error: secrets.garbage, error_description: secrets.garbage }) },
        { status: 403, body: `<Code>${secrets.garbage}</Code>` },
        { status: 401, headers: { "www-authenticate": secrets.garbage } },
        { status: 503, body: secrets.garbage },
        { status: 302, headers: { location: `https://elsewhere.example/${secrets.location}` } },
        { headers: flavor, body: secrets.garbage.repeat(10_000) }
      ]
      const service = yield* metadataService(() => ({}))
      const environment = inEnvironment({
        ACTIONS_ID_TOKEN_REQUEST_URL: `${service.url}/?secret=${secrets.request}`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: secrets.request,
        IDENTITY_ENDPOINT: service.url,
        IDENTITY_HEADER: secrets.header,
        AWS_REGION: "eu-central-1",
        AWS_ACCESS_KEY_ID: secrets.account,
        AWS_SECRET_ACCESS_KEY: secrets.key,
        AWS_SESSION_TOKEN: secrets.session,
        AWS_EC2_METADATA_SERVICE_ENDPOINT: service.url,
        AWS_CONTAINER_CREDENTIALS_FULL_URI: service.url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: podAgent
      })
      const shared = { timeout: "100 millis", endpoint: service.url } as const
      const aws = (from: "environment" | "container" | "instance") =>
        WorkloadIdentity.aws({ ...shared, audience, credentials: from })
      const sources: ReadonlyArray<TokenSource.TokenSource> = yield* environment(Effect.all([
        WorkloadIdentity.file({ path, audience }),
        WorkloadIdentity.githubActions({ audience, timeout: "100 millis" }),
        WorkloadIdentity.gcp({ ...shared, audience, serviceAccount: `${secrets.email}@a.example` }),
        WorkloadIdentity.gcpAccessToken(shared),
        WorkloadIdentity.azureManagedIdentity({ ...shared, resource: "r" }),
        WorkloadIdentity.azureAppService({ resource: "r", timeout: "100 millis" }),
        aws("environment"),
        aws("container"),
        aws("instance"),
        WorkloadIdentity.kubernetes({ ...shared, audience, path }),
        WorkloadIdentity.firstOf([
          WorkloadIdentity.file({ path, audience }),
          WorkloadIdentity.githubActions({ audience, timeout: "100 millis" })
        ], { within: "200 millis" })
      ]))
      const output: Array<string> = []
      for (const answer of answers) {
        service.script = ({ method, path }) => {
          if (method === "PUT") return { body: secrets.instance }
          return path.endsWith("security-credentials/") ? { body: secrets.role } : answer
        }
        yield* Effect.promise(() => Fs.writeFile(path, answer.status === undefined ? token : answer.body ?? ""))
        for (const source of sources) {
          output.push(inspect(source, { depth: 10 }), ...shown(yield* Effect.exit(source.acquire)))
          const provider = yield* TokenProvider.make({ name: "idp", source, resilience: { retry } })
          output.push(...shown(yield* Effect.exit(provider.get)))
        }
        // A file that cannot be used after one that could.
        yield* Effect.promise(() => Fs.writeFile(path, answer.body ?? ""))
        for (const source of sources) output.push(...shown(yield* Effect.exit(source.acquire)))
      }
      output.push(yield* PrometheusEndpoint.format)
      const all = [...output, ...lines, ...spans.map(spanText)]
      assert.isAbove(output.length, 500)
      assert.isAbove(lines.length, 20)
      assert.isAbove(spans.length, 100)
      const [head, payload, signature] = token.split(".")
      const looked = { ...secrets, head: `${head}.`, payload, signature, token, foreign }
      for (const [name, value = "?"] of Object.entries(looked)) {
        assert.isEmpty(all.filter((text) => text.includes(value)).slice(0, 1), name)
      }
      // Each source had a token at least once.
      assert.isTrue(service.requests.some(({ headers }) => headers["x-identity-header"] === secrets.header))
      assert.isTrue(service.requests.some(({ headers }) => headers.authorization === secrets.pod))
    })).pipe(
      Effect.scoped,
      // An application whose spans contain headers.
      Effect.provideService(HttpClient.TracerHeaderFilter, () => true),
      Effect.provide(Metrics.layerIsolated)
    )
  })

  it.live("[K-39] [R21] a token is redacted in what a source returns", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const token = yield* jwt({ exp: later })
      yield* Effect.promise(() => Fs.writeFile(path, token))
      const identity = yield* inEnvironment({})(WorkloadIdentity.file({ path }))
      const assertion = yield* identity.assertion
      assert.strictEqual(Redacted.value(assertion), token)
      assert.notInclude(
        `${inspect(assertion)} ${JSON.stringify({ assertion })}`,
        token.slice(0, 9)
      )
    }).pipe(Effect.scoped))
})
