/** An issuer on 127.0.0.1 with metadata, a key set, key rotation, tokens and a simulated outage. */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, type Scope } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose"
import { createServer } from "node:http"

export interface Provider {
  readonly issuer: string
  /** Returns the requests since the last call, with their statuses, such as `key set 200`. */
  readonly takeRequests: () => ReadonlyArray<string>
  /** Replaces the published key with a new one, which signs all later tokens. */
  readonly rotate: Effect.Effect<void>
  /** Signs a token for the audience `api`. The `kid` in its header is `kid`, or else that of the published key. */
  readonly token: (kid?: string) => Effect.Effect<string>
  /** While `true`, responds to every request with 503. */
  isDown: boolean
}

interface Key {
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

const makeKey = (kid: string): Effect.Effect<Key> =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256")
    return { kid, privateKey, jwk: { ...await exportJWK(publicKey), kid, alg: "ES256", use: "sig" } }
  })

/** Starts an issuer that runs until the scope closes. Rejects requests whose `Host` is not its own with 421. */
export const makeProvider: Effect.Effect<Provider, never, Scope.Scope> = Effect.gen(function*() {
  const server = yield* NodeHttpServer.make(createServer, {
    port: 0,
    host: "127.0.0.1",
    gracefulShutdownTimeout: "100 millis"
  })
  const issuer = HttpServer.formatAddress(server.address)
  let requests: Array<string> = []
  let number = 1
  let key = yield* makeKey("key-1")

  const provider: Provider = {
    issuer,
    takeRequests: () => {
      const taken = requests
      requests = []
      return taken
    },
    rotate: Effect.map(Effect.suspend(() => makeKey(`key-${++number}`)), (made) => {
      key = made
    }),
    token: (kid) =>
      Effect.promise(() =>
        new SignJWT({ scope: "invoices" })
          .setProtectedHeader({ alg: "ES256", kid: kid ?? key.kid })
          .setIssuer(issuer)
          .setAudience("api")
          .setSubject("alice")
          .setExpirationTime("5 minutes")
          .sign(key.privateKey)
      ),
    isDown: false
  }

  const respond = (url: string, ifNoneMatch: string | undefined): HttpServerResponse.HttpServerResponse => {
    if (provider.isDown) return HttpServerResponse.empty({ status: 503 })
    if (url === "/.well-known/openid-configuration") {
      return HttpServerResponse.jsonUnsafe({ issuer, jwks_uri: `${issuer}/jwks` })
    }
    if (url !== "/jwks") return HttpServerResponse.empty({ status: 404 })
    const etag = `"${key.kid}"`
    const headers = { etag, "cache-control": "max-age=600" }
    return ifNoneMatch === etag
      ? HttpServerResponse.empty({ status: 304, headers })
      : HttpServerResponse.jsonUnsafe({ keys: [key.jwk] }, { headers })
  }

  yield* server.serve(Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.headers["host"] !== new URL(issuer).host) return HttpServerResponse.empty({ status: 421 })
    const response = respond(request.url, request.headers["if-none-match"])
    requests.push(`${request.url === "/jwks" ? "key set" : "metadata"} ${response.status}`)
    return response
  }))
  return provider
}).pipe(Effect.orDie)
