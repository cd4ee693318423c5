import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { TokenResponse } from "../../TokenSource.ts"
import type { ExchangeLimits, ReceivedResponse } from "../oauth/exchange.ts"
import { answerOrigin, isBusy, membersOf, type Platform, send, textMember, textOf } from "./metadataRequest.ts"
import { invalidToken, unavailable, usableJwt, type WorkloadIdentityError } from "./workloadToken.ts"

const platform: Platform = { title: "the Google Cloud metadata server", isTransient: isBusy }

/** The metadata server, and the service account whose tokens it issues. */
export interface Server {
  /** The origin of the metadata server. */
  readonly endpoint: URL
  readonly serviceAccount: string
  readonly limits: ExchangeLimits
}

/**
 * Asks the metadata server. It sends the header that it demands of requests, so that a response without it comes from another
 * service at its address.
 *
 * @see https://cloud.google.com/compute/docs/metadata/querying-metadata
 */
const ask = (
  { endpoint, limits, serviceAccount }: Server,
  what: "identity" | "token",
  parameters: Readonly<Record<string, string>>
): Effect.Effect<{ readonly response: ReceivedResponse; readonly url: URL }, WorkloadIdentityError> => {
  const path = (account: string) => `/computeMetadata/v1/instance/service-accounts/${account}/${what}`
  const url = new URL(path("-"), endpoint)
  const target = new URL(path(serviceAccount), endpoint)
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value)
  const request = HttpClientRequest.get(target.href, { headers: { "metadata-flavor": "Google" } })
  return Effect.flatMap(
    send({ platform, url, request, limits }),
    (response) =>
      response.headers["metadata-flavor"] === "Google"
        ? Effect.succeed({ response, url })
        : Effect.fail(
          unavailable("The response is not from the Google Cloud metadata server: it has no Metadata-Flavor header", {
            reason: "flavor",
            ...answerOrigin({ platform, url }).details
          })
        )
  )
}

/**
 * Asks for an identity token of the service account.
 *
 * @see https://cloud.google.com/compute/docs/instances/verifying-instance-identity
 */
export const identityToken = (
  server: Server,
  { audience, format }: { readonly audience: string; readonly format: string }
): Effect.Effect<TokenResponse, WorkloadIdentityError> =>
  Effect.flatMap(ask(server, "identity", { audience, format }), ({ response, url }) => {
    const origin = answerOrigin({ platform, url })
    return usableJwt(textOf(response, origin), audience, origin)
  })

/**
 * Asks for an access token of the service account. The metadata server keeps a token until 5 minutes before it expires, and
 * `expires_in` is what is left of it.
 *
 * @see https://cloud.google.com/compute/docs/access/authenticate-workloads
 */
export const accessToken = (
  server: Server,
  scopes: ReadonlyArray<string>
): Effect.Effect<TokenResponse, WorkloadIdentityError> =>
  Effect.flatMap(
    ask(server, "token", scopes.length === 0 ? {} : { scopes: scopes.join(",") }),
    ({ response, url }) => {
      const origin = answerOrigin({ platform, url })
      return Effect.fromResult(Result.gen(function*() {
        const json = yield* membersOf(response, origin)
        const token = yield* textMember(json, "access_token", origin)
        const seconds = json["expires_in"]
        if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) {
          return yield* Result.fail(invalidToken(origin, "malformed", "has no valid expires_in"))
        }
        return {
          accessToken: Redacted.make(token, { label: "accessToken" }),
          expiresIn: Duration.seconds(seconds)
        }
      }))
    }
  )
