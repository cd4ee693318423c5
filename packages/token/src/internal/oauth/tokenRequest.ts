import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as OAuth from "oauth4webapi"
import type { ClientAuth } from "../../ClientAuth.ts"
import { CurrentDpopKey, type DpopKey } from "../../DpopKey.ts"
import { checkEndpoint } from "./endpoints.ts"
import { refused, type TokenEndpoint } from "./metadata.ts"
import { type ExchangeRecord, oauthFetch } from "./oauthFetch.ts"
import type { SecretError } from "./readSecret.ts"
import type { GrantedTokens } from "./readToken.ts"
import { libraryCode, readAnswer, RequestFailed } from "./requestFailed.ts"
import type { RequestOptions } from "./requestOptions.ts"

/** A grant type that an extension of OAuth defines, with its own parameters (RFC 6749, 4.5). */
export interface ExtensionGrant {
  readonly type: "extension"
  readonly grantType: string
  readonly parameters: Readonly<Record<string, string>>
}

/** The grant type of a token request, with its refresh token. */
export type GrantRequest =
  | ExtensionGrant
  | { readonly type: "client_credentials" }
  | { readonly type: "refresh_token"; readonly refreshToken: Redacted.Redacted }

/** A client of an authorization server. */
export interface TokenClient {
  readonly options: RequestOptions
  readonly auth: ClientAuth
  readonly endpoint: TokenEndpoint
  readonly parameters: Readonly<Record<string, string>>
  /** The OAuth errors that mean that the grant is no longer valid. */
  readonly fatal: ReadonlySet<string>
}

const parametersOf = ({ options: { audience, resource, scope }, parameters }: TokenClient): Record<string, string> => ({
  ...parameters,
  ...(scope === undefined ? undefined : { scope }),
  ...(audience === undefined ? undefined : { audience }),
  ...(resource === undefined ? undefined : { resource })
})

/** Makes the request with the OAuth library. The response is read from the record of `oauthFetch`. */
const send = (
  grant: GrantRequest,
  server: OAuth.AuthorizationServer,
  client: OAuth.Client,
  authenticate: OAuth.ClientAuth,
  parameters: Record<string, string>,
  options: OAuth.TokenEndpointRequestOptions
): Promise<Response> => {
  switch (grant.type) {
    case "client_credentials":
      return OAuth.clientCredentialsGrantRequest(server, client, authenticate, parameters, options)
    case "refresh_token":
      return OAuth.refreshTokenGrantRequest(server, client, authenticate, Redacted.value(grant.refreshToken), {
        ...options,
        additionalParameters: parameters
      })
    case "extension": {
      const { grantType, parameters: own } = grant
      return OAuth.genericTokenEndpointRequest(
        server,
        client,
        authenticate,
        grantType,
        { ...parameters, ...own },
        options
      )
    }
  }
}

const unsent = (error: SecretError) => new RequestFailed({ error, delivery: "unsent" })

/**
 * Whether there is no token endpoint at the URL any more. A timeout does not count: fetching the metadata again would double the
 * time of each attempt on a slow server.
 */
const isGone = ({ failure, response }: ExchangeRecord): boolean =>
  failure?.isUnsent === true || (response !== undefined && [404, 405, 410].includes(response.status))

/** Whether the server rejected a request because its proof lacks the nonce that the server demands (RFC 9449, 8). */
const isNonceChallenge = ({ answer: { json }, response }: ExchangeRecord): boolean =>
  (response?.status === 400 || response?.status === 401) && Predicate.hasProperty(json, "error") &&
  json.error === "use_dpop_nonce"

/** What all requests of one call have in common. */
interface RequestTarget {
  readonly url: string
  readonly endpoint: URL
  readonly key: DpopKey | undefined
}

/** What one request exchanged with the server. */
interface Sent {
  readonly record: ExchangeRecord
  /** The code of the OAuth library's error. */
  readonly code: string | undefined
  /** Whether the response has a nonce for the next request. */
  readonly hasNonce: boolean
}

/** Sends one request, with a newly signed client assertion and proof. Keeps the nonce of the response. */
const sendOnce = Effect.fnUntraced(function*(
  client: TokenClient,
  grant: GrantRequest,
  { endpoint, key, url }: RequestTarget
): Effect.fn.Return<Sent, RequestFailed> {
  const { auth, options: { clientId, issuer, maxBytes, requestTimeout } } = client
  const record: ExchangeRecord = { response: undefined, failure: undefined, answer: { json: undefined } }
  const fetch = yield* oauthFetch({ maxBytes, timeout: requestTimeout }, record)
  const authenticate = yield* Effect.mapError(auth.prepare({ audience: issuer ?? url }), unsent)
  const proof = key === undefined
    ? undefined
    : yield* Effect.mapError(key.proof({ method: "POST", url: endpoint }), unsent)
  const server: OAuth.AuthorizationServer = { issuer: issuer ?? url, token_endpoint: endpoint.href }
  const request = Effect.tryPromise({
    try: (signal) =>
      send(grant, server, { client_id: clientId }, authenticate, parametersOf(client), {
        signal,
        [OAuth.customFetch]: fetch,
        // `checkEndpoint` allows plain http to this machine and to `insecureHosts` only.
        [OAuth.allowInsecureRequests]: endpoint.protocol === "http:",
        ...(proof === undefined ? undefined : { headers: { dpop: Redacted.value(proof) } })
      }),
    catch: libraryCode
  })
  const code = yield* Effect.match(request, { onFailure: (code) => code, onSuccess: () => undefined })
  const hasNonce = key?.keepNonce("authorizationServer", endpoint, record.response?.headers["dpop-nonce"]) === true
  return { record, code, hasNonce }
})

/**
 * Sends a token request. It does not retry, but for one request with the nonce that the server demands: a server that demands a
 * nonce has not used the grant.
 *
 * @see RFC 6749, 4.4 and 6; RFC 9449, 5 and 8
 */
export const tokenRequest = Effect.fnUntraced(function*(
  client: TokenClient,
  grant: GrantRequest
): Effect.fn.Return<GrantedTokens, RequestFailed> {
  const { endpoint, options } = client
  const clock = yield* Clock.Clock
  const key = yield* CurrentDpopKey
  const url = yield* Effect.mapError(endpoint.url, unsent)
  const checked = yield* Effect.fromResult(
    Result.mapError(checkEndpoint(url, options), (reason) => unsent(refused(reason, url)))
  )
  const target = { url, endpoint: checked, key }
  const first = yield* sendOnce(client, grant, target)
  const { code, record } = first.hasNonce && isNonceChallenge(first.record)
    ? yield* sendOnce(client, grant, target)
    : first
  if (isGone(record)) endpoint.onGone()
  return yield* Effect.fromResult(readAnswer(record, {
    code,
    now: clock.currentTimeMillisUnsafe(),
    // Errors name the endpoint by origin and path only.
    endpoint: `${checked.origin}${checked.pathname}`,
    fatal: client.fatal,
    tokenTypes: options.tokenTypes,
    hasProof: key !== undefined
  }))
})
