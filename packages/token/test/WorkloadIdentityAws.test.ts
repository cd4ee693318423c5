import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { WorkloadIdentity } from "../src/index.ts"
import {
  type Answer,
  directory,
  failureOf as failure,
  inEnvironment,
  json,
  jwt,
  later,
  metadataService,
  type Received,
  type Script
} from "./workloadSupport.ts"

const audience = "https://idp.example"

const value = (identity: WorkloadIdentity.WorkloadIdentity) => Effect.map(identity.assertion, Redacted.value)

const failureOf = (identity: WorkloadIdentity.WorkloadIdentity): Effect.Effect<Readonly<Record<string, unknown>>> =>
  Effect.map(failure(identity), ({ code, details }) => ({ code, ...details }))

const xml = { "content-type": "text/xml" }

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
const granted = (token: string): Answer => ({
  headers: xml,
  body: `<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetWebIdentityTokenResult>
    <WebIdentityToken>${token}</WebIdentityToken>
    <Expiration>2096-10-02T07:06:40Z</Expiration>
  </GetWebIdentityTokenResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</GetWebIdentityTokenResponse>`
})

const refused = (status: number, code: string): Answer => ({
  status,
  headers: xml,
  body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>${code}</Code><Message>details about arn:aws:iam::1:role/x</Message></Error>
  <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>
</ErrorResponse>`
})

const credentials = (access: string) => ({
  Code: "Success",
  LastUpdated: "2026-11-30T10:00:00Z",
  Type: "AWS-HMAC",
  AccessKeyId: access,
  SecretAccessKey: "wJalrXUtnFEMI",
  Token: "session-of-credentials",
  Expiration: "2096-10-02T07:06:40Z"
})

const signer = ({ headers }: Received): string | undefined =>
  /Credential=([^/]+)\/\d{8}\/eu-central-1\/sts\/aws4_request/.exec(headers.authorization ?? "")?.[1]

describe("AWS STS", () => {
  const keys = { AWS_ACCESS_KEY_ID: "AKIDENV", AWS_SECRET_ACCESS_KEY: "secret", AWS_SESSION_TOKEN: "lambda-session" }

  it.live("[K-39] requests a JWT for the audience, signed with the credentials of the environment", () =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: audience, exp: later, sub: "arn:aws:iam::123456789012:role/billing" }, "ES384")
      const sts = yield* metadataService(() => granted(token))
      const identity = yield* inEnvironment({ ...keys, AWS_REGION: "eu-central-1" })(
        WorkloadIdentity.aws({ audience, credentials: "environment", endpoint: sts.url, lifetime: "10 minutes" })
      )
      assert.strictEqual(yield* value(identity), token)
      const [request] = sts.requests
      assert.isDefined(request)
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.path, "/")
      assert.strictEqual(signer(request), "AKIDENV")
      assert.strictEqual(request.headers["x-amz-security-token"], "lambda-session")
      assert.deepStrictEqual(Object.fromEntries(new URLSearchParams(request.body)), {
        Action: "GetWebIdentityToken",
        Version: "2011-06-15",
        "Audience.member.1": audience,
        DurationSeconds: "600",
        SigningAlgorithm: "ES384"
      })
    }).pipe(Effect.scoped))

  it.live("[K-39] a refusal names the code of STS and nothing else of its response", () =>
    Effect.gen(function*() {
      const sts = yield* metadataService(() => refused(403, "OutboundWebIdentityFederationDisabledException"))
      const identity = yield* inEnvironment(keys)(
        WorkloadIdentity.aws({ audience, credentials: "environment", endpoint: sts.url, region: "eu-central-1" })
      )
      assert.deepStrictEqual(yield* failureOf(identity), {
        code: "WORKLOAD_IDENTITY_UNAVAILABLE",
        reason: "status",
        endpoint: `${sts.url}/`,
        status: 403,
        error: "OutboundWebIdentityFederationDisabledException"
      })
      sts.script = () => ({ body: "<GetWebIdentityTokenResponse/>" })
      assert.strictEqual((yield* failureOf(identity))["code"], "WORKLOAD_TOKEN_INVALID")
    }).pipe(Effect.scoped))

  it.effect("[K-39] a request that STS throttles with status 400 counts as rate limited", () =>
    Effect.gen(function*() {
      const sts = yield* metadataService(() => refused(400, "Throttling"))
      const identity = yield* inEnvironment(keys)(WorkloadIdentity.aws({
        audience,
        credentials: "environment",
        endpoint: sts.url,
        region: "eu-central-1",
        timeout: "100 millis"
      }))
      assert.strictEqual((yield* failureOf(identity))["code"], "RATE_LIMITED")
    }).pipe(Effect.scoped))

  it.effect("[K-39] without region or credentials no request is sent", () =>
    Effect.gen(function*() {
      const source = WorkloadIdentity.aws({ audience, credentials: "environment" })
      assert.strictEqual((yield* failureOf(yield* inEnvironment(keys)(source)))["path"], "AWS_REGION")
      const alone = yield* inEnvironment({ AWS_DEFAULT_REGION: "eu-central-1" })(source)
      assert.strictEqual((yield* failureOf(alone))["path"], "AWS_ACCESS_KEY_ID")
      const { details } = yield* Effect.flip(inEnvironment({ ...keys, AWS_REGION: "eu.evil.example/" })(source))
      assert.strictEqual(details["path"], "AWS_REGION")
    }))

  it.live("[K-39] takes credentials of a program, which runs for each token", () =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: audience, exp: later })
      const sts = yield* metadataService(() => granted(token))
      let uses = 0
      const identity = yield* inEnvironment({})(WorkloadIdentity.aws({
        audience,
        endpoint: sts.url,
        region: "eu-central-1",
        credentials: Effect.sync(() => ({ accessKeyId: `AK${++uses}`, secretAccessKey: Redacted.make("s") }))
      }))
      yield* identity.assertion
      yield* identity.assertion
      assert.deepStrictEqual(sts.requests.map(signer), ["AK1", "AK2"])
      assert.isUndefined(sts.requests[0]?.headers["x-amz-security-token"])
      const failing = yield* inEnvironment({})(WorkloadIdentity.aws({
        audience,
        region: "eu-central-1",
        credentials: Effect.fail("the profile is gone")
      }))
      assert.deepStrictEqual(yield* failureOf(failing), {
        code: "WORKLOAD_IDENTITY_UNAVAILABLE",
        reason: "credentials"
      })
    }).pipe(Effect.scoped))
})

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html: PUT for a session, which has a
// TTL in seconds; 401 for a session that is missing or expired; 403 if the service is off.
describe("EC2 Instance Metadata Service, version 2", () => {
  const roles = "/latest/meta-data/iam/security-credentials/"

  /** A service with one session at a time. */
  const service = (ended: { current: boolean }): Script => {
    let sessions = 0
    return ({ headers, method, path }) => {
      if (path === "/latest/api/token") {
        ended.current = false
        const ttl = headers["x-aws-ec2-metadata-token-ttl-seconds"]
        return method === "PUT" && ttl === "21600" ? { body: `session-${++sessions}` } : { status: 400 }
      }
      if (headers["x-aws-ec2-metadata-token"] !== `session-${sessions}` || ended.current) return { status: 401 }
      if (path === roles) return { body: "billing-role" }
      return path === `${roles}billing-role` ? json(credentials(`AK${sessions}`)) : { status: 404 }
    }
  }

  const setup = Effect.gen(function*() {
    const token = yield* jwt({ aud: audience, exp: later })
    const ended = { current: false }
    const sts = yield* metadataService(() => granted(token))
    const imds = yield* metadataService(service(ended))
    const identity = yield* inEnvironment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url })(
      WorkloadIdentity.aws({ audience, credentials: "instance", endpoint: sts.url, region: "eu-central-1" })
    )
    const opened = () => imds.requests.filter(({ method }) => method === "PUT").length
    return { ended, identity, imds, opened, sts }
  })

  it.effect("[K-39] opens one session, and renews it before it expires", () =>
    Effect.gen(function*() {
      const { identity, opened, sts } = yield* setup
      yield* identity.assertion
      yield* identity.assertion
      assert.strictEqual(opened(), 1)
      assert.deepStrictEqual(sts.requests.map(signer), ["AK1", "AK1"])
      assert.strictEqual(sts.requests[0]?.headers["x-amz-security-token"], "session-of-credentials")
      yield* TestClock.adjust("21539 seconds")
      yield* identity.assertion
      assert.strictEqual(opened(), 1)
      yield* TestClock.adjust("1 seconds")
      yield* identity.assertion
      assert.strictEqual(opened(), 2)
    }).pipe(Effect.scoped))

  it.live("[K-39] replaces a session that the service rejects with 401, once", () =>
    Effect.gen(function*() {
      const { ended, identity, imds, opened, sts } = yield* setup
      yield* identity.assertion
      ended.current = true
      yield* identity.assertion
      assert.strictEqual(opened(), 2)
      assert.deepStrictEqual(sts.requests.map(signer), ["AK1", "AK2"])
      imds.script = ({ method }) => method === "PUT" ? { body: "s" } : { status: 401 }
      const before = imds.requests.length
      const failure = yield* failureOf(identity)
      assert.deepStrictEqual([failure["code"], failure["status"]], ["WORKLOAD_IDENTITY_UNAVAILABLE", 401])
      // The old session, a new one, and no third attempt.
      assert.strictEqual(imds.requests.length - before, 3)
    }).pipe(Effect.scoped))

  it.live("[K-39] does not fall back to version 1", () =>
    Effect.gen(function*() {
      const { identity, imds } = yield* setup
      imds.script = ({ method, path }) =>
        method === "PUT" ? { status: 403 } : path === roles ? { body: "r" } : json(credentials("A"))
      assert.strictEqual((yield* failureOf(identity))["status"], 403)
      assert.deepStrictEqual(imds.requests.map(({ method }) => method), ["PUT"])
    }).pipe(Effect.scoped))

  it.live("[K-39] a machine without a role, and credentials that are not there, are errors", () =>
    Effect.gen(function*() {
      const { identity, imds } = yield* setup
      const answers: ReadonlyArray<readonly [(path: string) => Answer, string]> = [
        [() => ({ status: 404 }), "WORKLOAD_IDENTITY_UNAVAILABLE"],
        [() => ({ body: "../../user-data" }), "WORKLOAD_TOKEN_INVALID"],
        [
          (path) => path === roles ? { body: "r" } : json({ Code: "AssumeRoleUnauthorizedAccess" }),
          "WORKLOAD_TOKEN_INVALID"
        ],
        [
          (path) => path === roles ? { body: "r" } : json({ ...credentials("A"), SecretAccessKey: undefined }),
          "WORKLOAD_TOKEN_INVALID"
        ]
      ]
      for (const [answer, code] of answers) {
        imds.script = ({ method, path }) => method === "PUT" ? { body: "s" } : answer(path)
        assert.strictEqual((yield* failureOf(identity))["code"], code)
      }
    }).pipe(Effect.scoped))
})

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
describe("AWS container credentials", () => {
  const setup = (authorization: Readonly<Record<string, string>>) =>
    Effect.gen(function*() {
      const token = yield* jwt({ aud: audience, exp: later })
      const sts = yield* metadataService(() => granted(token))
      const { Code: _, ...members } = credentials("AKPOD")
      const agent = yield* metadataService(() => json(members))
      const identity = yield* inEnvironment({
        AWS_REGION: "eu-central-1",
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${agent.url}/v1/credentials`,
        ...authorization
      })(WorkloadIdentity.aws({ audience, credentials: "container", endpoint: sts.url }))
      return { agent, identity, sts }
    })

  it.live("[K-39] EKS Pod Identity: sends the token of the file, which is read at each use", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "eks-pod-identity-token")
      yield* Effect.promise(() => Fs.writeFile(path, "first\n"))
      const { agent, identity, sts } = yield* setup({
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: path,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: "unused"
      })
      yield* identity.assertion
      yield* Effect.promise(() => Fs.writeFile(path, "second"))
      yield* identity.assertion
      assert.deepStrictEqual(agent.requests.map(({ headers }) => headers.authorization), ["first", "second"])
      assert.deepStrictEqual(agent.requests.map(({ path }) => path), ["/v1/credentials", "/v1/credentials"])
      assert.deepStrictEqual(sts.requests.map(signer), ["AKPOD", "AKPOD"])
      for (const text of ["a\r\nx-injected: b", ""]) {
        yield* Effect.promise(() => Fs.writeFile(path, text))
        assert.strictEqual((yield* failureOf(identity))["code"], "WORKLOAD_TOKEN_INVALID")
      }
      yield* Effect.promise(() => Fs.rm(path))
      assert.deepStrictEqual(yield* failureOf(identity), {
        code: "WORKLOAD_TOKEN_INVALID",
        reason: "unreadable",
        path
      })
      assert.strictEqual(agent.requests.length, 2)
    }).pipe(Effect.scoped))

  it.live("[K-39] sends the token of the environment, or none", () =>
    Effect.gen(function*() {
      const withToken = yield* setup({ AWS_CONTAINER_AUTHORIZATION_TOKEN: "Basic abc" })
      yield* withToken.identity.assertion
      assert.strictEqual(withToken.agent.requests[0]?.headers.authorization, "Basic abc")
      const without = yield* setup({})
      yield* without.identity.assertion
      assert.isUndefined(without.agent.requests[0]?.headers.authorization)
    }).pipe(Effect.scoped))

  it.effect("[K-39] http goes to the documented addresses only, so that credentials come from nowhere else", () =>
    Effect.gen(function*() {
      const make = (url: string) =>
        inEnvironment({ AWS_REGION: "eu-central-1", AWS_CONTAINER_CREDENTIALS_FULL_URI: url })(
          WorkloadIdentity.aws({ audience, credentials: "container" })
        )
      yield* make("http://169.254.170.23/v1/credentials")
      yield* make("http://[fd00:ec2::23]/v1/credentials")
      yield* make("https://credentials.example/")
      for (const url of ["http://credentials.example/", "http://169.254.1.1/", "http://169.254.170.23.evil.example/"]) {
        const { code, details } = yield* Effect.flip(make(url))
        assert.deepStrictEqual([code, details["path"]], ["INVALID_CONFIG", "AWS_CONTAINER_CREDENTIALS_FULL_URI"], url)
      }
    }))
})
