/** `oidc-provider`, a certified authorization server, on 127.0.0.1: with two clients. It counts token requests. */
import { Effect, type Scope } from "effect"
import { exportJWK, exportPKCS8, generateKeyPair } from "jose"
import type * as Http from "node:http"
import { Provider } from "../oidcProvider.ts"
import { listen } from "./listen.ts"

export interface AuthorizationServer {
  readonly issuer: string
  /** The secret of the client `reporter`. */
  readonly clientSecret: string
  /** The private key of the client `ledger`. */
  readonly privateKey: string
  /** The client of a token; `undefined` for an invalid one. */
  readonly clientOf: (token: string) => Promise<string | undefined>
  /** The number of token requests since the last call. */
  readonly takeRequests: () => number
  /** Whether every connection is dropped. */
  isDown: boolean
}

const clients = (secret: string, key: object) => {
  const machine = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }
  return [
    { ...machine, client_id: "reporter", client_secret: secret, id_token_signed_response_alg: "ES256" },
    {
      ...machine,
      client_id: "ledger",
      token_endpoint_auth_method: "private_key_jwt",
      id_token_signed_response_alg: "ES256",
      jwks: { keys: [key] }
    }
  ]
}

/** Stores tokens in memory. */
const adapter = () => {
  const stored = new Map<string, unknown>()
  return class {
    readonly upsert = async (id: string, payload: unknown): Promise<void> => void stored.set(id, payload)
    readonly find = async (id: string): Promise<unknown> => stored.get(id)
    readonly destroy = async (id: string): Promise<void> => void stored.delete(id)
  }
}

const keyPair = async () => {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true })
  return {
    pem: await exportPKCS8(privateKey),
    jwk: { ...await exportJWK(publicKey), kid: "1", alg: "ES256", use: "sig" }
  }
}

/** Runs until the scope closes. */
export const makeAuthorizationServer: Effect.Effect<AuthorizationServer, never, Scope.Scope> = Effect.gen(function*() {
  const own = yield* Effect.promise(async () => {
    const { privateKey } = await generateKeyPair("ES256", { extractable: true })
    return { ...await exportJWK(privateKey), kid: "server", alg: "ES256", use: "sig" }
  })
  const { jwk, pem } = yield* Effect.promise(keyPair)
  const clientSecret = crypto.randomUUID()
  let requests = 0
  const state = { isDown: false }
  let handle: Http.RequestListener = () => {}
  const issuer = yield* listen((request, response) => {
    if (request.url === "/token") requests++
    if (state.isDown) request.socket.destroy()
    else handle(request, response)
  })
  const provider = new Provider(issuer, {
    jwks: { keys: [own] },
    adapter: adapter(),
    scopes: ["invoices", "ledger"],
    clients: clients(clientSecret, jwk),
    ttl: { ClientCredentials: 600 },
    enabledJWA: { clientAuthSigningAlgValues: ["ES256"] },
    features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } }
  })
  handle = provider.callback()
  return Object.assign(state, {
    issuer,
    clientSecret,
    privateKey: pem,
    clientOf: async (token: string) => (await provider.ClientCredentials.find(token))?.clientId,
    takeRequests: () => {
      const taken = requests
      requests = 0
      return taken
    }
  })
})
