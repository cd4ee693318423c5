import { assert, describe, it } from "@effect/vitest"
import * as Configuration from "@keelson/core/Configuration"
import { grantProvider } from "@keelson/testing/grantProvider"
import { quiet } from "@keelson/testing/observe"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from "jose"
import * as Crypto from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { ClientAuth, OAuthClient, OAuthOptions, TokenGuards, TokenHttpClient, TokenSource } from "../src/index.ts"

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, "../../testing/src/fixtures", name), "utf8")

const secret = "a secret of the tests with 32 bytes"
const rsa = Crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
const pkcs1 = String(rsa.privateKey.export({ type: "pkcs1", format: "pem" }))
const encrypted = String(
  rsa.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "passphrase" })
)

const setup = Effect.gen(function*() {
  const platform = yield* Effect.promise(() => generateKeyPair("ES256", { extractable: true }))
  const jwks = {
    keys: [
      { ...yield* Effect.promise(() => exportJWK(rsa.publicKey)), kid: "rsa", use: "sig" },
      { ...yield* Effect.promise(() => exportJWK(platform.publicKey)), kid: "platform", use: "sig" }
    ]
  }
  const provider = yield* grantProvider([
    { client_id: "basic", client_secret: secret },
    { client_id: "hmac", client_secret: secret, token_endpoint_auth_method: "client_secret_jwt" },
    { client_id: "signer", token_endpoint_auth_method: "private_key_jwt", jwks },
    { client_id: "tls", token_endpoint_auth_method: "tls_client_auth", tls_client_auth_san_dns: "app.example" },
    {
      client_id: "public",
      token_endpoint_auth_method: "none",
      grant_types: ["urn:ietf:params:oauth:grant-type:token-exchange"]
    }
  ])
  /** An assertion that a platform signs for the client. */
  const assertion = (jti: string) =>
    Effect.promise(() =>
      new SignJWT({ iss: "signer", sub: "signer", aud: provider.issuer, jti }).setProtectedHeader({
        alg: "ES256",
        kid: "platform"
      }).setExpirationTime("5 minutes").sign(platform.privateKey)
    )
  return { provider, assertion }
})

/** A client of the token endpoint whose connections have a certificate, which a header stands for. */
const withCertificate = TokenHttpClient.layer(
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(
      HttpClient.HttpClient,
      HttpClient.mapRequest(HttpClientRequest.setHeader("x-test-certificate", "a certificate"))
    )
  ).pipe(Layer.provide(FetchHttpClient.layer))
)

/** Acquires a token as a client, in code. */
const acquire = (issuer: string, clientId: string, auth: ClientAuth.ClientAuth) =>
  OAuthClient.clientCredentials({ issuer, clientId, auth, allowLocalhost: true }).acquire

/** Acquires a token as a client whose options are JSON text. */
const acquireFrom = (options: object) =>
  Effect.gen(function*() {
    const text = JSON.stringify({ client: { allowLocalhost: true, ...options } })
    const checked = yield* Configuration.decodeText(OAuthOptions.OAuthOptions, {
      text,
      format: "json",
      section: "client"
    })
    return yield* (yield* OAuthClient.fromOptions(checked)).acquire
  })

describe("ClientAuth at a real authorization server", () => {
  it.live("[K-28 C8] client_secret_jwt, in code and from text: the secret is not sent", () =>
    Effect.gen(function*() {
      const { provider: { find, issuer, requests } } = yield* setup
      const auth = ClientAuth.secretJwt(Redacted.make(secret))
      const { accessToken } = yield* acquire(issuer, "hmac", auth)
      assert.strictEqual((yield* find(Redacted.value(accessToken)))?.clientId, "hmac")
      yield* acquireFrom({ issuer, clientId: "hmac", clientSecret: secret, authMethod: "client_secret_jwt" })
      for (const { authorization, body } of requests) {
        assert.isUndefined(authorization)
        assert.isFalse(body.has("client_secret"))
        assert.strictEqual(decodeJwt(body.get("client_assertion") ?? "").aud, issuer)
      }
      assert.lengthOf(requests, 2)
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] none: a public client sends its client_id alone", () =>
    Effect.gen(function*() {
      const { provider } = yield* setup
      const { find, issuer, requests, tokenFor } = provider
      const token = Redacted.make(yield* tokenFor("ada"))
      const source = OAuthClient.tokenExchange({
        issuer,
        clientId: "public",
        auth: ClientAuth.none,
        allowLocalhost: true
      })
      const { accessToken } = yield* source.acquireFor(token, {})
      assert.strictEqual((yield* find(Redacted.value(accessToken)))?.accountId, "ada")
      const options = yield* Configuration.decode(OAuthOptions.OAuthOptions)({
        issuer,
        clientId: "public",
        authMethod: "none",
        allowLocalhost: true
      })
      const fromData = OAuthClient.tokenExchange(yield* OAuthClient.optionsFrom(options))
      yield* TokenSource.forSubject(fromData, token).acquire
      for (const { authorization, body } of requests) {
        assert.isUndefined(authorization)
        assert.deepStrictEqual([...body.keys()].toSorted(), [
          "client_id",
          "grant_type",
          "subject_token",
          "subject_token_type"
        ])
      }
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] tls_client_auth sends its client_id alone; without a certificate the server refuses", () =>
    Effect.gen(function*() {
      const { provider: { find, issuer, requests } } = yield* setup
      const own = acquire(issuer, "tls", ClientAuth.certificate)
      const { accessToken } = yield* Effect.provide(own, withCertificate)
      assert.strictEqual((yield* find(Redacted.value(accessToken)))?.clientId, "tls")
      yield* Effect.provide(acquireFrom({ issuer, clientId: "tls", authMethod: "tls_client_auth" }), withCertificate)
      assert.deepInclude(yield* Effect.flip(own), { code: "TOKEN_ACQUISITION_FAILED" })
      for (const { body } of requests) assert.deepStrictEqual([...body.keys()].toSorted(), ["client_id", "grant_type"])
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] client_assertion: an assertion that another party signed, read for each request", () =>
    Effect.gen(function*() {
      const { assertion, provider: { find, issuer, requests } } = yield* setup
      let reads = 0
      const auth = ClientAuth.clientAssertion(
        Effect.map(Effect.suspend(() => assertion(`${++reads}`)), (text) => Redacted.make(text))
      )
      const { accessToken } = yield* acquire(issuer, "signer", auth)
      assert.strictEqual((yield* find(Redacted.value(accessToken)))?.clientId, "signer")
      yield* acquire(issuer, "signer", auth)
      assert.deepStrictEqual(requests.map(({ body }) => decodeJwt(body.get("client_assertion") ?? "").jti), ["1", "2"])
      assert.deepStrictEqual(requests.map(({ body }) => body.get("client_assertion_type")), [
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
      ])
      for (const gone of [Effect.fail("gone"), Redacted.make("\n")]) {
        const error = yield* Effect.flip(acquire(issuer, "signer", ClientAuth.clientAssertion(gone)))
        assert.deepInclude(error, { code: "KEY_INVALID" })
      }
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] client_assertion from a file that rotates, as Kubernetes writes it", () =>
    Effect.gen(function*() {
      const { assertion, provider: { issuer, requests } } = yield* setup
      const files = new Map<string, string>()
      const fs = FileSystem.layerNoop({
        readFileString: (path) => Effect.sync(() => `${files.get(path) ?? ""}\n`)
      })
      const options = yield* Configuration.decode(OAuthOptions.OAuthOptions)({
        issuer,
        clientId: "signer",
        authMethod: "client_assertion",
        clientAssertionFile: "/var/run/secrets/tokens/idp",
        allowLocalhost: true
      })
      const source = yield* Effect.provide(OAuthClient.fromOptions(options), fs)
      for (const jti of ["1", "2"]) {
        files.set("/var/run/secrets/tokens/idp", yield* assertion(jti))
        yield* source.acquire
      }
      assert.deepStrictEqual(requests.map(({ body }) => decodeJwt(body.get("client_assertion") ?? "").jti), ["1", "2"])
      const without = yield* Effect.flip(OAuthClient.fromOptions(options))
      assert.strictEqual(without.code, "INVALID_CONFIG")
      assert.include(without.message, "clientAssertionFile needs a FileSystem")
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] guards from text read the assertion's file with the FileSystem of their layer", () =>
    Effect.gen(function*() {
      const { assertion, provider: { issuer, requests } } = yield* setup
      const text = yield* assertion("from the file")
      const fs = FileSystem.layerNoop({ readFileString: () => Effect.succeed(text) })
      const api = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response())))
      const guards = TokenGuards.layerText({
        format: "yaml",
        section: "servers",
        text: `servers:
  billing:
    url: https://billing.example
    client:
      issuer: ${issuer}
      clientId: signer
      authMethod: client_assertion
      clientAssertionFile: /var/run/secrets/tokens/idp
      allowLocalhost: true`
      }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, api)))
      const call = TokenGuards.TokenGuards.use((all) => all.get("billing")?.get("/") ?? Effect.die("no guard"))
      yield* Effect.provide(call, Layer.provide(guards, fs))
      assert.deepStrictEqual(requests.map(({ body }) => decodeJwt(body.get("client_assertion") ?? "").jti), [
        "from the file"
      ])
      const error = yield* Effect.flip(Effect.provide(call, guards))
      assert.deepInclude(error, { code: "INVALID_CONFIG" })
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C9] private_key_jwt from text with a PKCS #1 key, and with an encrypted one", () =>
    Effect.gen(function*() {
      const { provider: { find, issuer } } = yield* setup
      const options = { issuer, clientId: "signer", authMethod: "private_key_jwt", privateKeyAlgorithm: "PS256" }
      for (const key of [{ privateKey: pkcs1 }, { privateKey: encrypted, privateKeyPassphrase: "passphrase" }]) {
        const { accessToken } = yield* acquireFrom({ ...options, ...key })
        assert.strictEqual((yield* find(Redacted.value(accessToken)))?.clientId, "signer")
      }
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] the aud of an assertion is the issuer; without one the token endpoint; or what the options say", () =>
    Effect.gen(function*() {
      const { provider: { issuer, requests } } = yield* setup
      const tokenEndpoint = `${issuer}/token`
      const key = { authMethod: "private_key_jwt", privateKey: pkcs1, privateKeyAlgorithm: "PS256", clientId: "signer" }
      yield* acquireFrom({ ...key, issuer })
      yield* acquireFrom({ ...key, issuer, tokenEndpoint })
      yield* acquireFrom({ ...key, tokenEndpoint })
      yield* acquireFrom({ ...key, issuer, assertionAudience: tokenEndpoint })
      assert.deepStrictEqual(requests.map(({ body }) => decodeJwt(body.get("client_assertion") ?? "").aud), [
        issuer,
        issuer,
        tokenEndpoint,
        tokenEndpoint
      ])
    }).pipe(Effect.scoped, quiet))

  it.live("[K-28 C8] the options of a certificate and of typ reach the header of the assertion", () =>
    Effect.gen(function*() {
      const certificate = fixture("selfSigned.cert.pem")
      const privateKey = fixture("selfSigned.key.pem")
      const { fingerprint, publicKey } = new Crypto.X509Certificate(certificate)
      const alg = publicKey.asymmetricKeyType === "rsa" ? "PS256" : "ES256"
      const jwk = { ...yield* Effect.promise(() => exportJWK(publicKey)), use: "sig" }
      const provider = yield* grantProvider([
        { client_id: "certified", token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [jwk] } }
      ])
      yield* acquireFrom({
        issuer: provider.issuer,
        clientId: "certified",
        authMethod: "private_key_jwt",
        privateKey,
        privateKeyAlgorithm: alg,
        certificate,
        certificateThumbprint: "x5t",
        assertionTyp: "client-authentication+jwt"
      })
      const header = decodeProtectedHeader(provider.requests[0]?.body.get("client_assertion") ?? "")
      assert.deepStrictEqual(header, {
        alg,
        typ: "client-authentication+jwt",
        x5t: Buffer.from(fingerprint.replaceAll(":", ""), "hex").toString("base64url")
      })
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 C8] options that a method does not authenticate with are refused, and those that it needs are required", () =>
    Effect.gen(function*() {
      const base = { issuer: "https://idp.example", clientId: "c" }
      const wrong: ReadonlyArray<readonly [object, string]> = [
        [{ authMethod: "client_secret_jwt" }, "clientSecret"],
        [{ authMethod: "none", clientSecret: "s" }, "clientSecret"],
        [{ authMethod: "tls_client_auth", privateKey: "k" }, "privateKey"],
        [{ authMethod: "client_assertion" }, "clientAssertionFile"],
        [{ authMethod: "none", clientAssertionFile: "f" }, "clientAssertionFile"],
        [{ authMethod: "private_key_jwt", clientAssertionFile: "f" }, "privateKey"]
      ]
      for (const [options, path] of wrong) {
        const error = yield* Effect.flip(Configuration.decode(OAuthOptions.OAuthOptions)({ ...base, ...options }))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(JSON.stringify(error.details), path)
      }
      for (const authMethod of ["none", "tls_client_auth"]) {
        yield* Configuration.decode(OAuthOptions.OAuthOptions)({ ...base, authMethod })
      }
    }))
})
