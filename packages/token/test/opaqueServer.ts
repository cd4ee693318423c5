/** A real authorization server on a loopback port that issues opaque tokens and introspects them. */
import { type SigningKey, signingKey } from "@keelson/testing/oidcProvider"
import { Effect, type Scope } from "effect"
import type { JWK } from "jose"
import * as Http from "node:http"
import { createRequire } from "node:module"
import type { Socket } from "node:net"

interface Token {
  readonly save: () => Promise<string>
  readonly destroy: () => Promise<void>
}
interface TokenModel {
  new(members: object): Token
  readonly find: (token: string) => Promise<Token | undefined>
}

/** Types for what the tests use of the package, which has none. */
interface Provider {
  readonly callback: () => Http.RequestListener
  readonly Client: { readonly find: (id: string) => Promise<unknown> }
  readonly Grant: new(members: object) => Token & { readonly addOIDCScope: (scope: string) => void }
  readonly AccessToken: TokenModel
  readonly RefreshToken: TokenModel
  readonly ClientCredentials: TokenModel
}
const { Provider }: { readonly Provider: new(issuer: string, configuration: object) => Provider } = createRequire(
  import.meta.url
)("oidc-provider")

export interface OpaqueServer {
  readonly issuer: string
  /** The public signing key. */
  readonly key: SigningKey
  /** The introspection requests so far. */
  readonly requests: ReadonlyArray<{ readonly headers: Http.IncomingHttpHeaders; readonly body: string }>
  /** A token of alice for the API, granted to the client `web`. */
  readonly accessToken: (members?: Readonly<Record<string, unknown>>) => Effect.Effect<string>
  readonly refreshToken: Effect.Effect<string>
  /** A token of the client credentials grant. */
  readonly clientToken: (members?: Readonly<Record<string, unknown>>) => Effect.Effect<string>
  readonly revoke: (token: string) => Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void>
}

export const clientSecret = "s3cr3t/of the+tests%:and more"
/** The audience of its tokens. */
export const resource = "https://api.example"

const clients = (keys: ReadonlyArray<JWK>) => {
  const plain = {
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials"],
    id_token_signed_response_alg: "ES256",
    // Otherwise RS256, which each client of a server with signed answers then has.
    introspection_signed_response_alg: "ES256",
    client_secret: clientSecret
  }
  const { client_secret: _, ...withoutSecret } = plain
  return [
    { ...plain, client_id: "api:basic" },
    { ...plain, client_id: "api-post", token_endpoint_auth_method: "client_secret_post" },
    { ...withoutSecret, client_id: "api-jwt", token_endpoint_auth_method: "private_key_jwt", jwks: { keys } },
    {
      ...plain,
      client_id: "web",
      redirect_uris: ["https://app.example/cb"],
      response_types: ["code"],
      grant_types: ["authorization_code", "refresh_token", "client_credentials"]
    }
  ]
}

const makeAdapter = () => {
  const stored = new Map<string, unknown>()
  return class {
    readonly #name: string
    constructor(name: string) {
      this.#name = name
    }
    async upsert(id: string, payload: unknown): Promise<void> {
      stored.set(`${this.#name}:${id}`, payload)
    }
    async find(id: string): Promise<unknown> {
      return stored.get(`${this.#name}:${id}`)
    }
    async destroy(id: string): Promise<void> {
      stored.delete(`${this.#name}:${id}`)
    }
    async revokeByGrantId(): Promise<void> {}
  }
}

const configuration = (key: JWK, keys: ReadonlyArray<JWK>) => ({
  jwks: { keys: [key] },
  adapter: makeAdapter(),
  scopes: ["openid", "offline_access", "read", "write"],
  clients: clients(keys),
  findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: () => ({ roles: ["admin"] }),
  ttl: { ClientCredentials: 600, AccessToken: 600, IdToken: 600, Grant: 3600, RefreshToken: 3600 },
  enabledJWA: {
    clientAuthSigningAlgValues: ["RS256", "ES256"],
    introspectionSigningAlgValues: ["RS256", "ES256"]
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true }
  }
})

const bodyOf = (request: Http.IncomingMessage, done: (body: string) => void): void => {
  let text = ""
  request.on("data", (chunk: Buffer) => text += chunk.toString())
  request.on("end", () => done(text))
}

/** A server that runs until the scope closes. `keys` are the public keys of the client `api-jwt`. */
export const opaqueServer = Effect.fnUntraced(function*(
  keys: ReadonlyArray<JWK> = []
): Effect.fn.Return<OpaqueServer, never, Scope.Scope> {
  const requests: Array<{ headers: Http.IncomingHttpHeaders; body: string }> = []
  const sockets = new Set<Socket>()
  let handle: Http.RequestListener = () => {}
  const server = Http.createServer((request, response) => {
    if (request.url?.includes("introspection") === true) {
      bodyOf(request, (body) => requests.push({ headers: request.headers, body }))
    }
    handle(request, response)
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  const listen = (port: number) =>
    Effect.callback<void>((resume) => {
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
  const key = yield* signingKey("ES256", "server")
  const provider = new Provider(issuer, configuration(key, keys))
  handle = provider.callback()

  const granted = async (save: (members: object) => Promise<string>): Promise<string> => {
    const grant = new provider.Grant({ accountId: "alice", clientId: "web" })
    grant.addOIDCScope("openid offline_access read")
    return save({
      accountId: "alice",
      client: await provider.Client.find("web"),
      grantId: await grant.save(),
      scope: "read",
      gty: "authorization_code",
      aud: resource
    })
  }
  return {
    issuer,
    key,
    requests,
    accessToken: (more) =>
      Effect.promise(() => granted((members) => new provider.AccessToken({ ...members, ...more }).save())),
    refreshToken: Effect.promise(() => granted((members) => new provider.RefreshToken(members).save())),
    clientToken: (more) =>
      Effect.promise(async () =>
        new provider.ClientCredentials({
          client: await provider.Client.find("web"),
          scope: "read",
          aud: resource,
          ...more
        }).save()
      ),
    revoke: (token) =>
      Effect.promise(async () => {
        const found = await provider.AccessToken.find(token) ?? await provider.ClientCredentials.find(token)
        await found?.destroy()
      }),
    kill,
    start: listen(port)
  }
})
