import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as OAuth from "oauth4webapi"
import type { ClientAuth } from "../../ClientAuth.ts"
import { checkEndpoint } from "./endpoints.ts"
import { refused, type TokenEndpoint } from "./metadata.ts"
import { type ExchangeRecord, oauthFetch } from "./oauthFetch.ts"
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

const unsent = (error: KeelsonError.NetworkError | KeelsonError.ConfigurationError) =>
  new RequestFailed({ error, delivery: "unsent" })

/**
 * Whether there is no token endpoint at the URL any more. A timeout does not count: fetching the metadata again would double the
 * time of each attempt on a slow server.
 */
const isGone = ({ failure, response }: ExchangeRecord): boolean =>
  failure?.isUnsent === true || (response !== undefined && [404, 405, 410].includes(response.status))

/**
 * Sends one token request, with a newly signed client assertion. It never retries.
 *
 * @see RFC 6749, 4.4 and 6
 */
export const tokenRequest = Effect.fnUntraced(function*(
  client: TokenClient,
  grant: GrantRequest
): Effect.fn.Return<GrantedTokens, RequestFailed> {
  const { auth, endpoint, options } = client
  const { clientId, issuer, maxBytes, requestTimeout } = options
  const clock = yield* Clock.Clock
  const url = yield* Effect.mapError(endpoint.url, unsent)
  const target = yield* Effect.fromResult(
    Result.mapError(checkEndpoint(url, options), (reason) => unsent(refused(reason, url)))
  )
  // Errors name the endpoint by origin and path only.
  const endpointName = `${target.origin}${target.pathname}`
  const record: ExchangeRecord = { response: undefined, failure: undefined, answer: { json: undefined } }
  const fetch = yield* oauthFetch({ maxBytes, timeout: requestTimeout }, record)
  const authenticate = yield* Effect.mapError(auth.prepare({ audience: issuer ?? url }), unsent)
  const server: OAuth.AuthorizationServer = { issuer: issuer ?? url, token_endpoint: target.href }
  const request = Effect.tryPromise({
    try: (signal) =>
      send(grant, server, { client_id: clientId }, authenticate, parametersOf(client), {
        signal,
        [OAuth.customFetch]: fetch,
        // `checkEndpoint` allows plain http to this machine and to `insecureHosts` only.
        [OAuth.allowInsecureRequests]: target.protocol === "http:"
      }),
    catch: libraryCode
  })
  const code = yield* Effect.match(request, { onFailure: (code) => code, onSuccess: () => undefined })
  if (isGone(record)) endpoint.onGone()
  return yield* Effect.fromResult(readAnswer(record, {
    code,
    now: clock.currentTimeMillisUnsafe(),
    endpoint: endpointName,
    fatal: client.fatal,
    tokenTypes: options.tokenTypes
  }))
})
