/** `oidc-provider`, a certified OpenID provider, on 127.0.0.1: it issues JWTs for the objects and for the administration. */
import { Effect, Predicate, type Scope } from "effect"
import { exportJWK, generateKeyPair } from "jose"
import type * as Http from "node:http"
import { NoStore, Provider } from "../oidcProvider.ts"
import { listen } from "../tokens/listen.ts"

export interface IdentityProvider {
  readonly issuer: string
  /** An access token for a resource, with scopes. */
  readonly token: (resource: string, scope: string) => Effect.Effect<string>
}

const id = "reader"

/** Runs until the scope closes. */
export const makeProvider: Effect.Effect<IdentityProvider, never, Scope.Scope> = Effect.gen(function*() {
  const key = yield* Effect.promise(async () => {
    const { privateKey } = await generateKeyPair("RS256", { extractable: true })
    return { ...await exportJWK(privateKey), kid: "server", alg: "RS256", use: "sig" }
  })
  const secret = crypto.randomUUID()
  let handle: Http.RequestListener = () => {}
  const issuer = yield* listen((request, response) => handle(request, response))
  const scopes = ["files:read", "gateway:admin"]
  handle = new Provider(issuer, {
    jwks: { keys: [key] },
    adapter: NoStore,
    scopes,
    clients: [{
      client_id: id,
      client_secret: secret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: []
    }],
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: scopes.join(" "),
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } }
        })
      }
    }
  }).callback()
  return {
    issuer,
    token: (resource, scope) =>
      Effect.promise(async () => {
        const response = await fetch(`${issuer}/token`, {
          method: "POST",
          headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
          body: new URLSearchParams({ grant_type: "client_credentials", scope, resource })
        })
        const body: unknown = await response.json()
        if (Predicate.hasProperty(body, "access_token") && Predicate.isString(body.access_token)) {
          return body.access_token
        }
        throw new Error(`The provider issued no token: ${JSON.stringify(body)}`)
      })
  }
})
