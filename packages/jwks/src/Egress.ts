/**
 * Fetches key material under rules that prevent requests to internal hosts. The application's `HttpClient` is never used.
 *
 * `NodeEgress` checks the address that it connects to. `FetchEgress` runs on any web platform, which does not show that address.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** The rules of one provider. They can narrow the rules of the service, never widen them. Each may be left out. */
export interface Rules {
  /** Hosts that requests may be sent to, each with all its subdomains. Default: those of the service. */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /**
   * Base64 SHA-256 digests of public keys (SPKI, RFC 7469, 2.4), one of which must be in the verified certificate chain of
   * the server. `FetchEgress` refuses a request with pins. Default none.
   */
  readonly pins?: ReadonlyArray<string> | undefined
  /** Upper bound of a response body after decompression, in bytes. Default: that of the service. */
  readonly maxBytes?: number | undefined
  /** How many redirects are followed. Default: that of the service. */
  readonly maxRedirects?: number | undefined
}

/** A GET request. */
export interface EgressRequest {
  /** The URL. Required. */
  readonly url: string | URL
  /**
   * Headers, sent again after each redirect. Only `accept`, `accept-language`, `cache-control`, `pragma`, `user-agent`,
   * `if-modified-since` and `if-none-match` are allowed. Default none.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Rules that narrow those of the service. Default none. */
  readonly rules?: Rules | undefined
}

/** A complete response with its body. It may have any status. */
export interface EgressResponse {
  readonly status: number
  /** Names in lower case; values of the same name joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The URL that responded, after redirects. */
  readonly url: URL
}

/**
 * Which rule refused a request: the `reason` in the details of `EGRESS_REFUSED`. The details also have `hop`, which is 0 for
 * the request and n for the n-th redirect.
 *
 * - `url`: malformed. `scheme`: not https, or a redirect from https to http. `credentials`: a user or password in the URL.
 * - `host`: not in `allowedHosts`. `address`: a private or otherwise special address that is not allowed.
 * - `redirect`: too many redirects, a loop, or a target that is malformed or hidden.
 * - `header`: not allowed, since it may contain credentials. `pin`: no certificate has a pinned key, or it cannot be checked.
 */
export type RefusalReason = "url" | "scheme" | "credentials" | "host" | "address" | "redirect" | "header" | "pin"

/**
 * Fetches key material under rules.
 *
 * **Example** (A URL that the rules refuse)
 *
 * ```ts import.meta.vitest
 * import { Egress, FetchEgress } from "@keelson/jwks"
 * import { Effect } from "effect"
 *
 * const refused = Egress.Egress.pipe(
 *   Effect.flatMap((egress) => egress.check("https://169.254.169.254/jwks")),
 *   Effect.provide(FetchEgress.layer({ unverifiedAddresses: true }))
 * )
 * const error = await Effect.runPromise(Effect.flip(refused))
 * error.code // => "EGRESS_REFUSED"
 * error.details["reason"] // => "address"
 * ```
 */
export class Egress extends Context.Service<Egress, {
  /**
   * Checks a URL without sending a request: its scheme, its host, and its address if the host is an address.
   *
   * Fails with `NetworkError` (`EGRESS_REFUSED`); its details name the `reason`.
   */
  readonly check: (url: string | URL, rules?: Rules) => Effect.Effect<URL, KeelsonError.NetworkError>
  /**
   * Sends a GET, checks each redirect, and stops reading a body that exceeds the limit. It has no time limit: set one by
   * interrupting it, which closes the connection.
   *
   * Fails with `NetworkError`: `EGRESS_REFUSED`, `RESPONSE_TOO_LARGE`, `NETWORK_ERROR` (name resolution and connection),
   * `TLS_FAILED`.
   */
  readonly get: (request: EgressRequest) => Effect.Effect<EgressResponse, KeelsonError.NetworkError>
}>()("@keelson/jwks/Egress") {}
