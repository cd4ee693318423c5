/**
 * How key material is fetched: a service of Keelson's own, never the application's `HttpClient`.
 *
 * `NodeEgress` checks the address that is connected to; `FetchEgress` runs on any web platform and cannot.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** Rules of one provider. They narrow those of the service, and never widen them. */
export interface Rules {
  /** Hosts that may be asked, each with all hosts below it. Default: those that the service allows. */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /**
   * Base64 SHA-256 digests of public keys (SPKI, RFC 7469, 2.4), one of which has to be in the server's verified chain.
   * `FetchEgress` refuses a request that has any. Default: none.
   */
  readonly pins?: ReadonlyArray<string> | undefined
  /** The most bytes of a body, after decompression. Default: that of the service. */
  readonly maxBytes?: number | undefined
  /** The most redirects that are followed. Default: that of the service. */
  readonly maxRedirects?: number | undefined
}

/** What to fetch. */
export interface EgressRequest {
  readonly url: string | URL
  /**
   * Sent on every hop. Names of `accept`, `accept-language`, `cache-control`, `pragma`, `user-agent`,
   * `if-modified-since` and `if-none-match`, in lower case; any other is refused. Default: none.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly rules?: Rules | undefined
}

/** A response that was read to its end. Any status is an answer. */
export interface EgressResponse {
  readonly status: number
  /** Names in lower case; values of the same name joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Where it came from, after redirects. */
  readonly url: URL
}

/**
 * Which rule refused, as `reason` in the details of `EGRESS_REFUSED`, beside `hop`: 0 for the request, n for the n-th
 * redirect.
 *
 * - `url`: malformed. `scheme`: not https, or from https to http. `credentials`: a user or password in the URL.
 * - `host`: not on the lists. `address`: private or otherwise special, and not allowed.
 * - `redirect`: too many, a loop, or a target that is malformed or hidden.
 * - `header`: one that is not sent, since it may carry credentials. `pin`: no certificate has a pinned key.
 */
export type RefusalReason = "url" | "scheme" | "credentials" | "host" | "address" | "redirect" | "header" | "pin"

/** Fetches key material under rules. */
export class Egress extends Context.Service<Egress, {
  /**
   * Checks a URL by what can be known without a request: scheme, host, and the address where the host is one.
   *
   * Fails with `NetworkError` (`EGRESS_REFUSED`), its details naming the `reason`.
   */
  readonly check: (url: string | URL, rules?: Rules) => Effect.Effect<URL, KeelsonError.NetworkError>
  /**
   * A GET, its redirects checked one by one, its body cut at the limit while it streams. It has no time limit of its own:
   * interrupting it closes the connection.
   *
   * Fails with `NetworkError`: `EGRESS_REFUSED`, `RESPONSE_TOO_LARGE`, `NETWORK_ERROR` (name resolution and connection),
   * `TLS_FAILED`.
   */
  readonly get: (request: EgressRequest) => Effect.Effect<EgressResponse, KeelsonError.NetworkError>
}>()("@keelson/jwks/Egress") {}
