/** Real HTTPS servers that ask for client certificates: an API, and an authorization server with endpoints for mutual TLS. */
import { fixturePath } from "@keelson/testing/httpsOrigin"
import { signingKey } from "@keelson/testing/oidcProvider"
import { Effect, type Scope } from "effect"
import { X509Certificate } from "node:crypto"
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import type * as Http from "node:http"
import * as Https from "node:https"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { TLSSocket } from "node:tls"

const fixture = (name: string) => readFileSync(fixturePath(name), "utf8")

/** The `x5t#S256` of a certificate (RFC 8705, 3.1). */
export const thumbprintOf = (name: string): string =>
  Buffer.from(new X509Certificate(fixture(`${name}.cert.pem`)).fingerprint256.replaceAll(":", ""), "hex").toString(
    "base64url"
  )

const certificateOf = ({ socket }: Http.IncomingMessage): X509Certificate | undefined =>
  socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined

/** The thumbprint of a request's client certificate. */
const peerOf = (request: Http.IncomingMessage): string | undefined => {
  const fingerprint = certificateOf(request)?.fingerprint256
  return fingerprint && Buffer.from(fingerprint.replaceAll(":", ""), "hex").toString("base64url")
}

export type Handle = (request: Http.IncomingMessage, response: Http.ServerResponse, peer: string | undefined) => void

export interface MutualServer {
  readonly url: string
  /** The thumbprint of the certificate of each request. */
  readonly peers: ReadonlyArray<string | undefined>
  readonly requests: ReadonlyArray<string>
  readonly connections: () => number
  readonly open: () => number
}

/** A server that asks for a certificate, and accepts requests without one. */
export const mutualServer = (
  handle: Handle = (_, response) => response.end(),
  options: { readonly asks?: boolean } = {}
): Effect.Effect<MutualServer, never, Scope.Scope> =>
  Effect.suspend(() => {
    const peers: Array<string | undefined> = []
    const requests: Array<string> = []
    const sockets = new Set<object>()
    let connections = 0
    const server = Https.createServer({
      key: fixture("server.key.pem"),
      cert: fixture("server.cert.pem"),
      ca: fixture("clients.cert.pem"),
      requestCert: options.asks ?? true,
      rejectUnauthorized: false
    }, (request, response) => {
      const peer = peerOf(request)
      peers.push(peer)
      requests.push(`${request.method} ${request.url}`)
      handle(request, response, peer)
    })
    server.on("secureConnection", (socket) => {
      connections++
      sockets.add(socket)
      socket.on("error", () => {}).once("close", () => sockets.delete(socket))
    })
    return Effect.acquireRelease(
      Effect.callback<MutualServer>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({
            url: `https://127.0.0.1:${port}`,
            peers,
            requests,
            connections: () => connections,
            open: () => sockets.size
          }))
        })
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
  })

/** A folder with `tls.crt` and `tls.key`, which can be replaced. */
export const certificateFiles = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-tls-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  ),
  (folder) => {
    const certFile = join(folder, "tls.crt")
    const keyFile = join(folder, "tls.key")
    const put = (name: "client" | "nextClient", what: "both" | "certificate" | "key" = "both") => {
      if (what !== "key") copyFileSync(fixturePath(`${name}.cert.pem`), certFile)
      if (what !== "certificate") copyFileSync(fixturePath(`${name}.key.pem`), keyFile)
    }
    put("client")
    return { folder, certFile, keyFile, put }
  }
)

/** Types for what the tests use of the package, which has none. */
interface OidcProviderModule {
  readonly Provider: new(issuer: string, configuration: object) => {
    readonly callback: () => Http.RequestListener
    readonly ClientCredentials: {
      readonly find: (token: string) => Promise<{ readonly "x5t#S256"?: string } | undefined>
    }
  }
}

const { Provider }: OidcProviderModule = createRequire(import.meta.url)("oidc-provider")

/** The certificate of a fixture as a key of a client (RFC 8705, 2.2.2). */
const selfSignedKey = (name: string) => {
  const certificate = new X509Certificate(fixture(`${name}.cert.pem`))
  const jwk = certificate.publicKey.export({ format: "jwk" })
  return { ...jwk, x5c: [certificate.raw.toString("base64")] }
}

interface Context {
  readonly req: Http.IncomingMessage
}

/** An authorization server whose own URL asks for no certificate, with a token endpoint at another port that does. */
export const mutualProvider = Effect.gen(function*() {
  let listener: Http.RequestListener = () => {}
  const handle: Handle = (request, response) => listener(request, response)
  const plain = yield* mutualServer(handle, { asks: false })
  const mutual = yield* mutualServer(handle)
  const common = {
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials"],
    id_token_signed_response_alg: "ES256",
    tls_client_certificate_bound_access_tokens: true
  }
  const provider = new Provider(plain.url, {
    jwks: { keys: [yield* signingKey("ES256", "server")] },
    scopes: ["read"],
    clients: [
      {
        ...common,
        client_id: "by-name",
        token_endpoint_auth_method: "tls_client_auth",
        tls_client_auth_subject_dn: "client"
      },
      {
        ...common,
        client_id: "by-key",
        token_endpoint_auth_method: "self_signed_tls_client_auth",
        jwks: { keys: [selfSignedKey("client"), selfSignedKey("nextClient")] }
      },
      { ...common, client_id: "by-secret", client_secret: "secret" }
    ],
    clientAuthMethods: ["client_secret_basic", "tls_client_auth", "self_signed_tls_client_auth"],
    ttl: { ClientCredentials: 600 },
    discovery: { mtls_endpoint_aliases: { token_endpoint: `${mutual.url}/token` } },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: ({ req }: Context) => certificateOf(req),
        certificateAuthorized: ({ req }: Context) => req.socket instanceof TLSSocket && req.socket.authorized,
        certificateSubjectMatches: ({ req }: Context, _: string, expected: string) =>
          certificateOf(req)?.subject === `CN=${expected}`
      }
    }
  })
  listener = provider.callback()
  return {
    issuer: plain.url,
    plain,
    mutual,
    thumbprintOf: async (token: string) => (await provider.ClientCredentials.find(token))?.["x5t#S256"]
  }
})
