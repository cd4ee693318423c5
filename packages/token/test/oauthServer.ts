/** A real authorization server on a loopback port, with its clients, refresh tokens and recorded requests. */
import { signingKey } from "@keelson/testing/oidcProvider"
import { Effect, type Scope } from "effect"
import type { JWK } from "jose"
import * as Http from "node:http"
import { createRequire } from "node:module"
import type { Socket } from "node:net"

/** A token as the server stores it. */
interface Stored {
  readonly clientId: string
  readonly scope: string | undefined
  /** The thumbprint of the key that the token is bound to. */
  readonly jkt?: string | undefined
}

interface Model {
  readonly save: () => Promise<string>
  readonly addOIDCScope: (scope: string) => void
}

/** Types for what the tests use of the package, which has none. */
interface Provider {
  readonly callback: () => Http.RequestListener
  readonly Client: { readonly find: (id: string) => Promise<unknown> }
  readonly Grant: new(members: object) => Model
  readonly RefreshToken: (new(members: object) => Model) & { readonly find: (token: string) => Promise<unknown> }
  readonly AccessToken: { readonly find: (token: string) => Promise<Stored | undefined> }
  readonly ClientCredentials: { readonly find: (token: string) => Promise<Stored | undefined> }
}
interface OidcProviderModule {
  readonly Provider: new(issuer: string, configuration: object) => Provider
}

const { Provider }: OidcProviderModule = createRequire(import.meta.url)("oidc-provider")

/** A token request as received. */
interface TokenRequest {
  readonly headers: Http.IncomingHttpHeaders
  readonly body: URLSearchParams
}

/** A handler before the server. Returns whether it responded, in which case the server does not get the request. */
type Fault = (response: Http.ServerResponse, number: number) => boolean

export interface OAuthServer {
  readonly issuer: string
  /** The token requests so far. */
  readonly requests: ReadonlyArray<TokenRequest>
  /** The paths of other requests. */
  readonly paths: ReadonlyArray<string>
  /** The handler before the server, and the one after it has responded. */
  fault: Fault
  /** Drops the server's responses from now on, after it has processed the requests. */
  losesAnswers: boolean
  /** The stored access token. */
  readonly find: (token: string) => Effect.Effect<Stored | undefined>
  /** A refresh token that a person granted to the client `web`. */
  readonly refreshToken: Effect.Effect<string>
}

export interface Options {
  /** The public keys of the client `signer`. */
  readonly keys?: ReadonlyArray<JWK> | undefined
  readonly rotates?: boolean | undefined
  /** Of the access tokens, in seconds. */
  readonly ttl?: number | undefined
  /** Whether proofs (DPoP) need a nonce of the server. */
  readonly needsNonce?: boolean | undefined
}

export const clientSecret = "s3cr3t/of the+tests%:and more"

const clients = (keys: ReadonlyArray<JWK>) => {
  const plain = { redirect_uris: [], response_types: [], grant_types: ["client_credentials"] }
  const alg = { id_token_signed_response_alg: "ES256" }
  return [
    { ...plain, ...alg, client_id: "basic:client", client_secret: clientSecret },
    {
      ...plain,
      ...alg,
      client_id: "post",
      client_secret: clientSecret,
      token_endpoint_auth_method: "client_secret_post"
    },
    {
      ...plain,
      ...alg,
      client_id: "signer",
      token_endpoint_auth_method: "private_key_jwt",
      jwks: { keys }
    },
    {
      ...alg,
      client_id: "web",
      client_secret: clientSecret,
      redirect_uris: ["https://app.example/cb"],
      grant_types: ["authorization_code", "refresh_token"]
    }
  ]
}

/** The server's storage. Without it the server warns about its own in-memory storage. */
const adapter = () => {
  const stored = new Map<string, Record<string, unknown>>()
  return class {
    readonly #name: string
    constructor(name: string) {
      this.#name = name
    }
    #key(id: string): string {
      return `${this.#name}:${id}`
    }
    async upsert(id: string, payload: Record<string, unknown>): Promise<void> {
      stored.set(this.#key(id), payload)
    }
    async find(id: string): Promise<unknown> {
      return stored.get(this.#key(id))
    }
    async destroy(id: string): Promise<void> {
      stored.delete(this.#key(id))
    }
    async consume(id: string): Promise<void> {
      const payload = stored.get(this.#key(id))
      if (payload !== undefined) payload["consumed"] = Math.floor(Date.now() / 1000)
    }
    async revokeByGrantId(grantId: string): Promise<void> {
      for (const [key, { grantId: own }] of stored) if (own === grantId) stored.delete(key)
    }
  }
}

const configuration = (key: JWK, { keys = [], needsNonce = false, rotates = true, ttl = 600 }: Options) => ({
  jwks: { keys: [key] },
  adapter: adapter(),
  scopes: ["openid", "offline_access", "read", "write"],
  clients: clients(keys),
  findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: rotates,
  ttl: { ClientCredentials: ttl, AccessToken: ttl, IdToken: 600, Grant: 3600, RefreshToken: 3600 },
  enabledJWA: { clientAuthSigningAlgValues: ["RS256", "PS256", "ES256", "Ed25519"] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1), requireNonce: () => needsNonce }
  }
})

const grantTo = (provider: Provider): Effect.Effect<string> =>
  Effect.promise(async () => {
    const client = await provider.Client.find("web")
    const scope = "openid offline_access read"
    const grant = new provider.Grant({ accountId: "alice", clientId: "web" })
    grant.addOIDCScope(scope)
    const grantId = await grant.save()
    return new provider.RefreshToken({
      accountId: "alice",
      client,
      grantId,
      scope,
      gty: "authorization_code",
      iiat: Math.floor(Date.now() / 1000),
      authTime: Math.floor(Date.now() / 1000)
    }).save()
  })

/** A server that runs until the scope closes. */
export const oauthServer = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<OAuthServer, never, Scope.Scope> {
  const requests: Array<TokenRequest> = []
  const paths: Array<string> = []
  const sockets = new Set<Socket>()
  let handle: Http.RequestListener = () => {}
  const script: { fault: Fault; losesAnswers: boolean } = { fault: () => false, losesAnswers: false }
  const token: Http.RequestListener = (request, response) => {
    const seen = { headers: request.headers, body: new URLSearchParams() }
    const number = requests.push(seen)
    let text = ""
    // Reads the body concurrently with the server, which starts reading in the same turn.
    request.on("data", (chunk: Buffer) => text += chunk.toString())
    request.on("end", () => {
      for (const [name, value] of new URLSearchParams(text)) seen.body.set(name, value)
    })
    if (script.fault(response, number)) return
    if (script.losesAnswers) response.end = () => response.destroy()
    handle(request, response)
  }
  const server = Http.createServer((request, response) => {
    if (request.url === "/token") token(request, response)
    else {
      paths.push(request.url ?? "")
      handle(request, response)
    }
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const issuer = `http://127.0.0.1:${port}`
  const provider = new Provider(issuer, configuration(yield* signingKey("ES256", "server"), options))
  handle = provider.callback()
  return Object.assign(script, {
    issuer,
    requests,
    paths,
    find: (value: string) =>
      Effect.promise(async () =>
        await provider.ClientCredentials.find(value) ?? await provider.AccessToken.find(value)
      ),
    refreshToken: grantTo(provider)
  })
})
