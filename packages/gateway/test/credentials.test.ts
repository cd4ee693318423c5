import { assert, describe, it } from "@effect/vitest"
import type { ReplicaOptions } from "@keelson/gateway"
import { eventually } from "@keelson/testing/eventually"
import { errorOf } from "@keelson/testing/exits"
import { recording } from "@keelson/testing/observe"
import { scriptedS3 } from "@keelson/testing/scriptedS3"
import { ConfigProvider, Effect, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import type { Keys } from "../src/internal/credentials/keys.ts"
import { refreshing } from "../src/internal/credentials/keySource.ts"
import { StoreError } from "../src/StoreError.ts"
import { bucket, send, start, storeOf } from "./support.ts"

const secret = "keelson-test-secret"

/** A directory in the scope. */
const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-keys-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Variables of the process in the scope: the AWS library reads no other place. */
const environment = (variables: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
      Object.assign(process.env, variables)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const [name, value] of before) {
          if (value === undefined) Reflect.deleteProperty(process.env, name)
          else process.env[name] = value
        }
      })
  )

interface Call {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly body: string
}

/** A platform service that answers each request, unless the answer is `undefined`. */
const service = (answer: (call: Call) => string | undefined) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly calls: Array<Call>; readonly close: () => void }>((resume) => {
      const calls: Array<Call> = []
      const read = async (request: IncomingMessage): Promise<Call> => {
        let body = ""
        for await (const chunk of request) body += String(chunk)
        return { method: request.method, url: request.url, body }
      }
      const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        const call = await read(request)
        calls.push(call)
        const text = answer(call)
        if (text !== undefined) response.end(text)
      }
      const server = createServer((request, response) => {
        void respond(request, response)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const close = (): void => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, calls, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** A server that knows keys with and without a session token, and a store that gets them from a source. */
const made = Effect.fnUntraced(function*(credentials: ReplicaOptions.CredentialsOptions) {
  const server = yield* scriptedS3({
    buckets: [bucket],
    secrets: { one: secret, two: secret },
    sessionTokens: { two: "the-token" }
  })
  server.put(bucket, "a", "a")
  return { server, store: yield* storeOf(server, { credentials }) }
})

const statusWith = (credentials: ReplicaOptions.CredentialsOptions) =>
  Effect.flatMap(made(credentials), ({ store }) => Effect.map(send(store, { key: "a" }), ({ status }) => status))

const inHours = (hours: number) => new Date(Date.parse("2100-01-01T00:00:00Z") + hours * 3_600_000).toISOString()

describe("credentials", () => {
  describe("environment", () => {
    const provided = (env: Record<string, string>) =>
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

    it.live("reads the variables with a prefix, with and without a session token", () =>
      Effect.gen(function*() {
        const one = { PRODUCTS_ACCESS_KEY_ID: "one", PRODUCTS_SECRET_ACCESS_KEY: secret }
        assert.strictEqual(yield* provided(one)(statusWith({ env: "PRODUCTS" })), 200)
        const two = { A_B_ACCESS_KEY_ID: "two", A_B_SECRET_ACCESS_KEY: secret, A_B_SESSION_TOKEN: "the-token" }
        assert.strictEqual(yield* provided(two)(statusWith({ env: "A_B" })), 200)
      }))

    it.effect.each([{}, { P_ACCESS_KEY_ID: "one" }, { P_ACCESS_KEY_ID: "one", P_SECRET_ACCESS_KEY: "" }])(
      "fails where a variable is missing: %j",
      (env) =>
        Effect.gen(function*() {
          const error = errorOf(yield* Effect.exit(provided(env)(statusWith({ env: "P" }))))
          assert.propertyVal(error, "code", "CONFIG_MISSING")
        })
    )
  })

  describe("files", () => {
    it.effect("[G-11] reads a file again after a minute, while requests use what they have", () =>
      Effect.gen(function*() {
        const file = join(yield* directory, "keys.json")
        writeFileSync(file, JSON.stringify({ accessKeyId: "one", secretAccessKey: secret }))
        const { server, store } = yield* made({ file })
        assert.strictEqual((yield* send(store, { key: "a" })).status, 200)
        writeFileSync(file, JSON.stringify({ accessKeyId: "two", secretAccessKey: secret, sessionToken: "the-token" }))
        yield* TestClock.adjust("61 seconds")
        yield* repeatedly(
          send(store, { key: "a" }),
          () => String(server.requests.at(-1)?.headers.authorization).includes("Credential=two/")
        )
        assert.deepStrictEqual(
          server.requests.map((request) => request.status()).filter((status) => status !== 200),
          []
        )
      }))

    it.effect("[G-11] refreshes before the expiration that the file has", () =>
      Effect.gen(function*() {
        const file = join(yield* directory, "keys.json")
        const write = (accessKeyId: string, expiration: string) =>
          writeFileSync(file, JSON.stringify({ accessKeyId, secretAccessKey: secret, expiration }))
        write("one", new Date(3_600_000).toISOString())
        const { server, store } = yield* made({ file })
        yield* send(store, { key: "a" })
        write("three", new Date(7_200_000).toISOString())
        yield* TestClock.adjust("54 minutes")
        assert.strictEqual((yield* send(store, { key: "a" })).status, 200)
        yield* TestClock.adjust("2 minutes")
        yield* repeatedly(send(store, { key: "a" }), () =>
          String(server.requests.at(-1)?.headers.authorization).includes("Credential=three/"))
      }))

    it.effect.each([
      "none",
      "{",
      `{"accessKeyId":"one"}`,
      `{"accessKeyId":"one","secretAccessKey":"${secret}","expiration":"x"}`
    ])(
      "fails with credentials, without what the file has: %s",
      (text) =>
        Effect.gen(function*() {
          const file = join(yield* directory, "keys.json")
          if (text !== "none") writeFileSync(file, text)
          const { lines, record } = recording()
          const { server, store } = yield* made({ file })
          const { cause, end } = yield* record(send(store, { key: "a" }))
          assert.strictEqual(end, "credentials")
          assert.propertyVal(cause, "code", "GATEWAY_STORE_CREDENTIALS")
          assert.strictEqual(server.requests.length, 0)
          assert.notInclude(inspect(cause, { depth: 9 }) + lines.join(), secret)
        })
    )
  })

  describe("@aws-sdk/credential-providers", () => {
    it.live("reads a profile", () =>
      Effect.gen(function*() {
        const file = join(yield* directory, "credentials")
        writeFileSync(file, `[products]\naws_access_key_id = one\naws_secret_access_key = ${secret}\n`)
        yield* environment({ AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: `${file}.none` })
        assert.strictEqual(yield* statusWith({ profile: "products" }), 200)
        const { store } = yield* made({ profile: "other" })
        assert.strictEqual((yield* send(store, { key: "a" })).end, "credentials")
      }))

    it.live("[G-11] assumes a role with a token from a file, which is read again", () =>
      Effect.gen(function*() {
        const tokenFile = join(yield* directory, "token")
        writeFileSync(tokenFile, "token-1")
        const lifetimes = [1000, 3_600_000]
        const sts = yield* service(() =>
          stsAnswer(new Date(Date.parse(new Date().toISOString()) + (lifetimes.shift() ?? 0)))
        )
        yield* environment({ AWS_ENDPOINT_URL_STS: sts.url })
        const { store } = yield* made({ webIdentity: { tokenFile, roleArn: "arn:aws:iam::123456789012:role/reader" } })
        assert.strictEqual((yield* send(store, { key: "a" })).status, 200)
        writeFileSync(tokenFile, "token-2")
        yield* repeatedly(send(store, { key: "a" }), () => sts.calls.length === 2)
        const sent = sts.calls.map(({ body }) => new URLSearchParams(body).get("WebIdentityToken"))
        assert.deepStrictEqual(sent, ["token-1", "token-2"])
      }))

    it.live("gets the keys of a container, once for all requests", () =>
      Effect.gen(function*() {
        const container = yield* service(() =>
          JSON.stringify({ AccessKeyId: "two", SecretAccessKey: secret, Token: "the-token", Expiration: inHours(1) })
        )
        yield* environment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${container.url}/keys` })
        const { store } = yield* made({ platform: true })
        const all = Effect.all(Array.from({ length: 50 }, () => send(store, { key: "a" })), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(new Set((yield* all).map(({ status }) => status)), new Set([200]))
        assert.strictEqual(container.calls.length, 1)
      }))

    it.effect("fails with credentials where a platform never answers", () =>
      Effect.gen(function*() {
        const container = yield* service(() => undefined)
        yield* environment({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${container.url}/keys` })
        const { store } = yield* made({ platform: true })
        const running = start(store, { key: "a" })
        yield* eventually(() => container.calls.length === 1)
        yield* TestClock.adjust("20 seconds")
        const { cause, end } = yield* running.outcome
        assert.strictEqual(end, "credentials")
        assert.propertyVal(cause, "code", "GATEWAY_STORE_CREDENTIALS")
      }))

    it.live("gets the keys of an instance", () =>
      Effect.gen(function*() {
        const metadata = yield* service(({ method, url }) => {
          if (method === "PUT") return "session"
          return url?.endsWith("security-credentials/") === true
            ? "role"
            : JSON.stringify({
              Code: "Success",
              AccessKeyId: "two",
              SecretAccessKey: secret,
              Token: "the-token",
              Expiration: inHours(1)
            })
        })
        yield* environment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url, AWS_CONFIG_FILE: "/none" })
        assert.strictEqual(yield* statusWith({ platform: true }), 200)
      }))
  })

  describe("refreshing", () => {
    const keysOf = (accessKeyId: string, expiresAt: number | undefined): Keys => ({
      accessKeyId,
      secretAccessKey: secret,
      sessionToken: undefined,
      expiresAt
    })

    /** A source whose loads end when the test says so. */
    const scripted = Effect.fnUntraced(function*() {
      const loads: Array<(exit: Effect.Effect<Keys, StoreError>) => void> = []
      const source = yield* refreshing("test", Effect.callback<Keys, StoreError>((resume) => void loads.push(resume)))
      return { loads, source }
    })

    const first = Effect.fnUntraced(function*(expiresAt: number | undefined): Effect.fn.Return<
      Effect.Success<ReturnType<typeof scripted>>,
      StoreError,
      Scope.Scope
    > {
      const made = yield* scripted()
      const loading = yield* Effect.forkChild(made.source.load, { startImmediately: true })
      made.loads[0]?.(Effect.succeed(keysOf("one", expiresAt)))
      yield* Fiber.join(loading)
      return made
    })

    it.effect("loads once for callers at the same time, also if one of them leaves", () =>
      Effect.gen(function*() {
        const { loads, source } = yield* scripted()
        const leaving = yield* Effect.forkChild(source.load, { startImmediately: true })
        const staying = yield* Effect.forkChild(source.load, { startImmediately: true })
        leaving.interruptUnsafe()
        loads[0]?.(Effect.succeed(keysOf("one", undefined)))
        yield* eventually(() => staying.pollUnsafe() !== undefined)
        assert.strictEqual(source.current()?.accessKeyId, "one")
        assert.strictEqual(loads.length, 1)
      }))

    it.effect("refreshes 5 minutes before the end, once, and uses no keys after their end", () =>
      Effect.gen(function*() {
        const { loads, source } = yield* first(3_600_000)
        yield* TestClock.adjust("54 minutes")
        assert.strictEqual(source.current()?.accessKeyId, "one")
        assert.strictEqual(loads.length, 1)
        yield* TestClock.adjust("1 minutes")
        for (let n = 0; n < 5; n++) assert.strictEqual(source.current()?.accessKeyId, "one")
        yield* Effect.yieldNow
        assert.strictEqual(loads.length, 2)
        // A request takes some time: the last 5 seconds are not used.
        yield* TestClock.adjust("294 seconds")
        assert.strictEqual(source.current()?.accessKeyId, "one")
        yield* TestClock.adjust("1 seconds")
        assert.isUndefined(source.current())
        loads[1]?.(Effect.succeed(keysOf("two", 7_200_000)))
        yield* eventually(() => source.current()?.accessKeyId === "two")
        assert.strictEqual(loads.length, 2)
      }))

    it.effect("keeps keys after a failed refresh, logs it, and tries again after a second", () =>
      Effect.gen(function*() {
        const { lines, record } = recording()
        const { loads, source } = yield* record(first(3_600_000))
        yield* TestClock.adjust("56 minutes")
        source.current()
        yield* Effect.yieldNow
        loads[1]?.(Effect.fail(new StoreError("credentials")))
        yield* eventually(() => lines.length > 0)
        assert.strictEqual(source.current()?.accessKeyId, "one")
        yield* Effect.yieldNow
        assert.strictEqual(loads.length, 2)
        assert.strictEqual(errorOf(yield* Effect.exit(source.load)).code, "GATEWAY_STORE_CREDENTIALS")
        yield* TestClock.adjust("1 seconds")
        source.current()
        yield* eventually(() => loads.length === 3)
        assert.lengthOf(lines, 1)
        assert.include(lines[0], "GATEWAY_STORE_CREDENTIALS")
        assert.notInclude(lines.join(), secret)
      }))
  })
})

/** Sends requests until something holds: a refresh runs beside them. */
const repeatedly = <A>(request: Effect.Effect<A>, holds: () => boolean) =>
  Effect.repeat(request, { until: () => holds() })

const stsAnswer = (expiration: Date): string =>
  `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>` +
  `<Credentials><AccessKeyId>two</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey><SessionToken>the-token` +
  `</SessionToken><Expiration>${expiration.toISOString()}</Expiration></Credentials>` +
  `</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
