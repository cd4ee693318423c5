import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import { join } from "node:path"
import { TLSSocket } from "node:tls"
import type { BindingOptions, HttpSecurityOptions } from "../src/index.ts"
import { quiet } from "./HttpSecuritySuite.ts"
import { tokenWithCnf } from "./proofSupport.ts"
import { serve, tokensOf, type Variant, variants } from "./protectedServer.ts"

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "../../testing/src/fixtures", name), "utf8")

interface Identity {
  readonly key: string
  readonly cert: string
}
const identityOf = (name: string): Identity => ({ key: fixture(`${name}.key.pem`), cert: fixture(`${name}.cert.pem`) })
const [client, other] = [identityOf("selfSigned"), identityOf("server")]

const der = ({ cert }: Identity): Buffer => new X509Certificate(cert).raw
const thumbprint = (identity: Identity): string =>
  Buffer.from(new X509Certificate(identity.cert).fingerprint256.replaceAll(":", ""), "hex").toString("base64url")

const boundTo = (identity: Identity) => tokenWithCnf({ "x5t#S256": thumbprint(identity) })

/** A server that asks for client certificates, and accepts those of any authority. */
const tlsServer = Layer.mergeAll(
  NodeHttpServer.layer(
    () => Https.createServer({ ...other, requestCert: true, rejectUnauthorized: false }),
    { port: 0, host: "127.0.0.1" }
  ),
  FetchHttpClient.layer
)

interface Answer {
  readonly status: number
  readonly challenge: string
  /** The client's port, by which connections differ. */
  readonly port: number | undefined
  readonly isResumed: boolean
}

const send = (
  port: number,
  token: string,
  options: Https.RequestOptions & { readonly sent?: Readonly<Record<string, string | ReadonlyArray<string>>> } = {},
  { request }: { readonly request: typeof Http.request } = Https
) =>
  Effect.callback<Answer, Error>((resume) => {
    const { sent, ...rest } = options
    const headers = { authorization: `Bearer ${token}`, ...sent }
    const outgoing = request(
      { host: "127.0.0.1", port, path: "/me", rejectUnauthorized: false, ...rest, headers } as Https.RequestOptions,
      (response) => {
        const { socket } = response
        const connection = {
          port: socket.localPort,
          isResumed: socket instanceof TLSSocket && socket.isSessionReused()
        }
        response.resume().once("end", () => {
          const { headers, statusCode = 0 } = response
          resume(Effect.succeed({ status: statusCode, challenge: headers["www-authenticate"] ?? "", ...connection }))
        })
      }
    )
    outgoing.once("error", (error) => resume(Effect.fail(error)))
    outgoing.end()
  })

const makeServer = Effect.fnUntraced(function*(
  variant: Variant,
  options: HttpSecurityOptions.Options,
  server?: typeof NodeHttpServer.layerTest
) {
  return yield* serve(variant, tokensOf(keysOf([yield* pairOf("ES256")])), options, quiet, server)
})

const invalid = (description: string) => `Bearer realm="api", error="invalid_token", error_description="${description}"`
const wrongKey = invalid("The access token is bound to another key")
const noCertificate = invalid("The access token is bound to a client certificate")
const notBound = invalid("The access token is not bound to a key as required")

for (const [name, variant] of variants) {
  describe(`HttpSecurity of ${name}, with tokens bound to client certificates`, () => {
    it.live("[K-23] accepts them on TLS connections of that certificate alone", () =>
      Effect.gen(function*() {
        const { port } = yield* makeServer(variant, { mtls: "required" }, tlsServer)
        const [token, unbound] = [yield* boundTo(client), yield* tokenWithCnf(undefined)]
        assert.strictEqual((yield* send(port, token, client)).status, 200)
        assert.deepInclude(yield* send(port, token, other), { status: 401, challenge: wrongKey })
        assert.deepInclude(yield* send(port, token), { status: 401, challenge: noCertificate })
        assert.deepInclude(yield* send(port, unbound, client), { status: 401, challenge: notBound })
        // A header is no certificate, whoever sends it.
        const header = { "client-cert": `:${der(client).toString("base64")}:` }
        assert.deepInclude(yield* send(port, token, { sent: header }), { status: 401, challenge: noCertificate })
      }))

    it.live("[K-23] [R6] checks each request of a connection, and each connection of a resumed session", () =>
      Effect.gen(function*() {
        const { port } = yield* makeServer(variant, { mtls: "allowed" }, tlsServer)
        const [token, foreign] = [yield* boundTo(client), yield* boundTo(other)]
        for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
          const agent = new Https.Agent({ keepAlive: true, maxSockets: 1, maxVersion })
          yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
          const first = yield* send(port, token, { ...client, agent })
          const second = yield* send(port, token, { ...client, agent })
          assert.deepStrictEqual([first.status, second.status, second.port], [200, 200, first.port])
          assert.deepInclude(yield* send(port, foreign, { ...client, agent }), { status: 401, challenge: wrongKey })
          agent.destroy()
          // The agent resumes the session on a new connection.
          const resumed = yield* send(port, token, { ...client, agent })
          assert.deepStrictEqual([resumed.status, resumed.isResumed], [200, true], maxVersion)
          assert.notStrictEqual(resumed.port, first.port)
          assert.strictEqual((yield* send(port, foreign, { ...client, agent })).status, 401)
        }
      }))

    it.live("[K-23] takes the certificate from the header of a listed proxy, in each form", () =>
      Effect.gen(function*() {
        const pem = encodeURIComponent(client.cert)
        const hex = Buffer.from(thumbprint(client), "base64url").toString("hex")
        const forms: ReadonlyArray<readonly [BindingOptions.CertificateHeaderOptions["format"], string, string]> = [
          ["rfc9440", `:${der(client).toString("base64")}:`, `:${der(other).toString("base64")}:`],
          ["pem", pem, encodeURIComponent(new X509Certificate(other.cert).toString())],
          ["xfcc", `By=spiffe://a;Hash=${hex};Subject="CN=a,O=\\"b;c\\""`, `Hash=${hex.replace(/^../, "00")}`]
        ]
        const token = yield* boundTo(client)
        for (const [format, good, bad] of forms) {
          const options = { mtls: { header: { name: "X-Client-Cert", format, proxies: ["127.0.0.1"] } } }
          const { port } = yield* makeServer(variant, options)
          const sendHeader = (value?: string | ReadonlyArray<string>) =>
            send(port, token, { sent: value === undefined ? {} : { "x-client-cert": value } }, Http)
          assert.strictEqual((yield* sendHeader(good)).status, 200, format)
          assert.deepInclude(yield* sendHeader(bad), { status: 401, challenge: wrongKey })
          for (const value of [undefined, "", "x!", `${good},${good}`, [good, good], [good, bad]]) {
            assert.deepInclude(
              yield* sendHeader(value),
              { status: 401, challenge: noCertificate },
              `${format} ${String(value)}`
            )
          }
        }
      }))

    it.live("[K-23] ignores the header from any other address, whatever other headers say", () =>
      Effect.gen(function*() {
        const proxies = ["10.0.0.0/8", "192.0.2.1", "::1"]
        const { port } = yield* makeServer(variant, { mtls: { header: { name: "Client-Cert", proxies } } })
        const token = yield* boundTo(client)
        const header = { "client-cert": `:${der(client).toString("base64")}:` }
        const claimed = { "x-forwarded-for": "10.0.0.1", forwarded: "for=10.0.0.1", "x-real-ip": "10.0.0.1" }
        for (const sent of [header, { ...header, ...claimed }]) {
          assert.deepInclude(yield* send(port, token, { sent }, Http), { status: 401, challenge: noCertificate })
        }
      }))

    it.live("[K-23] takes a listed proxy's own certificate for nobody's", () =>
      Effect.gen(function*() {
        const options = { mtls: { header: { name: "Client-Cert", proxies: ["127.0.0.0/8"] } } }
        const { port } = yield* makeServer(variant, options, tlsServer)
        const token = yield* boundTo(client)
        assert.deepInclude(yield* send(port, token, client), { status: 401, challenge: noCertificate })
        const sent = { "client-cert": `:${der(client).toString("base64")}:` }
        assert.strictEqual((yield* send(port, token, { ...other, sent })).status, 200)
      }))
  })
}
