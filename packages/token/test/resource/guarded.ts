/** A guard for a protected resource: the API, its metadata and its authorization server are in memory. */
import { Deferred, Effect, Layer, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { ClientAuth, ResourceGuard, TokenHttpClient } from "../../src/index.ts"
import { challenge, egressOf, honest, issuer, metadataUrl, resource, tokenEndpoint, type World } from "./world.ts"

export const secret = "the client's secret"

/** A token request as received. */
interface TokenRequest {
  readonly url: string
  readonly form: Readonly<Record<string, string>>
}

export interface Backend {
  /** What the API needs for a path, by the path's name: its scopes. */
  readonly needs: Readonly<Record<string, ReadonlyArray<string>>>
  /** The scopes that the authorization server grants; all others are `invalid_scope`. */
  grants: ReadonlyArray<string>
  /** Whether the authorization server answers 503. */
  isDown: boolean
  /** The only URL of its token endpoint; any other answers 404. Default: any. */
  endpoint: string | undefined
  /** Runs before a token is returned. */
  beforeToken: Effect.Effect<void>
  readonly tokenRequests: Array<TokenRequest>
  /** The header `dpop` of each request for a token or at the API that has one; such a token is bound. */
  readonly proofs: Array<string>
  /** The requests at the API: path, scopes of the token, and status. */
  readonly calls: Array<string>
  /** The header of a response for a lack of scopes. */
  challengeOf: (scopes: ReadonlyArray<string>) => string
  status: number
}

const responseOf = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } })

const backendOf = (needs: Backend["needs"]): Backend => ({
  needs,
  grants: ["mcp", "read", "write", "admin"],
  isDown: false,
  endpoint: undefined,
  beforeToken: Effect.void,
  tokenRequests: [],
  proofs: [],
  calls: [],
  challengeOf: (scopes) =>
    `Bearer error="insufficient_scope", scope="${scopes.join(" ")}", resource_metadata="${metadataUrl}"`,
  status: 403
})

const formOf = (body: { readonly _tag: string }): Readonly<Record<string, string>> =>
  body._tag === "Uint8Array" && "body" in body && body.body instanceof Uint8Array
    ? Object.fromEntries(new URLSearchParams(new TextDecoder().decode(body.body)))
    : {}

const keepProof = ({ proofs }: Backend, { dpop }: Readonly<Record<string, string | undefined>>): void => {
  if (dpop !== undefined) proofs.push(dpop)
}

/** The authorization server: a token's text is the scopes that it was granted. */
const tokenClient = (backend: Backend) =>
  HttpClient.make((request, url) =>
    Effect.gen(function*() {
      const form = formOf(request.body)
      backend.tokenRequests.push({ url: url.href, form })
      keepProof(backend, request.headers)
      yield* backend.beforeToken
      if (backend.isDown) return HttpClientResponse.fromWeb(request, responseOf({}, 503))
      if (backend.endpoint !== undefined && backend.endpoint !== url.href) {
        return HttpClientResponse.fromWeb(request, responseOf({}, 404))
      }
      const scopes = (form["scope"] ?? "").split(" ").filter((scope) => scope !== "")
      const isGranted = scopes.every((scope) => backend.grants.includes(scope))
      return HttpClientResponse.fromWeb(
        request,
        isGranted
          ? responseOf({
            access_token: scopes.join("+") || "none",
            token_type: request.headers["dpop"] === undefined ? "Bearer" : "DPoP",
            expires_in: 3_600
          })
          : responseOf({ error: "invalid_scope" }, 400)
      )
    })
  )

/** The API: it needs the scopes of the path. */
const apiClient = (backend: Backend) =>
  HttpClient.make((request, url) =>
    Effect.sync(() => {
      const name = url.pathname.split("/").at(-1) ?? ""
      const scheme = request.headers["dpop"] === undefined ? "Bearer " : "DPoP "
      keepProof(backend, request.headers)
      const owned = (request.headers["authorization"] ?? "").replace(scheme, "").split("+")
      const needed = backend.needs[name] ?? []
      const isAllowed = needed.every((scope) => owned.includes(scope))
      const status = isAllowed ? 200 : backend.status
      backend.calls.push(`${name} ${owned.join("+")} ${status}`)
      return HttpClientResponse.fromWeb(
        request,
        responseOf({ name }, status, isAllowed ? {} : { "www-authenticate": backend.challengeOf(needed) })
      )
    })
  )

/** A guard over such a backend, in the scope. */
export const guarded = Effect.fnUntraced(function*(
  needs: Backend["needs"],
  options: Partial<ResourceGuard.Options> = {},
  world: World | (() => World) = {
    ...honest,
    [resource]: challenge(`Bearer scope="mcp", resource_metadata="${metadataUrl}"`)
  },
  mutualTls = false
) {
  const backend = backendOf(needs)
  const { layer: egress, requests } = egressOf(typeof world === "function" ? world : () => world)
  const guard = yield* ResourceGuard.make({
    resource,
    clients: [{ issuer, clientId: "agent", auth: ClientAuth.secretPost(Redacted.make(secret)) }],
    ...options,
    name: "files"
  }).pipe(
    Effect.provide(Layer.merge(
      Layer.succeed(HttpClient.HttpClient, apiClient(backend)),
      Layer.merge(
        egress,
        TokenHttpClient.layer(Layer.succeed(HttpClient.HttpClient, tokenClient(backend)), { mutualTls })
      )
    ))
  )
  const status = (path: string) => Effect.map(guard.get(path), (response) => response.status)
  return { guard, backend, requests, status, tokenEndpoint }
})

/** Something that another fiber waits for. */
export const gate = Effect.map(Deferred.make<void>(), (deferred) => ({
  open: Deferred.succeed(deferred, undefined),
  wait: Deferred.await(deferred)
}))
