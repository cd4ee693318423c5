import { assert, describe, it } from "@effect/vitest"
import { caFile, fixturePath } from "@keelson/testing/httpsOrigin"
import { quiet, recording } from "@keelson/testing/observe"
import { ConfigProvider, Context, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { HttpBody, HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { createPrivateKey } from "node:crypto"
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import { ClientAuth, OAuthClient, TokenGuard, TokenHttpClient, TokenProvider } from "../src/index.ts"
import * as NodeMutualTls from "../src/NodeMutualTls.ts"
import { certificateFiles, mutualProvider, mutualServer, thumbprintOf } from "./mutualTlsServers.ts"

const one = thumbprintOf("client")
const two = thumbprintOf("nextClient")

/** A client with the certificate of replaceable files. */
const setUp = Effect.gen(function*() {
  const files = yield* certificateFiles
  const { certFile, keyFile } = files
  const context = yield* Layer.build(NodeMutualTls.layer({ certFile, keyFile, caFile }))
  return { files, context, client: Context.get(context, HttpClient.HttpClient) }
})

const statusOf = (client: HttpClient.HttpClient, url: string) =>
  Effect.flatMap(client.get(url), (response) => Effect.as(response.text, response.status))

describe("NodeMutualTls", () => {
  it.live("[K-23] sends the certificate, a body and headers, and returns redirects", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp
      const bodies: Array<string> = []
      const server = yield* mutualServer((request, response) => {
        let body = ""
        request.on("data", (chunk) => body += chunk).on("end", () => {
          bodies.push(`${request.headers["content-type"]?.split(";")[0]} ${body}`)
          response.writeHead(request.url === "/moved" ? 302 : 200, { location: "/", "set-cookie": ["a=1", "b=2"] })
          response.end("answer")
        })
      })
      const form = new FormData()
      form.set("name", "value")
      const answer = yield* client.post(server.url, { body: HttpBody.text("text") })
      assert.deepStrictEqual([answer.status, yield* answer.text], [200, "answer"])
      yield* client.post(server.url, { body: HttpBody.stream(Stream.make(new TextEncoder().encode("streamed"))) })
      yield* client.post(server.url, { body: HttpBody.formData(form) })
      assert.strictEqual((yield* client.get(`${server.url}/moved`)).status, 302)
      assert.deepStrictEqual(server.peers, [one, one, one, one])
      assert.deepStrictEqual(bodies.slice(0, 2), ["text/plain text", "application/octet-stream streamed"])
      assert.match(bodies[2] ?? "", /^multipart\/form-data [^]*name="name"[^]*value/)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] refuses a server whose certificate no authority of Node or of caFile signed", () =>
    Effect.gen(function*() {
      const { certFile, keyFile } = yield* certificateFiles
      const server = yield* mutualServer()
      const context = yield* Layer.build(NodeMutualTls.layer({ certFile, keyFile }))
      const error = yield* Effect.flip(Context.get(context, HttpClient.HttpClient).get(server.url))
      assert.strictEqual(error.reason._tag, "TransportError")
      assert.lengthOf(server.requests, 0)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] [R12] a redirect of a guard to another origin is sent without the certificate", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp
      const foreign = yield* mutualServer()
      const own = yield* mutualServer((_, response) => response.writeHead(302, { location: foreign.url }).end())
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: [own.url],
        source: Effect.succeed({ accessToken: Redacted.make("token") })
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
      assert.strictEqual((yield* guard.get("/")).status, 200)
      assert.deepStrictEqual([own.peers, foreign.peers], [[one], [undefined]])
    }).pipe(Effect.scoped, quiet))

  it.live("an interrupted request ends, and the scope closes all connections", () =>
    Effect.gen(function*() {
      const server = yield* mutualServer(() => {})
      yield* Effect.scoped(Effect.gen(function*() {
        const { client } = yield* setUp
        const fiber = yield* Effect.forkChild(client.get(server.url))
        while (server.requests.length === 0) yield* Effect.sleep("1 millis")
        yield* Fiber.interrupt(fiber)
        yield* Effect.forkDetach(Effect.exit(client.get(server.url)))
        while (server.requests.length === 1) yield* Effect.sleep("1 millis")
      }))
      while (server.open() > 0) yield* Effect.sleep("1 millis")
    }).pipe(Effect.scoped, quiet))
})

describe("Files of a client certificate", () => {
  it.effect("[K-23] a request after checkInterval uses a new certificate on a new connection, while running ones end", () =>
    Effect.gen(function*() {
      const { client, files } = yield* setUp
      const waiting: Array<() => void> = []
      const server = yield* mutualServer((request, response) =>
        request.url === "/slow" ? void waiting.push(() => response.end()) : void response.end()
      )
      assert.strictEqual(yield* statusOf(client, server.url), 200)
      const slow = yield* Effect.forkChild(statusOf(client, `${server.url}/slow`), { startImmediately: true })
      while (waiting.length === 0) yield* Effect.promise(() => new Promise(setImmediate))
      files.put("nextClient")
      yield* TestClock.adjust("59 seconds")
      yield* statusOf(client, server.url)
      yield* TestClock.adjust("1 second")
      yield* Effect.all([statusOf(client, server.url), statusOf(client, server.url)])
      assert.deepStrictEqual(server.peers, [one, one, one, two, two])
      waiting.forEach((end) => end())
      assert.strictEqual(yield* Fiber.join(slow), 200)
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-23] no request fails while certificates are replaced", () =>
    Effect.gen(function*() {
      const { client, files } = yield* setUp
      const server = yield* mutualServer()
      for (let i = 0; i < 4; i++) {
        files.put(i % 2 === 0 ? "nextClient" : "client")
        yield* TestClock.adjust("1 minute")
        const calls = Array.from({ length: 20 }, (_, call) =>
          Effect.andThen(
            Effect.repeat(Effect.promise(() => new Promise(setImmediate)), { times: call }),
            statusOf(client, server.url)
          ))
        assert.deepStrictEqual(new Set(yield* Effect.all(calls, { concurrency: "unbounded" })), new Set([200]))
        assert.strictEqual(server.peers.at(-1), i % 2 === 0 ? two : one)
      }
      // The connections with earlier certificates are closed.
      while (server.open() > 20) yield* Effect.promise(() => new Promise(setImmediate))
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-23] files that cannot be used leave the last good certificate in use, with one warning", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      const { client, files } = yield* setUp
      const server = yield* mutualServer()
      const warnings = () => lines.filter((line) => line.includes("could not be reloaded")).length
      const next = Effect.andThen(TestClock.adjust("1 minute"), statusOf(client, server.url))
      // The certificate is replaced before its key.
      files.put("nextClient", "certificate")
      yield* next
      yield* next
      assert.deepStrictEqual([server.peers, warnings()], [[one, one], 1])
      rmSync(files.keyFile)
      yield* next
      assert.strictEqual(warnings(), 2)
      writeFileSync(files.keyFile, "no key")
      yield* next
      assert.strictEqual(warnings(), 3)
      files.put("nextClient", "key")
      yield* next
      assert.deepStrictEqual(server.peers, [one, one, one, one, two])
      assert.strictEqual(warnings(), 3)
      assert.lengthOf(lines.filter((line) => line.includes("Client certificate reloaded")), 1)
      // The log names files, and shows nothing of them.
      const secrets = ["client", "nextClient"].flatMap((name) =>
        readFileSync(fixturePath(`${name}.key.pem`), "utf8").split("\n").filter((line) => line.length > 20)
      )
      for (const secret of secrets) assert.notInclude(lines.join(), secret)
    })).pipe(Effect.scoped)
  })

  it.effect("[K-23] a folder that a symbolic link names is replaced, as by Kubernetes", () =>
    Effect.gen(function*() {
      const { folder } = yield* certificateFiles
      const versionOf = (version: string, name: string) => {
        const target = join(folder, version)
        mkdirSync(target)
        writeFileSync(join(target, "tls.crt"), readFileSync(fixturePath(`${name}.cert.pem`)))
        writeFileSync(join(target, "tls.key"), readFileSync(fixturePath(`${name}.key.pem`)))
        symlinkSync(version, join(folder, "..new"))
        renameSync(join(folder, "..new"), join(folder, "..data"))
      }
      versionOf("..1", "client")
      const [certFile, keyFile] = [join(folder, "..data", "tls.crt"), join(folder, "..data", "tls.key")]
      const options = { certFile, keyFile, caFile, checkInterval: "10 seconds" } as const
      const client = Context.get(yield* Layer.build(NodeMutualTls.layer(options)), HttpClient.HttpClient)
      const server = yield* mutualServer()
      yield* statusOf(client, server.url)
      versionOf("..2", "nextClient")
      yield* TestClock.adjust("10 seconds")
      yield* statusOf(client, server.url)
      assert.deepStrictEqual(server.peers, [one, two])
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-23] a check that is interrupted is made by the next request", () =>
    Effect.gen(function*() {
      const { client, files } = yield* setUp
      const server = yield* mutualServer()
      files.put("nextClient")
      yield* TestClock.adjust("1 minute")
      const fiber = yield* Effect.forkChild(statusOf(client, server.url), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      yield* statusOf(client, server.url)
      assert.strictEqual(server.peers.at(-1), two)
    }).pipe(Effect.scoped, quiet))

  it.effect("an encrypted key needs its passphrase; options come from the environment too", () =>
    Effect.gen(function*() {
      const { certFile, keyFile } = yield* certificateFiles
      const encrypted = createPrivateKey(readFileSync(keyFile)).export({
        format: "pem",
        type: "pkcs8",
        cipher: "aes-256-cbc",
        passphrase: "open sesame"
      })
      writeFileSync(keyFile, encrypted)
      const environment = {
        API_TLS_CERT_FILE: certFile,
        API_TLS_KEY_FILE: keyFile,
        API_TLS_CA_FILE: caFile,
        API_TLS_PASSPHRASE: "open sesame"
      }
      const context = yield* Layer.build(NodeMutualTls.layerConfig(["api", "tls"])).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
      )
      const server = yield* mutualServer()
      yield* statusOf(Context.get(context, HttpClient.HttpClient), server.url)
      assert.deepStrictEqual(server.peers, [one])
      for (const passphrase of [undefined, Redacted.make("wrong passphrase")]) {
        const options = { certFile, keyFile, passphrase }
        const error = yield* Effect.flip(Layer.build(NodeMutualTls.layer(options)))
        assert.deepStrictEqual([error.code, error.details["option"]], ["KEY_INVALID", "keyFile"])
        assert.notInclude(inspect(error, { depth: 10 }), "wrong passphrase")
      }
    }).pipe(Effect.scoped, quiet))

  it.effect("[R21] files that cannot be used at the start are a typed error that names the option and the path", () =>
    Effect.gen(function*() {
      const { certFile, folder, keyFile } = yield* certificateFiles
      const [missing, garbage] = [join(folder, "missing"), join(folder, "garbage")]
      writeFileSync(garbage, "-----BEGIN CERTIFICATE-----\nsecret-text\n-----END CERTIFICATE-----\n")
      const nextKey = fixturePath("nextClient.key.pem")
      for (
        const [options, code, option, path] of [
          [{ certFile: missing, keyFile }, "KEY_FILE_UNREADABLE", "certFile", missing],
          [{ certFile, keyFile: missing }, "KEY_FILE_UNREADABLE", "keyFile", missing],
          [{ certFile, keyFile, caFile: missing }, "KEY_FILE_UNREADABLE", "caFile", missing],
          [{ certFile: garbage, keyFile }, "KEY_INVALID", "certFile", garbage],
          [{ certFile, keyFile: garbage }, "KEY_INVALID", "keyFile", garbage],
          [{ certFile, keyFile, caFile: garbage }, "KEY_INVALID", "caFile", garbage],
          [{ certFile, keyFile: nextKey }, "KEY_INVALID", "keyFile", nextKey]
        ] as const
      ) {
        const error = yield* Effect.flip(Layer.build(NodeMutualTls.layer(options)))
        assert.deepStrictEqual([error.code, error.details["option"], error.details["path"]], [code, option, path])
        assert.notInclude(inspect(error, { depth: 10 }), "secret-text")
      }
      const error = yield* Effect.flip(Layer.build(NodeMutualTls.layer({ certFile, keyFile, checkInterval: "1 day" })))
      assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "checkInterval"])
    }).pipe(Effect.scoped, quiet))

  it.effect("an expired certificate is logged", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2200, 0))
      yield* setUp
      assert.lengthOf(lines.filter((line) => line.includes("The client certificate is expired")), 1)
    })).pipe(Effect.scoped)
  })
})

describe("Tokens that are bound to a certificate, of a real authorization server", () => {
  for (
    const [clientId, auth] of [
      ["by-name", ClientAuth.certificate],
      ["by-key", ClientAuth.certificate],
      ["by-secret", ClientAuth.secretBasic(Redacted.make("secret"))]
    ] as const
  ) {
    it.live(`[K-23] the client ${clientId} gets them at the endpoint for mutual TLS, and uses them with its certificate`, () =>
      Effect.gen(function*() {
        const idp = yield* mutualProvider
        const api = yield* mutualServer((request, response, peer) => {
          const token = request.headers.authorization?.replace("Bearer ", "") ?? ""
          void idp.thumbprintOf(token).then((bound) =>
            response.writeHead(bound !== undefined && bound === peer ? 200 : 401).end()
          )
        })
        const { context } = yield* setUp
        const guard = yield* TokenGuard.make({
          name: "api",
          origins: [api.url],
          source: OAuthClient.clientCredentials({ issuer: idp.issuer, clientId, auth, scope: "read" })
        }).pipe(Effect.provide(context))
        assert.strictEqual((yield* guard.get("/")).status, 200)
        assert.deepStrictEqual(api.peers, [one])
        assert.deepStrictEqual([idp.mutual.requests, idp.mutual.peers], [["POST /token"], [one]])
        assert.deepStrictEqual(idp.plain.requests, ["GET /.well-known/openid-configuration"])
      }).pipe(Effect.scoped, quiet))
  }

  it.effect("[K-23] [R13] after the certificate was replaced, the guard replaces the token that is bound to the old one", () =>
    Effect.gen(function*() {
      const idp = yield* mutualProvider
      const api = yield* mutualServer((request, response, peer) => {
        const token = request.headers.authorization?.replace("Bearer ", "") ?? ""
        void idp.thumbprintOf(token).then((bound) => response.writeHead(bound === peer ? 200 : 401).end())
      })
      const { context, files } = yield* setUp
      const guard = yield* TokenGuard.make({
        name: "api",
        origins: [api.url],
        source: OAuthClient.clientCredentials({
          issuer: idp.issuer,
          clientId: "by-key",
          auth: ClientAuth.certificate,
          scope: "read"
        })
      }).pipe(Effect.provide(context))
      assert.strictEqual((yield* guard.get("/")).status, 200)
      files.put("nextClient")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* guard.get("/")).status, 200)
      assert.deepStrictEqual([api.peers, idp.mutual.peers], [[one, two, two], [one, two]])
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] layerTokenHttpClient sends the certificate with token requests alone", () =>
    Effect.gen(function*() {
      const idp = yield* mutualProvider
      const { certFile, keyFile } = yield* certificateFiles
      const source = OAuthClient.clientCredentials({
        issuer: idp.issuer,
        clientId: "by-name",
        auth: ClientAuth.certificate
      })
      const context = yield* Layer.build(NodeMutualTls.layerTokenHttpClient({ certFile, keyFile, caFile }))
      const provider = yield* Effect.provide(TokenProvider.make({ name: "api", source }), context)
      const { value } = yield* provider.get
      assert.strictEqual(yield* Effect.promise(() => idp.thumbprintOf(Redacted.value(value))), one)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-23] a client of the application goes to the endpoint for mutual TLS only with the option mutualTls", () =>
    Effect.gen(function*() {
      const idp = yield* mutualProvider
      const { context } = yield* setUp
      const client = Layer.succeed(HttpClient.HttpClient, Context.get(context, HttpClient.HttpClient))
      const source = OAuthClient.clientCredentials({
        issuer: idp.issuer,
        clientId: "by-name",
        auth: ClientAuth.certificate
      })
      const codeWith = (options?: TokenHttpClient.Options) =>
        Effect.scoped(
          Effect.flatMap(TokenProvider.make({ name: "api", source }), ({ get }) =>
            Effect.match(get, {
              onFailure: ({ code }) => code,
              onSuccess: ({ tokenType }) => tokenType
            }))
        ).pipe(
          Effect.provide(TokenHttpClient.layer(client, options))
        )
      assert.deepStrictEqual([yield* codeWith(), yield* codeWith({ mutualTls: true })], [
        "TOKEN_ACQUISITION_FAILED",
        "Bearer"
      ])
    }).pipe(Effect.scoped, quiet))
})
