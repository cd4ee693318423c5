import { assert, describe, it } from "@effect/vitest"
import { Problem } from "@keelson/core"
import { type KeySource, StaticKeys } from "@keelson/jwks"
import { Effect, Layer, Logger, Predicate, type Scope } from "effect"
import { exportJWK, generateKeyPair } from "jose"
import { X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import { createRequire } from "node:module"
import { join } from "node:path"
import * as oauth from "oauth4webapi"
import * as openid from "openid-client"
import {
  BearerAuthentication,
  Claims,
  HttpSecurity,
  type HttpSecurityOptions,
  Principal,
  TokenValidator,
  ValidationPolicy
} from "../src/index.ts"

interface OidcProviderModule {
  readonly Provider: new(issuer: string, configuration: object) => { readonly callback: () => Http.RequestListener }
}
const { Provider }: OidcProviderModule = createRequire(import.meta.url)("oidc-provider")

class Tokens extends TokenValidator.Service<Tokens>()("test/BoundTokens", { claims: Claims.AccessToken }) {}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("test/BoundCaller") {}

const audience = "https://api.example"
const client = { client_id: "app", client_secret: "a-secret-of-the-client" }
const fixture = (name: string) => readFileSync(join(import.meta.dirname, "../../testing/src/fixtures", name), "utf8")
const certificate = { key: fixture("selfSigned.key.pem"), cert: fixture("selfSigned.cert.pem") }

const portOf = (server: Http.Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** A server whose listener is set later, when its port is known. */
const listening = <S extends Http.Server>(server: S): Effect.Effect<S, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<S>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

/** An authorization server that binds tokens to DPoP keys and to certificates, and the validator that trusts it. */
const provider = Effect.gen(function*() {
  const server = yield* listening(Http.createServer())
  const issuer = `http://127.0.0.1:${portOf(server)}`
  const pair = yield* Effect.promise(() => generateKeyPair("ES256", { extractable: true }))
  const jwk = { ...(yield* Effect.promise(() => exportJWK(pair.privateKey))), kid: "1", alg: "ES256", use: "sig" }
  const { d: _, ...publicJwk } = jwk
  class Nothing {
    readonly upsert = async (): Promise<void> => {}
    readonly find = async (): Promise<undefined> => {}
    readonly destroy = async (): Promise<void> => {}
  }
  const authorizationServer = new Provider(issuer, {
    jwks: { keys: [jwk] },
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    adapter: Nothing,
    ttl: { ClientCredentials: 600 },
    scopes: ["read"],
    clients: ["client_secret_basic", "certificate"].map((kind) => ({
      ...client,
      ...(kind === "certificate"
        ? { client_id: "service", tls_client_certificate_bound_access_tokens: true }
        : { dpop_bound_access_tokens: true }),
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256"
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1), requireNonce: () => true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        // The server has no TLS here: a test sends the certificate in this header.
        getCertificate: ({ headers }: { readonly headers: Readonly<Record<string, string>> }) =>
          headers["x-certificate"] === undefined ? undefined : decodeURIComponent(headers["x-certificate"])
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: "read", accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } })
      }
    }
  })
  server.on("request", authorizationServer.callback())
  const keys: Layer.Layer<KeySource.KeySource, unknown> = StaticKeys.layer({
    issuers: [issuer],
    keys: [{ id: "1", algorithm: "ES256", jwk: publicJwk }]
  })
  const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })
  return { issuer, tokens: Layer.provide(Tokens.layer(policy), keys) }
})

/** An API, by the options that its URL is known for. */
const api = Effect.fnUntraced(function*(
  tokens: Layer.Layer<Tokens, unknown>,
  server: Http.Server,
  scheme: string,
  options: HttpSecurityOptions.Options
) {
  const url = `${scheme}://127.0.0.1:${portOf(server)}`
  const context = yield* Layer.build(Layer.merge(tokens, HttpSecurity.layerRedaction()))
  const { authenticate, cacheHeaders } = yield* Effect.provide(
    BearerAuthentication.make({ validator: Tokens, principal: Caller, baseUrls: [url], ...options }),
    Layer.succeedContext(context)
  )
  const statuses: Array<number> = []
  server.on("request", (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    const answer = Effect.match(authenticate(request), {
      onFailure: (error) => ({ status: error.status, headers: error.headers, body: Problem.toProblemDetails(error) }),
      onSuccess: ({ clientId, registered }) => ({ status: 200, headers: {}, body: { clientId, cnf: registered.cnf } })
    })
    Effect.runFork(Effect.map(answer, ({ body, headers, status }) => {
      statuses.push(status)
      response.writeHead(status, { ...headers, ...cacheHeaders(request, {}) })
      response.end(JSON.stringify(body))
    }))
  })
  return { url: new URL(`${url}/reports?page=2`), statuses }
})

const quietly = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) => Effect.provide(body, Logger.layer([]))

describe("Tokens that oidc-provider binds", () => {
  for (const nonce of ["off", "required"] as const) {
    it.live(`[K-23] to a DPoP key are accepted from openid-client, with nonces ${nonce}`, () =>
      quietly(Effect.gen(function*() {
        const { issuer, tokens } = yield* provider
        const server = yield* listening(Http.createServer())
        const { statuses, url } = yield* api(tokens, server, "http", { dpop: { nonce } })
        const answers = yield* Effect.promise(async () => {
          const config = await openid.discovery(new URL(issuer), client.client_id, client.client_secret, undefined, {
            execute: [openid.allowInsecureRequests]
          })
          const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair("ES256"))
          const token = await openid.clientCredentialsGrant(config, { scope: "read", resource: audience }, { DPoP })
          const call = async (method: string) => {
            const response = await openid.fetchProtectedResource(
              config,
              token.access_token,
              url,
              method,
              null,
              undefined,
              {
                DPoP
              }
            )
            const body: unknown = await response.json()
            return { status: response.status, body }
          }
          return { type: token.token_type, first: await call("GET"), second: await call("POST") }
        })
        assert.strictEqual(answers.type, "dpop")
        assert.deepInclude(answers.first, { status: 200 })
        assert.deepInclude(answers.second, { status: 200 })
        assert.deepInclude(answers.first.body, { clientId: "app" })
        // The client learns the nonce once, and keeps it.
        assert.deepStrictEqual(statuses, nonce === "off" ? [200, 200] : [401, 200, 200])
      })))
  }

  it.live("[K-23] to a DPoP key are accepted from oauth4webapi, and rejected with the proof of another key or as bearer", () =>
    quietly(Effect.gen(function*() {
      const { issuer, tokens } = yield* provider
      const server = yield* listening(Http.createServer())
      const { url } = yield* api(tokens, server, "http", { dpop: { nonce: "required" } })
      const insecure = { [oauth.allowInsecureRequests]: true }
      const seen = yield* Effect.promise(async () => {
        const base = new URL(issuer)
        const as = await oauth.processDiscoveryResponse(base, await oauth.discoveryRequest(base, insecure))
        const DPoP = oauth.DPoP({}, await oauth.generateKeyPair("ES256"))
        const other = oauth.DPoP({}, await oauth.generateKeyPair("ES256"))
        const request = async () => {
          const parameters = { scope: "read", resource: audience }
          const auth = oauth.ClientSecretBasic(client.client_secret)
          const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, {
            ...insecure,
            DPoP
          })
          return await oauth.processClientCredentialsResponse(as, client, response)
        }
        const retry = async <A>(run: () => Promise<A>): Promise<A> => {
          try {
            return await run()
          } catch (error) {
            if (oauth.isDPoPNonceError(error)) return await run()
            throw error
          }
        }
        const { access_token: token } = await retry(request)
        const call = (key?: oauth.DPoPHandle) =>
          oauth.protectedResourceRequest(token, "GET", url, undefined, null, {
            ...insecure,
            ...(key === undefined ? undefined : { DPoP: key })
          })
        const failure = async (run: () => Promise<unknown>) => {
          try {
            await retry(run)
            return undefined
          } catch (error) {
            return error instanceof oauth.WWWAuthenticateChallengeError ? error.cause : error
          }
        }
        const good = await retry(() => call(DPoP))
        return { good: good.status, stolen: await failure(() => call(other)), bearer: await failure(() => call()) }
      })
      assert.strictEqual(seen.good, 200)
      const algs = "ES256 EdDSA Ed25519 PS256 RS256"
      assert.deepStrictEqual(JSON.parse(JSON.stringify(seen.stolen)), [{
        scheme: "dpop",
        parameters: {
          realm: "api",
          error: "invalid_token",
          error_description: "The access token is bound to another key",
          algs
        }
      }])
      assert.deepInclude(JSON.parse(JSON.stringify(seen.bearer))[0], { scheme: "dpop" })
    })))

  it.live("[K-23] to a client certificate are accepted on connections with that certificate", () =>
    quietly(Effect.gen(function*() {
      const { issuer, tokens } = yield* provider
      const tls = { key: fixture("server.key.pem"), cert: fixture("server.cert.pem") }
      const server = yield* listening(Https.createServer({ ...tls, requestCert: true, rejectUnauthorized: false }))
      const { url } = yield* api(tokens, server, "https", { mtls: "required" })
      const token = yield* Effect.promise(async () => {
        const authorization = `Basic ${Buffer.from(`service:${client.client_secret}`).toString("base64")}`
        const response = await fetch(`${issuer}/token`, {
          method: "POST",
          headers: { authorization, "x-certificate": encodeURIComponent(certificate.cert) },
          body: new URLSearchParams({ grant_type: "client_credentials", scope: "read", resource: audience })
        })
        const body: unknown = await response.json()
        assert.isTrue(Predicate.hasProperty(body, "access_token"), JSON.stringify(body))
        return Predicate.hasProperty(body, "access_token") ? String(body.access_token) : ""
      })
      const call = (identity: { readonly key: string; readonly cert: string } | undefined) =>
        Effect.callback<{ readonly status: number; readonly body: string }, Error>((resume) => {
          const headers = { authorization: `Bearer ${token}` }
          Https.get(url, { ...identity, headers, rejectUnauthorized: false, agent: false }, (response) => {
            let body = ""
            response.on("data", (chunk) => body += String(chunk))
            response.once("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, body })))
          }).once("error", (error) => resume(Effect.fail(error)))
        })
      const good = yield* call(certificate)
      const expected = Buffer.from(new X509Certificate(certificate.cert).fingerprint256.replaceAll(":", ""), "hex")
      assert.strictEqual(good.status, 200, good.body)
      assert.deepInclude(JSON.parse(good.body), {
        clientId: "service",
        cnf: { "x5t#S256": expected.toString("base64url") }
      })
      assert.strictEqual((yield* call(tls)).status, 401)
      assert.strictEqual((yield* call(undefined)).status, 401)
    })))
})
