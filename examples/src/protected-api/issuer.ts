/** A real OpenID provider on 127.0.0.1 that issues access tokens to two clients, with an outage on demand. */
import { Effect, Predicate, type Scope } from "effect"
import { exportJWK, generateKeyPair } from "jose"
import { createServer, type RequestListener } from "node:http"
import { NoStore, Provider } from "../oidcProvider.ts"
import { audience } from "./server.ts"

export interface Issuer {
  readonly url: string
  /** An access token of the client credentials grant. */
  readonly token: (client: Client, scope: string) => Effect.Effect<string>
  /** Whether it answers everything with 503. */
  isDown: boolean
}

/** What the issuer knows of its clients. */
const clients = {
  reader: { tenant: "acme", roles: [] },
  editor: { tenant: "acme", roles: ["admin"] }
}
export type Client = keyof typeof clients

const scopes = "reports:read reports:write"

const isClient = (id: unknown): id is Client => Predicate.isString(id) && Object.hasOwn(clients, id)

const configuration = Effect.promise(async () => {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true })
  return {
    jwks: { keys: [{ ...await exportJWK(privateKey), kid: "example", alg: "ES256", use: "sig" }] },
    adapter: NoStore,
    scopes: scopes.split(" "),
    clients: Object.keys(clients).map((id) => ({
      client_id: id,
      client_secret: "secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: "ES256"
    })),
    ttl: { ClientCredentials: 300 },
    extraTokenClaims: (_: unknown, { clientId }: { readonly clientId: unknown }) =>
      isClient(clientId) ? clients[clientId] : {},
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: scopes,
          audience,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } }
        })
      }
    }
  }
})

/** The command line that asks for a token as this program does. */
export const tokenCommand = (issuer: string, client: Client): string =>
  `curl -s -u ${client}:secret -d grant_type=client_credentials -d resource=${audience} ` +
  `--data-urlencode "scope=${scopes}" ${issuer}/token`

const tokenFrom = (issuer: string, client: Client, scope: string) =>
  Effect.promise(async () => {
    const response = await fetch(`${issuer}/token`, {
      method: "POST",
      headers: { authorization: `Basic ${btoa(`${client}:secret`)}` },
      body: new URLSearchParams({ grant_type: "client_credentials", resource: audience, scope })
    })
    const answer: unknown = await response.json()
    if (Predicate.hasProperty(answer, "access_token") && Predicate.isString(answer.access_token)) {
      return answer.access_token
    }
    throw new Error(`The issuer gave no token: ${response.status}`)
  })

/** Answers until its scope closes. A request for another host than this one is refused. */
export const makeIssuer: Effect.Effect<Issuer, never, Scope.Scope> = Effect.gen(function*() {
  const settings = yield* configuration
  let handle: RequestListener = () => {}
  const server = createServer((request, response) => {
    if (request.headers.host !== new URL(issuer.url).host) response.writeHead(421).end()
    else if (issuer.isDown) response.writeHead(503).end()
    else handle(request, response)
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const url = `http://127.0.0.1:${port}`
  handle = new Provider(url, settings).callback()
  const issuer: Issuer = { url, token: (client, scope) => tokenFrom(url, client, scope), isDown: false }
  return issuer
})
