import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { TokenResponse } from "../../TokenSource.ts"
import type { ExchangeLimits } from "../oauth/exchange.ts"
import { answerOrigin, isBusy, membersOf, type Platform, send, textMember } from "./metadataRequest.ts"
import { usableJwt, type WorkloadIdentityError } from "./workloadToken.ts"

const platform: Platform = { title: "GitHub Actions", isTransient: isBusy }

/** What a job with the permission `id-token: write` has in its environment, and what to ask for. */
export interface JobToken {
  readonly url: URL
  readonly requestToken: Redacted.Redacted
  readonly audience: string
  readonly limits: ExchangeLimits
}

/**
 * Asks for the OIDC token of a job.
 *
 * @see https://docs.github.com/en/actions/reference/security/oidc
 */
export const jobToken = (
  { audience, limits, requestToken, url }: JobToken
): Effect.Effect<TokenResponse, WorkloadIdentityError> => {
  const target = new URL(url)
  target.searchParams.set("audience", audience)
  const request = HttpClientRequest.get(target.href, {
    headers: { accept: "application/json", authorization: `Bearer ${Redacted.value(requestToken)}` }
  })
  const origin = answerOrigin({ platform, url })
  return Effect.flatMap(send({ platform, url, request, limits }), (response) =>
    usableJwt(
      Result.flatMap(membersOf(response, origin), (json) => textMember(json, "value", origin)),
      audience,
      origin
    ))
}
