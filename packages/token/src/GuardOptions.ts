/**
 * Where a guard's token may go, and how its requests are made: checked data from code, a file or the environment.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as Field from "@keelson/core/unstable/Field"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as RefreshPolicy from "./RefreshPolicy.ts"
import * as UrlScope from "./UrlScope.ts"

const expectedOrigins = "a list of 1 to 100 URLs"

/** The fields of a guard's options. */
export const fields = {
  /**
   * Where the token may go: origins, or URLs that have what is below their path. It is attached nowhere else, on no
   * redirect either. What a request gives as a path alone is below the first. From 1 to 100 URLs. Required.
   */
  origins: Schema.Array(Schema.NonEmptyString).check(
    Schema.isMinLength(1, { expected: expectedOrigins }),
    Schema.isMaxLength(100, { expected: expectedOrigins })
  ),
  /** Whether origins may be http on this machine: `localhost` and loopback addresses. Default false. */
  allowLocalhost: Field.defaulted(Schema.Boolean, false),
  /**
   * The most redirects that are followed; with none their answers are the caller's. To another origin a request goes
   * without credentials, and only as GET or HEAD. From 0 to 10. Default 3.
   */
  maxRedirects: Field.defaulted(Field.int(0, 10), 3),
  /** When tokens are refreshed, see the options of a refresh policy. Default none. */
  policy: Schema.optionalKey(RefreshPolicy.RefreshPolicy),
  /** What stands between the provider and the authorization server: no retry and no breaker unless they are given. Default none. */
  acquisition: Schema.optionalKey(ResiliencePolicy.ResiliencePolicy),
  /** What stands between callers and the origins: no retry, breaker or time limit unless they are given. Default none. */
  resilience: Schema.optionalKey(ResiliencePolicy.ResiliencePolicy)
}

/** What is wrong with an origin. */
const said: Record<UrlScope.Reason, string> = {
  url: "a URL with scheme and host",
  scheme: "an https URL; http is for this machine only, with allowLocalhost",
  credentials: "a URL without user name and password",
  host: "a URL whose host has no empty label",
  query: "a URL without query and fragment",
  path: "a URL whose path can be read in one way only"
}

/** What is wrong with URLs that are to be scopes, each with its path: the first that is none, and what it has to be. */
export const scopeIssue = (
  urls: ReadonlyArray<readonly [path: ReadonlyArray<string | number>, url: string]>,
  options: UrlScope.Options
): { readonly path: ReadonlyArray<string | number>; readonly issue: string } | undefined => {
  for (const [path, url] of urls) {
    const parsed = UrlScope.parse(url, options)
    if (Result.isFailure(parsed)) return { path, issue: said[parsed.failure] }
  }
  return undefined
}

const areScopes = Schema.makeFilter(
  ({ allowLocalhost, origins }: { readonly origins: ReadonlyArray<string>; readonly allowLocalhost: boolean }) =>
    scopeIssue(origins.map((origin, index) => [["origins", index], origin]), { allowLocalhost }) ?? true
)

/** Checked options. */
export const GuardOptions = Schema.Struct(fields).check(areScopes)
export type GuardOptions = typeof GuardOptions.Type

/** What `make` takes. All but `origins` may be left out. */
export interface Options {
  readonly origins: ReadonlyArray<string>
  readonly allowLocalhost?: boolean | undefined
  readonly maxRedirects?: number | undefined
  readonly policy?: RefreshPolicy.Options | undefined
  readonly acquisition?: ResiliencePolicy.Options | undefined
  readonly resilience?: ResiliencePolicy.Options | undefined
}

/** Options from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options): GuardOptions => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(GuardOptions)

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<GuardOptions, KeelsonError.ConfigurationError> = Configuration
  .decode(GuardOptions)

/** Options from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<GuardOptions, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(GuardOptions, input)

/** Options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<GuardOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(GuardOptions, path)
