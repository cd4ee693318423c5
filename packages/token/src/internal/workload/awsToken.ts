import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Result from "effect/Result"
import type { TokenResponse } from "../../TokenSource.ts"
import type { ExchangeLimits } from "../oauth/exchange.ts"
import { type AwsCredentials, formType, signedHeaders } from "./awsSignature.ts"
import { answerOrigin, isBusy, type Platform, send } from "./metadataRequest.ts"
import { invalidToken, usableJwt, type WorkloadIdentityError } from "./workloadToken.ts"

const platform: Platform = { title: "AWS STS", isTransient: isBusy }

/** A token of AWS for a server outside of AWS. */
export interface OutboundToken {
  /** The regional endpoint of STS: the global one does not have the operation. */
  readonly endpoint: URL
  readonly region: string
  readonly credentials: Effect.Effect<AwsCredentials, WorkloadIdentityError>
  readonly audience: string
  readonly signingAlgorithm: string
  readonly lifetime: Duration.Duration
  readonly limits: ExchangeLimits
}

/**
 * Asks STS for a JWT of the caller's role (outbound identity federation).
 *
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
 */
export const outboundToken = Effect.fnUntraced(function*(
  { audience, credentials, endpoint, lifetime, limits, region, signingAlgorithm }: OutboundToken
): Effect.fn.Return<TokenResponse, WorkloadIdentityError> {
  const own = yield* credentials
  const now = yield* Clock.currentTimeMillis
  const body = new URLSearchParams({
    Action: "GetWebIdentityToken",
    Version: "2011-06-15",
    "Audience.member.1": audience,
    DurationSeconds: String(Math.round(Duration.toSeconds(lifetime))),
    SigningAlgorithm: signingAlgorithm
  }).toString()
  const headers = yield* Effect.promise(() =>
    signedHeaders({ url: endpoint, body, region, service: "sts", credentials: own, now })
  )
  const request = HttpClientRequest.post(endpoint.href, { headers }).pipe(HttpClientRequest.bodyText(body, formType))
  const response = yield* send({ platform, url: endpoint, request, limits })
  const origin = answerOrigin({ platform, url: endpoint })
  // A JWT has no character that XML escapes.
  const token = /<WebIdentityToken>([\w.-]+)<\/WebIdentityToken>/.exec(new TextDecoder().decode(response.body))?.[1]
  return token === undefined
    ? yield* Effect.fail(invalidToken(origin, "malformed", "has no WebIdentityToken"))
    : yield* usableJwt(Result.succeed(token), audience, origin)
})
