/** An issuer on 127.0.0.1 for the example: metadata, a key set that is rotated, tokens, and an outage on demand. */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, type Scope } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose"
import { createServer } from "node:http"

export interface Provider {
  readonly issuer: string
  /** What was asked for since the last time that this was read, such as `key set 200`. */
  readonly takeRequests: () => ReadonlyArray<string>
  /** Makes a new key, publishes it in place of the old one, and signs with it from now on. */
  readonly rotate: Effect.Effect<void>
  /** A token for the audience `api`, of the key that is published, or naming a key that nobody has. */
  readonly token: (foreignKid?: string) => Effect.Effect<string>
  /** Whether it answers everything with 503. */
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

/** Answers until its scope closes. A request for another host than this one is refused. */
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
    token: (foreignKid) =>
      Effect.promise(() =>
        new SignJWT({ scope: "invoices" })
          .setProtectedHeader({ alg: "ES256", kid: foreignKid ?? key.kid })
          .setIssuer(issuer)
          .setAudience("api")
          .setSubject("alice")
          .setExpirationTime("5 minutes")
          .sign(key.privateKey)
      ),
    isDown: false
  }

  const answer = (url: string, known: string | undefined): HttpServerResponse.HttpServerResponse => {
    if (provider.isDown) return HttpServerResponse.empty({ status: 503 })
    if (url === "/.well-known/openid-configuration") {
      return HttpServerResponse.jsonUnsafe({ issuer, jwks_uri: `${issuer}/jwks` })
    }
    if (url !== "/jwks") return HttpServerResponse.empty({ status: 404 })
    const etag = `"${key.kid}"`
    const headers = { etag, "cache-control": "max-age=600" }
    return known === etag
      ? HttpServerResponse.empty({ status: 304, headers })
      : HttpServerResponse.jsonUnsafe({ keys: [key.jwk] }, { headers })
  }

  yield* server.serve(Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.headers["host"] !== new URL(issuer).host) return HttpServerResponse.empty({ status: 421 })
    const response = answer(request.url, request.headers["if-none-match"])
    requests.push(`${request.url === "/jwks" ? "key set" : "metadata"} ${response.status}`)
    return response
  }))
  return provider
}).pipe(Effect.orDie)
