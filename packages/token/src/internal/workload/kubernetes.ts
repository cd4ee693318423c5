import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { TokenResponse } from "../../TokenSource.ts"
import type { ExchangeLimits } from "../oauth/exchange.ts"
import { answerOrigin, isBusy, membersOf, type Platform, send, textMember } from "./metadataRequest.ts"
import { fileOrigin } from "./tokenFile.ts"
import { invalidToken, usableJwt, type WorkloadIdentityError, type WorkloadJwt } from "./workloadToken.ts"

const platform: Platform = { title: "the Kubernetes API server", isTransient: isBusy }

/** The token that a pod has for the API server. */
export const podTokenPath = "/var/run/secrets/kubernetes.io/serviceaccount/token"

/** Names of Kubernetes objects (RFC 1123), so that a token's subject cannot change the path of the request. */
const subjectForm = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/

export interface TokenRequest {
  /** The origin of the API server. */
  readonly server: URL
  /** The pod's own token. */
  readonly own: Effect.Effect<WorkloadJwt, KeelsonError.AuthenticationError>
  readonly path: string
  readonly audience: string
  readonly lifetime: Duration.Duration
  readonly limits: ExchangeLimits
}

/**
 * Asks the API server for a token of the pod's service account with another audience (TokenRequest API). The account needs the
 * permission `create` for `serviceaccounts/token`.
 *
 * @see https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
 */
export const requestToken = Effect.fnUntraced(function*(
  { audience, lifetime, limits, own, path, server }: TokenRequest
): Effect.fn.Return<TokenResponse, WorkloadIdentityError> {
  const { subject, value } = yield* own
  const [, namespace, name] = subjectForm.exec(subject ?? "") ?? []
  if (namespace === undefined || name === undefined) {
    return yield* Effect.fail(invalidToken(fileOrigin(path), "malformed", "holds no token of a service account"))
  }
  const target = new URL(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, server)
  const url = new URL("/api/v1/namespaces/-/serviceaccounts/-/token", server)
  const request = HttpClientRequest.post(target.href, {
    headers: { accept: "application/json", authorization: `Bearer ${Redacted.value(value)}` }
  }).pipe(
    HttpClientRequest.bodyText(
      JSON.stringify({
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences: [audience], expirationSeconds: Math.round(Duration.toSeconds(lifetime)) }
      }),
      "application/json"
    )
  )
  const response = yield* send({ platform, url, request, limits })
  const origin = answerOrigin({ platform, url })
  const token = Result.flatMap(
    membersOf(response, origin),
    ({ status }) => textMember(Predicate.isObject(status) ? { ...status } : {}, "token", origin)
  )
  return yield* usableJwt(token, audience, origin)
})
