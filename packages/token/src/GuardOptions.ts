/**
 * Options of a guard: where its token may be sent, and how its requests are made. They come from code, a file or the
 * environment, and are checked.
 */
import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Schema from "effect/Schema"
import { scopeIssue } from "./internal/guard/scopeIssue.ts"
import * as RefreshPolicy from "./RefreshPolicy.ts"

/** Options that all guards share, whatever they call. Every one may be left out. */
export interface RequestOptions {
  /**
   * Whether origins may use http on this machine: `localhost` and loopback addresses. `LocalDevelopment` changes the
   * default. Default false.
   */
  readonly allowLocalhost?: boolean | undefined
  /**
   * How many redirects are followed; with 0 the caller gets the redirect response. To another origin a request is sent
   * without credentials, and only as GET or HEAD. From 0 to 10. Default 3.
   */
  readonly maxRedirects?: number | undefined
  /**
   * Whether tokens are bound to a key of the guard (DPoP, RFC 9449). `required`: token requests ask for a bound token, and
   * a token that is not bound is an error. `preferred`: it is sent as a Bearer token. Default off.
   */
  readonly dpop?: "off" | "preferred" | "required" | undefined
  /** When tokens are refreshed; see the options of a refresh policy. Default none. */
  readonly policy?: RefreshPolicy.Options | undefined
  /** Retries, breaker and time limits of token requests. None of them without options. Default none. */
  readonly acquisition?: ResiliencePolicy.Options | undefined
  /** Retries, breaker and time limits of requests to the origins. None of them without options. Default none. */
  readonly resilience?: ResiliencePolicy.Options | undefined
}

/** Options of a guard. All except `origins` are optional. */
export interface Options extends RequestOptions {
  /**
   * Where the token may be sent: origins, or URLs that also cover everything below their path. The guard attaches the token to
   * no other request, and to no redirect to another URL. A request with only a path goes to the first origin. From 1 to 100
   * URLs. Required.
   */
  readonly origins: ReadonlyArray<string>
}

const expectedOrigins = "a list of 1 to 100 URLs"

/** Whether all origins can be scopes. */
export const areScopes = Schema.makeFilter(
  ({ allowLocalhost, origins }: { readonly origins: ReadonlyArray<string>; readonly allowLocalhost: boolean }) =>
    scopeIssue(origins.map((origin, index) => [["origins", index], origin]), { allowLocalhost }) ?? true
)

/** Checked options of a guard. */
export const GuardOptions = Schema.Struct({
  origins: Schema.Array(Schema.NonEmptyString).check(
    Schema.isMinLength(1, { expected: expectedOrigins }),
    Schema.isMaxLength(100, { expected: expectedOrigins })
  ),
  allowLocalhost: Field.allowLocalhost(),
  maxRedirects: Field.defaulted(Field.int(0, 10), 3),
  dpop: Field.defaulted(Schema.Literals(["off", "preferred", "required"]), "off"),
  policy: Schema.optionalKey(RefreshPolicy.RefreshPolicy),
  acquisition: Schema.optionalKey(ResiliencePolicy.ResiliencePolicy),
  resilience: Schema.optionalKey(ResiliencePolicy.ResiliencePolicy)
}).check(areScopes)
export type GuardOptions = typeof GuardOptions.Type

const fromCode = Decoders.maker<Options, typeof GuardOptions>(GuardOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Default options)
 *
 * ```ts import.meta.vitest
 * import { GuardOptions } from "@keelson/token"
 *
 * const options = GuardOptions.make({ origins: ["https://billing.example/v1"] })
 *
 * options.maxRedirects // => 3
 * ```
 */
export const make: (options: Options) => GuardOptions = fromCode
