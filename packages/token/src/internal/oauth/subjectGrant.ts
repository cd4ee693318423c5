import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Secret } from "../../ClientAuth.ts"
import type { Deviation, Grant, SubjectSource, TokenResponse } from "../../TokenSource.ts"
import type { SecretError } from "./readSecret.ts"
import { readSecret } from "./readSecret.ts"
import { type GrantedTokens, invalidResponse, typeOf } from "./readToken.ts"
import type { RequestFailed } from "./requestFailed.ts"
import { type ExtensionGrant, type TokenClient, tokenRequest } from "./tokenRequest.ts"

export const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
const jwtType = "urn:ietf:params:oauth:token-type:jwt"

/** Errors that concern the client or the server, so that all subjects get them. Any other error concerns one subject. */
const commonErrors: ReadonlySet<unknown> = new Set([
  "invalid_client",
  "unauthorized_client",
  "unsupported_grant_type",
  "server_error",
  "temporarily_unavailable",
  "invalid_dpop_proof",
  "use_dpop_nonce"
])

/**
 * The error of a request for a subject. An OAuth error that concerns the subject alone gets the code `SUBJECT_TOKEN_REJECTED`: it
 * is no evidence that the server is down, so it opens no circuit.
 */
const toSubjectError = ({ delivery, error }: RequestFailed): RequestFailed["error"] => {
  const isRefused = delivery === "refused" || delivery === "spent"
  if (!isRefused || error.code !== "TOKEN_ACQUISITION_FAILED") return error
  const name = error.details["error"]
  return Predicate.isString(name) && !commonErrors.has(name)
    ? new KeelsonError.AuthenticationError({ code: "SUBJECT_TOKEN_REJECTED", details: error.details })
    : error
}

/** The scope and audience of one token replace those of the options. */
export const withGrant = (client: TokenClient, { audience, scope }: Grant): TokenClient => ({
  ...client,
  options: {
    ...client.options,
    ...(scope === undefined ? undefined : { scope }),
    ...(audience === undefined
      ? undefined
      : { [client.options.resource === undefined ? "audience" : "resource"]: audience })
  }
})

type AcquireFor = SubjectSource["acquireFor"]

/** Makes the attempts of a grant that presents the token of a subject. `check` checks the response. */
const makeAcquireFor = (
  client: TokenClient,
  grantOf: (subjectToken: Redacted.Redacted) => Effect.Effect<ExtensionGrant, SecretError>,
  check: (granted: GrantedTokens) => Result.Result<TokenResponse, KeelsonError.AuthenticationError>
): AcquireFor =>
(subjectToken, grant) =>
  Effect.flatMap(grantOf(subjectToken), (request) =>
    tokenRequest(withGrant(client, grant), request).pipe(
      Effect.mapError(toSubjectError),
      // Drops a refresh token, which would outlive the subject's own token.
      Effect.flatMap((granted) => Effect.fromResult(check(granted)))
    ))

/** The types of the tokens of an exchange, and the party that acts for the subject. */
export interface ExchangeTypes {
  readonly subjectTokenType: string
  readonly requestedTokenType?: string | undefined
  readonly actorToken: Secret | undefined
  readonly actorTokenType: string
}

/**
 * Checks the type of the issued token: the requested one, or a type that an API accepts. Some servers leave it out.
 *
 * @see RFC 8693, 2.2.1
 */
const checkIssuedType = (requested: string | undefined) =>
(
  { issuedTokenType: issued, token }: GrantedTokens
): Result.Result<TokenResponse, KeelsonError.AuthenticationError> =>
  Result.flatMap(token, (response) => {
    const expected = requested === undefined ? [accessTokenType, jwtType] : [requested]
    if (expected.some((type) => type === issued)) return Result.succeed(response)
    if (issued === undefined && (requested === undefined || requested === accessTokenType)) {
      const deviation: Deviation = { member: "issued_token_type", received: "nothing" }
      return Result.succeed({ ...response, deviations: [...response.deviations ?? [], deviation] })
    }
    const received = Predicate.isString(issued) ? "another type" : typeOf(issued)
    return Result.fail(invalidResponse("issued_token_type", expected.join(" or "), received, {}))
  })

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

/**
 * Exchanges the token of a subject for another one.
 *
 * @see RFC 8693, 2
 */
export const makeTokenExchange = (
  client: TokenClient,
  { actorToken, actorTokenType, requestedTokenType, subjectTokenType }: ExchangeTypes
): AcquireFor => {
  const actor: Effect.Effect<Readonly<Record<string, string>>, SecretError> = actorToken === undefined ?
    Effect.succeed({}) :
    Effect.map(readSecret(actorToken, "actorToken"), (token) => ({
      actor_token: Redacted.value(token),
      actor_token_type: actorTokenType
    }))
  return makeAcquireFor(
    client,
    (subjectToken) =>
      Effect.map(actor, (ofActor) => ({
        type: "extension",
        grantType: exchangeGrant,
        parameters: {
          subject_token: Redacted.value(subjectToken),
          subject_token_type: subjectTokenType,
          ...(requestedTokenType === undefined ? undefined : { requested_token_type: requestedTokenType }),
          ...ofActor
        }
      })),
    checkIssuedType(requestedTokenType)
  )
}

/**
 * Presents the token of a subject as an authorization grant.
 *
 * @see RFC 7523, 2.1
 */
export const makeJwtBearer = (client: TokenClient): AcquireFor =>
  makeAcquireFor(
    client,
    (subjectToken) =>
      Effect.succeed({
        type: "extension",
        grantType: jwtBearerGrant,
        parameters: { assertion: Redacted.value(subjectToken) }
      }),
    ({ token }) => token
  )
