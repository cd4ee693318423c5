/** `oidc-provider`, a certified authorization server, on 127.0.0.1: it issues JWTs for the resource that a request names. */
import { Effect, type Scope } from "effect"
import { exportJWK, generateKeyPair } from "jose"
import type * as Http from "node:http"
import { NoStore, Provider } from "../oidcProvider.ts"
import { listen } from "../tokens/listen.ts"

export interface AuthorizationServer {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** The number of token requests since the last call. */
  readonly takeRequests: () => number
}

/** All scopes of the notes. The client may have each of them. */
const scopes = ["notes:read", "notes:write", "notes:admin"]

/** Runs until the scope closes. */
export const makeAuthorizationServer: Effect.Effect<AuthorizationServer, never, Scope.Scope> = Effect.gen(function*() {
  const key = yield* Effect.promise(async () => {
    const { privateKey } = await generateKeyPair("ES256", { extractable: true })
    return { ...await exportJWK(privateKey), kid: "server", alg: "ES256", use: "sig" }
  })
  const [clientId, clientSecret] = ["agent", crypto.randomUUID()]
  let requests = 0
  let handle: Http.RequestListener = () => {}
  const issuer = yield* listen((request, response) => {
    if (request.url === "/token") requests++
    handle(request, response)
  })
  handle = new Provider(issuer, {
    jwks: { keys: [key] },
    adapter: NoStore,
    scopes,
    clients: [{
      client_id: clientId,
      client_secret: clientSecret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256"
    }],
    ttl: { ClientCredentials: 300 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // The resource is the audience of its tokens (RFC 8707).
        getResourceServerInfo: (_: unknown, resource: string) => ({
          scope: scopes.join(" "),
          audience: resource,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } }
        })
      }
    }
  }).callback()
  return {
    issuer,
    clientId,
    clientSecret,
    takeRequests: () => {
      const taken = requests
      requests = 0
      return taken
    }
  }
})
