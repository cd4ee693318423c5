/**
 * `oidc-provider`, a certified OpenID provider, on 127.0.0.1. Its signing keys are rotated and withdrawn, it can be down, and
 * it counts what it is asked for.
 */
import { Effect, type Scope } from "effect"
import { exportJWK, generateKeyPair, type JWK } from "jose"
import type { RequestListener, ServerResponse } from "node:http"
import { Forgetful, Provider as OidcProvider } from "../oidcProvider.ts"
import { listen } from "../tokens/listen.ts"
import type { PhaseName } from "./script.ts"
import type { Stage } from "./stage.ts"

export interface SigningKey extends JWK {
  readonly kid: string
}

/** What was asked for, answered or not. */
export interface Asked {
  readonly what: "metadata" | "keys" | "token"
  readonly phase: PhaseName
}

export interface Provider {
  readonly url: string
  /** The secret of the client `shop`. */
  readonly secret: string
  /** The private key that it signs with. */
  readonly signingKey: SigningKey
  readonly asked: ReadonlyArray<Asked>
  /** Signs with a new key; the ones before stay in the key set. */
  readonly rotate: Effect.Effect<void>
  /** Signs with a new key, the only one in the key set. */
  readonly withdraw: Effect.Effect<void>
  /** While it is down, every connection is broken off. */
  isDown: boolean
}

const audience = "https://orders.example"

const makeKey = Effect.promise(async (): Promise<SigningKey> => {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true })
  return { ...await exportJWK(privateKey), kid: crypto.randomUUID(), alg: "ES256", use: "sig" }
})

const configuration = (keys: ReadonlyArray<SigningKey>, secret: string) => ({
  jwks: { keys },
  adapter: Forgetful,
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

const places = new Map<string | undefined, Asked["what"]>([
  ["/.well-known/openid-configuration", "metadata"],
  ["/jwks", "keys"],
  ["/token", "token"]
])

/** The package says nothing about how long its key set is good. Issuers that rotate often say little more than this. */
const sayLifetime = (response: ServerResponse): void => void response.setHeader("cache-control", "max-age=30")

/** Answers until its scope closes. */
export const makeProvider = Effect.fnUntraced(function*(
  stage: Stage
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const secret = crypto.randomUUID()
  const asked: Array<Asked> = []
  let keys: readonly [SigningKey, ...ReadonlyArray<SigningKey>] = [yield* makeKey]
  let handle: RequestListener = () => {}
  const url = yield* listen((request, response) => {
    const what = places.get(request.url)
    if (what !== undefined) asked.push({ what, phase: stage.phase })
    if (provider.isDown) return void request.socket.destroy()
    if (what === "keys") sayLifetime(response)
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
    asked,
    get signingKey() {
      return keys[0]
    },
    rotate: Effect.map(makeKey, (key) => publish([key, ...keys])),
    withdraw: Effect.map(makeKey, (key) => publish([key])),
    isDown: false
  }
  return provider
})
