/**
 * A real OpenID provider on a loopback port with the grants that act on behalf of subjects: token exchange (RFC 8693) and JWT bearer
 * (RFC 7523), and with all methods of client authentication.
 */
import { Effect, type Scope } from "effect"
import { createLocalJWKSet, type JWK, jwtVerify } from "jose"
import * as Http from "node:http"
import { createRequire } from "node:module"
import type { Socket } from "node:net"
import { signingKey } from "./oidcProvider.ts"

/** A token as the provider stores it. */
export interface StoredToken {
  readonly accountId?: string | undefined
  readonly clientId: string
  readonly scope?: string | undefined
}

/** What the request of a token asked for besides, and who acts for the subject. */
export interface IssuedGrant {
  readonly audience?: string | undefined
  readonly resource?: string | undefined
  readonly act?: { readonly sub: string } | undefined
  readonly use?: string | undefined
}

interface Stored extends StoredToken {
  readonly isExpired: boolean
}

interface SavedToken {
  readonly expiration: number
  readonly tokenType: string
  readonly save: () => Promise<string>
}

/** The part of the context of a request that a grant reads and writes. */
interface GrantContext {
  readonly oidc: { readonly client: object; readonly params: Readonly<Record<string, string | undefined>> }
  body: object
}

/** Types for what is used of the package, which has none. */
interface Provider {
  readonly callback: () => Http.RequestListener
  readonly registerGrantType: (
    name: string,
    handler: (ctx: GrantContext) => Promise<void>,
    params: ReadonlyArray<string>
  ) => void
  readonly Client: { readonly find: (id: string) => Promise<unknown> }
  readonly AccessToken: (new(members: object) => SavedToken) & {
    readonly find: (token: string) => Promise<Stored | undefined>
  }
  readonly ClientCredentials: { readonly find: (token: string) => Promise<Stored | undefined> }
}
interface OidcProviderModule {
  readonly Provider: new(issuer: string, configuration: object) => Provider
  readonly errors: Readonly<
    Record<"InvalidGrant" | "InvalidRequest" | "InvalidTarget", new(description: string) => Error>
  >
}

const { Provider, errors }: OidcProviderModule = createRequire(import.meta.url)("oidc-provider")

/** A token request as received. */
export interface GrantRequest {
  readonly authorization: string | undefined
  readonly body: URLSearchParams
}

export interface GrantProvider {
  readonly issuer: string
  /** The token requests so far. */
  readonly requests: ReadonlyArray<GrantRequest>
  /** The provider's signing key, for assertions that it accepts. */
  readonly key: JWK
  /** An access token that the provider issued to a person. */
  readonly tokenFor: (accountId: string) => Effect.Effect<string>
  readonly find: (
    token: string
  ) => Effect.Effect<(StoredToken & { readonly grant: IssuedGrant | undefined }) | undefined>
}

/** The audience of the assertions that the JWT bearer grant accepts: the API that acts for its callers. */
export const assertionAudience = "middle-tier"

const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
const accessToken = "urn:ietf:params:oauth:token-type:access_token"

/** Client metadata (RFC 7591, 2). */
export interface ClientMetadata {
  readonly client_id: string
  readonly [name: string]: unknown
}

const adapter = () => {
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
  }
}

const configuration = (key: JWK, clients: ReadonlyArray<ClientMetadata>) => ({
  jwks: { keys: [key] },
  adapter: adapter(),
  scopes: ["openid", "read", "write"],
  ttl: { AccessToken: 600, ClientCredentials: 600 },
  clients: clients.map((client) => ({
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials", exchange, jwtBearer],
    id_token_signed_response_alg: "ES256",
    ...client
  })),
  findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
  clientAuthMethods: [
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "none"
  ],
  enabledJWA: { clientAuthSigningAlgValues: ["HS256", "RS256", "PS256", "ES256", "Ed25519"] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      // Stands for the certificate of the connection, whose check is not what these tests are about.
      getCertificate: (ctx: { readonly get: (name: string) => string }) => ctx.get("x-test-certificate") || undefined,
      certificateAuthorized: () => true,
      certificateSubjectMatches: () => true
    }
  }
})

const issue = async (
  provider: Provider,
  grants: Map<string, IssuedGrant>,
  ctx: GrantContext,
  accountId: string,
  grant: IssuedGrant
): Promise<void> => {
  const { audience, resource, scope } = ctx.oidc.params
  if ((audience ?? resource)?.includes("unknown") === true) throw new errors.InvalidTarget("unknown target")
  const token = new provider.AccessToken({ accountId, client: ctx.oidc.client, grantId: "none", scope })
  const value = await token.save()
  grants.set(value, { ...grant, audience, resource })
  ctx.body = {
    access_token: value,
    token_type: token.tokenType,
    expires_in: token.expiration,
    ...(scope === undefined ? undefined : { scope }),
    ...(ctx.oidc.params["subject_token"] === undefined ? undefined : { issued_token_type: accessToken })
  }
}

const register = (
  provider: Provider,
  grants: Map<string, IssuedGrant>,
  keys: ReturnType<typeof createLocalJWKSet>
): void => {
  const subjectOf = async (name: string, token: string | undefined): Promise<string> => {
    const found = token === undefined ? undefined : await provider.AccessToken.find(token)
    if (found?.accountId === undefined || found.isExpired) throw new errors.InvalidGrant(`${name} is not valid`)
    return found.accountId
  }
  provider.registerGrantType(exchange, async (ctx) => {
    const { actor_token: actor, subject_token: subject, subject_token_type: type } = ctx.oidc.params
    if (type !== accessToken) throw new errors.InvalidRequest("subject_token_type is not supported")
    const act = actor === undefined ? undefined : { sub: await subjectOf("actor_token", actor) }
    await issue(provider, grants, ctx, await subjectOf("subject_token", subject), { act })
  }, [
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
    "actor_token_type",
    "audience",
    "resource",
    "scope"
  ])
  provider.registerGrantType(jwtBearer, async (ctx) => {
    const { assertion = "", requested_token_use: use } = ctx.oidc.params
    const subject = await jwtVerify(assertion, keys, { audience: assertionAudience }).then(
      ({ payload }) => payload.sub,
      () => undefined
    )
    if (subject === undefined) throw new errors.InvalidGrant("assertion is not valid")
    await issue(provider, grants, ctx, subject, { use })
  }, ["assertion", "requested_token_use", "audience", "resource", "scope"])
}

/** A provider that runs until the scope closes. */
export const grantProvider = Effect.fnUntraced(function*(
  clients: ReadonlyArray<ClientMetadata>
): Effect.fn.Return<GrantProvider, never, Scope.Scope> {
  const requests: Array<GrantRequest> = []
  const sockets = new Set<Socket>()
  let handle: Http.RequestListener = () => {}
  const server = Http.createServer((request, response) => {
    if (request.url === "/token") {
      const seen = { authorization: request.headers.authorization, body: new URLSearchParams() }
      requests.push(seen)
      let text = ""
      // Reads the body concurrently with the provider, which starts reading in the same turn.
      request.on("data", (chunk: Buffer) => text += chunk.toString())
      request.on("end", () => {
        for (const [name, value] of new URLSearchParams(text)) seen.body.append(name, value)
      })
    }
    handle(request, response)
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
  const issuer = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  const key = yield* signingKey("ES256", "server")
  const provider = new Provider(issuer, configuration(key, clients))
  const { d: _, ...publicKey } = key
  const grants = new Map<string, IssuedGrant>()
  register(provider, grants, createLocalJWKSet({ keys: [publicKey] }))
  handle = provider.callback()
  return {
    issuer,
    requests,
    key,
    tokenFor: (accountId) =>
      Effect.promise(async () =>
        new provider.AccessToken({
          accountId,
          client: await provider.Client.find(clients[0]?.client_id ?? ""),
          grantId: "none",
          scope: "read"
        }).save()
      ),
    find: (token) =>
      Effect.promise(async () => {
        const stored = await provider.AccessToken.find(token) ?? await provider.ClientCredentials.find(token)
        return stored &&
          { accountId: stored.accountId, clientId: stored.clientId, scope: stored.scope, grant: grants.get(token) }
      })
  }
})
