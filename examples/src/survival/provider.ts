/**
 * `oidc-provider`, a certified OpenID provider, on 127.0.0.1. Its signing keys can be rotated and withdrawn, it can be down, and
 * it records the requests that it receives.
 */
import { Effect, type Scope } from "effect"
import { exportJWK, generateKeyPair, type JWK } from "jose"
import type { RequestListener, ServerResponse } from "node:http"
import { NoStore, Provider as OidcProvider } from "../oidcProvider.ts"
import { listen } from "../tokens/listen.ts"
import type { RunClock } from "./runClock.ts"
import type { PhaseName } from "./script.ts"

export interface SigningKey extends JWK {
  readonly kid: string
}

/** A request that arrived, answered or not. */
export interface ProviderRequest {
  readonly what: "metadata" | "keys" | "token"
  readonly phase: PhaseName
}

export interface Provider {
  readonly url: string
  /** The secret of the client `shop`. */
  readonly secret: string
  /** The current private signing key. */
  readonly signingKey: SigningKey
  readonly requests: ReadonlyArray<ProviderRequest>
  /** Signs with a new key; the previous keys stay in the key set. */
  readonly rotate: Effect.Effect<void>
  /** Signs with a new key, the only one in the key set. */
  readonly withdraw: Effect.Effect<void>
  /** Whether every connection is dropped. */
  isDown: boolean
}

const audience = "https://orders.example"

const makeKey = Effect.promise(async (): Promise<SigningKey> => {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true })
  return { ...await exportJWK(privateKey), kid: crypto.randomUUID(), alg: "ES256", use: "sig" }
})

const configuration = (keys: ReadonlyArray<SigningKey>, secret: string) => ({
  jwks: { keys },
  adapter: NoStore,
  scopes: ["orders:read"],
  clients: [{
    client_id: "shop",
    client_secret: secret,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: "ES256"
  }],
  ttl: { ClientCredentials: 60 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: "orders:read",
        audience,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } }
      })
    }
  }
})

const endpoints = new Map<string | undefined, ProviderRequest["what"]>([
  ["/.well-known/openid-configuration", "metadata"],
  ["/jwks", "keys"],
  ["/token", "token"]
])

/** The package states no lifetime of its key set. Issuers that rotate often state short ones like this. */
const setLifetime = (response: ServerResponse): void => void response.setHeader("cache-control", "max-age=30")

/** Serves until the scope closes. */
export const makeProvider = Effect.fnUntraced(function*(
  clock: RunClock
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const secret = crypto.randomUUID()
  const requests: Array<ProviderRequest> = []
  let keys: readonly [SigningKey, ...ReadonlyArray<SigningKey>] = [yield* makeKey]
  let handle: RequestListener = () => {}
  const url = yield* listen((request, response) => {
    const what = endpoints.get(request.url)
    if (what !== undefined) requests.push({ what, phase: clock.phase })
    if (provider.isDown) return void request.socket.destroy()
    if (what === "keys") setLifetime(response)
    handle(request, response)
  })
  const publish = (next: typeof keys): void => {
    keys = next
    handle = new OidcProvider(url, configuration(keys, secret)).callback()
  }
  publish(keys)
  const provider: Provider = {
    url,
    secret,
    requests,
    get signingKey() {
      return keys[0]
    },
    rotate: Effect.map(makeKey, (key) => publish([key, ...keys])),
    withdraw: Effect.map(makeKey, (key) => publish([key])),
    isDown: false
  }
  return provider
})
