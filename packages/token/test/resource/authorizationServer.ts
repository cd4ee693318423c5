/** `oidc-provider`, a certified authorization server: it issues JWTs for the resource that a token request names. */
import { signingKey } from "@keelson/testing/oidcProvider"
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import { createRequire } from "node:module"

/** The part of the package used here; the package has no types. */
interface Module {
  readonly Provider: new(issuer: string, configuration: object) => {
    readonly callback: () => Http.RequestListener
    readonly on: (
      event: "grant.success",
      listener: (context: { readonly oidc: { readonly params: Readonly<Record<string, string | undefined>> } }) => void
    ) => void
  }
}

const { Provider }: Module = createRequire(import.meta.url)("oidc-provider")

/** A store that keeps nothing, since JWTs need none. */
class NoStore {
  readonly upsert = async (): Promise<void> => {}
  readonly find = async (): Promise<undefined> => {}
  readonly destroy = async (): Promise<void> => {}
}

export const clientId = "agent"
export const clientSecret = "an agent's secret"

const scopes = "mcp files:read files:write"

export interface AuthorizationServer {
  readonly issuer: string
  /** The parameters of the token requests that it granted so far. */
  readonly granted: ReadonlyArray<Readonly<Record<string, string | undefined>>>
}

/** Runs in the scope. */
export const authorizationServer: Effect.Effect<AuthorizationServer, never, Scope.Scope> = Effect.gen(function*() {
  const key = yield* signingKey("ES256", "1")
  const granted: Array<Readonly<Record<string, string | undefined>>> = []
  let handle: Http.RequestListener = () => {}
  const server = Http.createServer((request, response) => handle(request, response))
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const issuer = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    adapter: NoStore,
    scopes: scopes.split(" "),
    clients: [{
      client_id: clientId,
      client_secret: clientSecret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256"
    }],
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_: unknown, resource: string) => ({
          scope: scopes,
          audience: resource,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } }
        })
      }
    }
  })
  provider.on("grant.success", ({ oidc: { params } }) => void granted.push({ ...params }))
  handle = provider.callback()
  return { issuer, granted }
})
