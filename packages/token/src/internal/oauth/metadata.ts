import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Discovery from "@keelson/jwks/Discovery"
import type * as Egress from "@keelson/jwks/Egress"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Result from "effect/Result"
import type { RequestOptions } from "../../OAuthOptions.ts"
import { checkEndpoint } from "./endpoints.ts"
import { exchange } from "./exchange.ts"

/** Where the token endpoint is, for one client. */
export interface Endpoint {
  /** Fails with `NetworkError`: `DISCOVERY_INVALID`, `EGRESS_REFUSED`, or as the request does. */
  readonly url: Effect.Effect<string, KeelsonError.NetworkError>
  /** The server is not where the metadata say: they are fetched anew. */
  readonly onGone: () => void
}

/** `reason` is the part of the URL that is not allowed. */
export const refused = (reason: string) =>
  new KeelsonError.NetworkError({ code: "EGRESS_REFUSED", details: { reason } })

/** What fetches metadata: the client of token requests. The hosts are the operator's, and those that the issuer names. */
const egressOf = ({ maxBytes, requestTimeout, ...options }: RequestOptions): Egress.Egress["Service"] => {
  const check = (url: string | URL) => Effect.fromResult(Result.mapError(checkEndpoint(String(url), options), refused))
  return {
    check,
    get: ({ headers, url }) =>
      Effect.flatMap(
        check(url),
        (checked) =>
          exchange(HttpClientRequest.get(checked.href, { headers: { ...headers } }), {
            maxBytes,
            timeout: requestTimeout
          }).pipe(
            Effect.map((answer) => ({ ...answer, url: checked })),
            Effect.mapError(({ error }) => error)
          )
      )
  }
}

/** The endpoint given, else that of the issuer's metadata, which are kept as long as their response says. */
export const endpointOf = (options: RequestOptions): Endpoint => {
  const { discovery: kind, issuer, tokenEndpoint } = options
  if (tokenEndpoint !== undefined || issuer === undefined) {
    return { url: Effect.succeed(tokenEndpoint ?? ""), onGone: () => {} }
  }
  const discovery = Discovery.make({
    issuer,
    kind,
    endpoint: "token_endpoint",
    egress: egressOf(options),
    rules: {},
    ttl: Duration.hours(1),
    minTtl: Duration.minutes(1),
    maxTtl: Duration.hours(24)
  })
  return { url: Effect.map(discovery.metadata, ({ endpoint }) => endpoint), onGone: discovery.expire }
}
