import * as Effect from "effect/Effect"
import type { Endpoint, ServerFault } from "../../testing/TestIssuer.ts"
import type { SigningKey } from "./signingKeys.ts"

/** A request to the issuer. */
export interface IssuerRequest {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
  /** The form of a token request. */
  readonly body: string
}

/** A complete response. */
interface IssuerResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the endpoints serve. */
export interface IssuerState {
  readonly issuer: string
  readonly alg: string
  readonly client: { readonly id: string; readonly secret: string }
  /** The published keys. */
  readonly keys: () => ReadonlyArray<SigningKey>
  readonly fault: (endpoint: Endpoint) => ServerFault | undefined
  /** Records a request. */
  readonly record: (endpoint: Endpoint) => void
  /** Mints an access token for the client. */
  readonly mint: (scope: string | undefined) => Effect.Effect<string>
}

/** The connection breaks: no response. */
export const broken = "broken"
type Answer = Effect.Effect<IssuerResponse | typeof broken>

const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): IssuerResponse => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(body)
})

const pathOf = (issuer: string): string => new URL(issuer).pathname.replace(/\/$/, "")

/** The path of each endpoint. */
export const endpointPaths = (issuer: string): ReadonlyMap<string, Endpoint> => {
  const path = pathOf(issuer)
  return new Map<string, Endpoint>([
    [`${path}/.well-known/openid-configuration`, "metadata"],
    [`/.well-known/oauth-authorization-server${path}`, "metadata"],
    [`${path}/jwks`, "keys"],
    [`${path}/token`, "token"]
  ])
}

const metadata = ({ alg, issuer }: IssuerState) => {
  const base = issuer.replace(/\/$/, "")
  return json({
    issuer,
    jwks_uri: `${base}/jwks`,
    token_endpoint: `${base}/token`,
    authorization_endpoint: `${base}/authorize`,
    response_types_supported: ["code"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [alg],
    grant_types_supported: ["client_credentials"],
    token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true
  })
}

const noStore = { "cache-control": "no-store" }

const oauthError = (error: string, status = 400): IssuerResponse => json({ error }, status, noStore)

/** Decodes a part of the credentials (RFC 6749, 2.3.1): form encoding, in base64. */
const decodeBasic = (authorization: string): readonly [id: string, secret: string] => {
  const [, encoded = ""] = /^basic +(\S+)$/i.exec(authorization) ?? []
  const [id = "", secret = ""] = new URLSearchParams(
    `a=${atob(encoded).split(":").join("&b=")}`
  ).values()
  return [id, secret]
}

const tokenResponse = Effect.fnUntraced(function*(
  { client, mint }: IssuerState,
  { authorization, body, method }: IssuerRequest
): Effect.fn.Return<IssuerResponse> {
  if (method !== "POST") return oauthError("invalid_request", 405)
  const form = new URLSearchParams(body)
  const [id, secret] = authorization === undefined
    ? [form.get("client_id"), form.get("client_secret")]
    : decodeBasic(authorization)
  if (id !== client.id || secret !== client.secret) return oauthError("invalid_client", 401)
  if (form.get("grant_type") !== "client_credentials") return oauthError("unsupported_grant_type")
  const scope = form.get("scope") ?? undefined
  return json(
    { access_token: yield* mint(scope), token_type: "Bearer", expires_in: 300, scope },
    200,
    noStore
  )
})

const respond = (state: IssuerState, endpoint: Endpoint, request: IssuerRequest): Effect.Effect<IssuerResponse> => {
  switch (endpoint) {
    case "metadata":
      return Effect.sync(() => metadata(state))
    case "keys":
      return Effect.sync(() => json({ keys: state.keys().map(({ publicJwk }) => publicJwk) }))
    case "token":
      return tokenResponse(state, request)
  }
}

const garbage: IssuerResponse = {
  status: 200,
  headers: { "content-type": "text/html" },
  body: "<!doctype html><title>Maintenance</title>"
}

/** Answers one request of an endpoint, with the fault that is set. */
export const answer = (state: IssuerState, endpoint: Endpoint, request: IssuerRequest): Answer =>
  Effect.suspend((): Answer => {
    state.record(endpoint)
    const fault = state.fault(endpoint)
    switch (fault) {
      case undefined:
        return respond(state, endpoint, request)
      case "down":
        return Effect.succeed(broken)
      case "hang":
        return Effect.never
      case "error":
        return Effect.succeed({ status: 500, headers: {}, body: "" })
      case "garbage":
        return Effect.succeed(garbage)
      case "noKeys":
        return endpoint === "keys" ? Effect.succeed(json({ keys: [] })) : respond(state, endpoint, request)
      default:
        return Effect.delay(respond(state, endpoint, request), fault.delay)
    }
  })
