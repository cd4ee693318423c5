import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as OAuth from "oauth4webapi"
import type { ClientAuth } from "../../ClientAuth.ts"
import type { RequestOptions } from "../../OAuthOptions.ts"
import { checkEndpoint } from "./endpoints.ts"
import { type Endpoint, refused } from "./metadata.ts"
import { oauthFetch, type Seen } from "./oauthFetch.ts"
import { type Granted, readToken } from "./readToken.ts"
import { refusalOf, RequestFailed } from "./refusal.ts"

/** What is asked: the client's own token, or another one for a refresh token. */
export type Grant =
  | { readonly type: "client_credentials" }
  | { readonly type: "refresh_token"; readonly refreshToken: Redacted.Redacted }

/** Whom, and how. */
export interface Requester {
  readonly options: RequestOptions
  readonly auth: ClientAuth
  readonly endpoint: Endpoint
  readonly parameters: Readonly<Record<string, string>>
}

const parametersOf = ({ options: { audience, resource, scope }, parameters }: Requester): Record<string, string> => ({
  ...parameters,
  ...(scope === undefined ? undefined : { scope }),
  ...(audience === undefined ? undefined : { audience }),
  ...(resource === undefined ? undefined : { resource })
})

const call = async (
  grant: Grant,
  server: OAuth.AuthorizationServer,
  client: OAuth.Client,
  authenticate: OAuth.ClientAuth,
  parameters: Record<string, string>,
  options: OAuth.TokenEndpointRequestOptions
): Promise<OAuth.TokenEndpointResponse> => {
  if (grant.type === "client_credentials") {
    const response = await OAuth.clientCredentialsGrantRequest(server, client, authenticate, parameters, options)
    return OAuth.processClientCredentialsResponse(server, client, response)
  }
  const refreshToken = Redacted.value(grant.refreshToken)
  const additionalParameters = parameters
  const response = await OAuth.refreshTokenGrantRequest(server, client, authenticate, refreshToken, {
    ...options,
    additionalParameters
  })
  return OAuth.processRefreshTokenResponse(server, client, response)
}

const unsent = (error: KeelsonError.NetworkError | KeelsonError.ConfigurationError) =>
  new RequestFailed({ error, fate: "unsent" })

/**
 * Whether nothing takes token requests at an address. A server that is slow is still there: looking for it again would make
 * each attempt take twice as long.
 */
const isGone = ({ answer, failure }: Seen): boolean =>
  failure?.isUnsent === true || (answer !== undefined && [404, 405, 410].includes(answer.status))

/**
 * One token request: a client assertion is signed anew for each. Nothing in it is repeated.
 *
 * @see RFC 6749, 4.4 and 6
 */
export const tokenRequest = Effect.fnUntraced(function*(
  requester: Requester,
  grant: Grant
): Effect.fn.Return<Granted, RequestFailed> {
  const { auth, endpoint, options } = requester
  const { clientId, issuer, maxBytes, requestTimeout } = options
  const clock = yield* Clock.Clock
  const url = yield* Effect.mapError(endpoint.url, unsent)
  const target = yield* Effect.fromResult(
    Result.mapError(checkEndpoint(url, options), (reason) => unsent(refused(reason)))
  )
  const shownUrl = `${target.origin}${target.pathname}`
  const seen: Seen = { answer: undefined, failure: undefined, json: undefined }
  const fetch = yield* oauthFetch({ maxBytes, timeout: requestTimeout }, seen)
  const authenticate = yield* Effect.mapError(auth.prepare({ audience: issuer ?? url }), unsent)
  const server: OAuth.AuthorizationServer = { issuer: issuer ?? url, token_endpoint: target.href }
  return yield* Effect.tryPromise({
    try: (signal) =>
      call(grant, server, { client_id: clientId }, authenticate, parametersOf(requester), {
        signal,
        [OAuth.customFetch]: fetch,
        // Only http to this machine passes `checkEndpoint`.
        [OAuth.allowInsecureRequests]: target.protocol === "http:"
      }),
    catch: (cause) => refusalOf(cause, seen, clock.currentTimeMillisUnsafe(), shownUrl)
  }).pipe(
    Effect.tapError(() =>
      Effect.sync(() => {
        if (isGone(seen)) endpoint.onGone()
      })
    ),
    Effect.flatMap((token) =>
      Effect.mapError(
        readToken(token, seen.json ?? {}, shownUrl),
        (error) => new RequestFailed({ error, fate: "unknown" })
      )
    )
  )
})
