/** A real OpenID provider on a loopback port. Its signing keys can be rotated, and it can be stopped and restarted. */
import { Effect, Predicate, type Scope } from "effect"
import { exportJWK, generateKeyPair, type JWK } from "jose"
import * as Http from "node:http"
import { createRequire } from "node:module"
import type { Socket } from "node:net"

/** The part of the package used here; the package has no types. */
interface OidcProviderModule {
  readonly Provider: new(issuer: string, configuration: object) => { readonly callback: () => Http.RequestListener }
}

const { Provider }: OidcProviderModule = createRequire(import.meta.url)("oidc-provider")

/** A private key that the provider signs with. */
export interface SigningKey extends JWK {
  readonly kid: string
  readonly alg: string
}

/** A new key for an algorithm. */
export const signingKey = (alg: string, kid: string): Effect.Effect<SigningKey> =>
  Effect.promise(async () => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true })
    return { ...await exportJWK(privateKey), kid, alg, use: "sig" }
  })

export interface OidcProvider {
  readonly issuer: string
  /** The paths requested so far, except those of token requests. */
  readonly requests: ReadonlyArray<string>
  /** Publishes these keys from now on. It signs with the first one of an algorithm. */
  readonly rotate: (keys: ReadonlyArray<SigningKey>) => Effect.Effect<void>
  /** An access token of the client credentials grant, signed by an algorithm. */
  readonly token: (alg: string) => Effect.Effect<string>
  /** Closes the server with all of its connections. */
  readonly kill: Effect.Effect<void>
  /** Listens again, on the same port. */
  readonly start: Effect.Effect<void>
}

const client = { client_id: "tests", client_secret: "secret" } as const
const resource = "https://api.example/"

/** A store that keeps nothing, since JWTs need none. */
class Forgetful {
  readonly upsert = async (): Promise<void> => {}
  readonly find = async (): Promise<undefined> => {}
  readonly destroy = async (): Promise<void> => {}
}

/** How tokens of an algorithm are signed: by a published key, or by the secret that the resource server shares. */
const signingOf = (alg: string, secret: string | undefined) =>
  alg.startsWith("HS") ? { alg, key: Buffer.from(secret ?? ""), kid: "key" } : { alg }

/** The resource's path is the algorithm of its tokens. */
const configuration = (keys: ReadonlyArray<SigningKey>, secret: string | undefined) => ({
  enabledJWA: { idTokenSigningAlgValues: [...new Set(["RS256", ...keys.map(({ alg }) => alg)])] },
  jwks: { keys },
  adapter: Forgetful,
  scopes: ["read"],
  clients: [{
    ...client,
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
    // Not used here, but the provider requires a key for it.
    id_token_signed_response_alg: keys[0]?.alg
  }],
  ttl: { ClientCredentials: 600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_: unknown, indicator: string) => ({
        scope: "read",
        accessTokenFormat: "jwt",
        jwt: { sign: signingOf(indicator.slice(resource.length), secret) }
      })
    }
  }
})

const tokenFrom = (issuer: string, alg: string) =>
  Effect.promise(async () => {
    const { client_id: id, client_secret: secret } = client
    const response = await fetch(`${issuer}/token`, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` },
      body: new URLSearchParams({ grant_type: "client_credentials", scope: "read", resource: `${resource}${alg}` })
    })
    const answer: unknown = await response.json()
    if (Predicate.hasProperty(answer, "access_token") && Predicate.isString(answer.access_token)) {
      return answer.access_token
    }
    throw new Error(`The provider returned no token: ${JSON.stringify(answer)}`)
  })

/** Starts a provider with these keys, and with a secret for the tokens of HS algorithms. */
export const oidcProvider = Effect.fnUntraced(function*(
  keys: ReadonlyArray<SigningKey>,
  secret?: string
): Effect.fn.Return<OidcProvider, never, Scope.Scope> {
  const requests: Array<string> = []
  const sockets = new Set<Socket>()
  let handle: Http.RequestListener = () => {}
  const server = Http.createServer((request, response) => {
    if (request.url !== "/token") requests.push(request.url ?? "")
    handle(request, response)
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  const listen = (port: number) =>
    Effect.callback<void>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    })
  const kill = Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    for (const socket of sockets) socket.destroy()
  })
  yield* Effect.acquireRelease(listen(0), () => kill)
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const issuer = `http://127.0.0.1:${port}`
  const rotate = (next: ReadonlyArray<SigningKey>) =>
    Effect.sync(() => {
      handle = new Provider(issuer, configuration(next, secret)).callback()
    })
  yield* rotate(keys)
  return { issuer, requests, rotate, token: (alg) => tokenFrom(issuer, alg), kill, start: listen(port) }
})
