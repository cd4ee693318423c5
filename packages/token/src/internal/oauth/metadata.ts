import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Discovery from "@keelson/jwks/Discovery"
import type * as Egress from "@keelson/jwks/Egress"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { UsesMutualTls } from "../mtls/certificateUse.ts"
import { checkEndpoint } from "./endpoints.ts"
import { exchange } from "./exchange.ts"
import type { RequestOptions } from "./requestOptions.ts"

/** The options of requests to an endpoint: its URL, or the issuer whose metadata name it. */
export interface EndpointOptions extends
  Pick<
    RequestOptions,
    "allowLocalhost" | "discovery" | "insecureHosts" | "issuer" | "maxBytes" | "requestTimeout"
  >
{
  readonly url?: string | undefined
}

/** An endpoint of the authorization server of one client. */
export interface TokenEndpoint {
  /**
   * Fails with `NetworkError`: `DISCOVERY_INVALID`, `EGRESS_REFUSED`, or the codes of a failed request; with
   * `ConfigurationError` for http to this machine without `LocalDevelopment`.
   */
  readonly url: Effect.Effect<string, KeelsonError.NetworkError | KeelsonError.ConfigurationError>
  /** Expires the metadata, after no server was found at the endpoint that they name. */
  readonly onGone: () => void
}

/** `reason` names the part of the URL that is not allowed. */
export const refused = (reason: string, url?: string | URL): KeelsonError.NetworkError => {
  const host = URL.parse(String(url))?.hostname
  return new KeelsonError.NetworkError({
    code: "EGRESS_REFUSED",
    ...(reason === "scheme" && host !== undefined
      ? {
        message: `The URL's scheme is not https: to request ${host} over http, name it in insecureHosts, or set ` +
          "allowLocalhost if it is this machine"
      }
      : undefined),
    details: { reason }
  })
}

/** Logs the hosts that receive secrets without TLS, once for each client. */
const warnOnce = ({ insecureHosts }: EndpointOptions): Effect.Effect<void> => {
  let isDue = insecureHosts.length > 0
  return Effect.suspend(() => {
    if (!isDue) return Effect.void
    isDue = false
    return Effect.logWarning(`Tokens may be requested over http, without TLS, from: ${insecureHosts.join(", ")}`)
  })
}

/** Fetches metadata with the client of token requests. Allows any host, since the operator or the issuer named it. */
const metadataEgress = ({ maxBytes, requestTimeout, ...options }: EndpointOptions): Egress.Egress["Service"] => {
  const check = (url: string | URL) =>
    Effect.fromResult(Result.mapError(checkEndpoint(String(url), options), (reason) => refused(reason, url)))
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
            Effect.map((response) => ({ ...response, url: checked })),
            Effect.mapError(({ error }) => error)
          )
      )
  }
}

/** The endpoint for mutual TLS; without one, clients with a certificate use the other one (RFC 8705, 5). */
export const mutualTlsEndpoint = <A>(
  document: Readonly<Record<string, unknown>>,
  name: Discovery.Endpoint,
  endpoint: A
): A | string => {
  const aliases = document["mtls_endpoint_aliases"]
  return Predicate.hasProperty(aliases, name) && typeof aliases[name] === "string" ? aliases[name] : endpoint
}

/** The token endpoint of the options; see `makeEndpoint`. */
export const makeTokenEndpoint = (options: RequestOptions): TokenEndpoint =>
  makeEndpoint({ ...options, url: options.tokenEndpoint }, "token_endpoint")

/** The endpoint of the options, or else that of the issuer's metadata, which are cached as long as their response allows. */
export const makeEndpoint = (options: EndpointOptions, endpoint: Discovery.Endpoint): TokenEndpoint => {
  const { discovery: kind, issuer, url } = options
  if (url !== undefined || issuer === undefined) {
    return { url: Effect.as(warnOnce(options), url ?? ""), onGone: () => {} }
  }
  const discovery = Discovery.make({
    issuer,
    kind,
    endpoint,
    egress: metadataEgress(options),
    rules: {},
    ttl: Duration.hours(1),
    minTtl: Duration.minutes(1),
    maxTtl: Duration.hours(24)
  })
  return {
    url: Effect.andThen(
      warnOnce(options),
      Effect.zipWith(
        discovery.metadata,
        UsesMutualTls,
        (metadata, isMutual) =>
          isMutual ? mutualTlsEndpoint(metadata.document, endpoint, metadata.endpoint) : metadata.endpoint
      )
    ),
    onGone: discovery.expire
  }
}
