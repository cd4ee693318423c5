/**
 * Options of token introspection: checked data from code, a file or the environment.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as EgressOptions from "@keelson/jwks/EgressOptions"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { checkEndpoint, isIssuer } from "./internal/oauth/endpoints.ts"

/** Options of introspection requests and of their answers. All but `clientId`, and one of `issuer` and `endpoint`, may be left out. */
export interface Options {
  /**
   * The issuer of the tokens, which has to be one of the policy's. Its metadata name the endpoint. An answer with another `iss` is
   * rejected; an answer without `iss` gets this one, and is rejected if there is none here. Compared character by character. From
   * 1 to 2048 characters. Default none.
   */
  readonly issuer?: string | undefined
  /**
   * The URL of the introspection endpoint. Without it, the issuer's metadata name it (`introspection_endpoint`). From 1 to 2048
   * characters. Default none.
   */
  readonly endpoint?: string | undefined
  /**
   * Where the metadata are: `oidc` (OpenID Connect Discovery 1.0, 4) or `oauth2` (RFC 8414, 3). Has no effect with an `endpoint`.
   * Default oidc.
   */
  readonly discovery?: "oidc" | "oauth2" | undefined
  /** The id of the client that asks: the API itself, as a client of its authorization server. From 1 to 1024 characters. Required. */
  readonly clientId: string
  /**
   * The audience of answers that name none, for servers that leave it out. It has to be one of the policy's. Set it only if the
   * server answers this client about tokens for this API alone: otherwise tokens for other APIs are accepted too. Without it such
   * answers are rejected. From 1 to 2048 characters. Default none.
   */
  readonly defaultAudience?: string | undefined
  /**
   * Whether an answer must have a `token_type` (`Bearer` or `DPoP`). Servers introspect refresh tokens as well, whose answers have
   * none. If left out, it is required in answers that get the `defaultAudience`. Default none.
   */
  readonly requireTokenType?: boolean | undefined
  /**
   * How long an active answer is used, counted from its request, and never past `exp`: a revoked token is accepted for so long.
   * With zero each use of a token is a request. From 0 millis to 1 minute. Default 1 minute.
   */
  readonly activeLifetime?: Field.DurationInput | undefined
  /** How long an inactive or rejected answer is used, counted from its request. From 0 millis to 10 seconds. Default 10 seconds. */
  readonly inactiveLifetime?: Field.DurationInput | undefined
  /**
   * How many tokens that were not active before may be asked about in a second, on average. More of them get a 503, so that a
   * flood of invented tokens is not passed on to the authorization server. From 1 to 100000. Default 100.
   */
  readonly newTokensPerSecond?: number | undefined
  /** How many such tokens may be asked about at once, after a time with few. From 1 to 1000000. Default 500. */
  readonly newTokensBurst?: number | undefined
  /** Time limit of one request, the response body included. From 100 millis to 1 minute. Default 5 seconds. */
  readonly requestTimeout?: Field.DurationInput | undefined
  /** Upper bound of a response body after decompression, in bytes. From 1024 to 1048576. Default 65536. */
  readonly maxBytes?: number | undefined
  /** Whether requests may use http to a server on this machine. `LocalDevelopment` changes the default. Default false. */
  readonly allowLocalhost?: boolean | undefined
  /**
   * Hosts whose metadata and endpoint may be requested over http, for a network without TLS, as between containers. Each entry is
   * one host, without its subdomains, and not a public address. Tokens and secrets are sent to it in plain text. The hosts are
   * logged with the first request. Default none.
   */
  readonly insecureHosts?: ReadonlyArray<string> | undefined
}

const Fields = Schema.Struct({
  issuer: Schema.optionalKey(Field.text(1, 2048)),
  endpoint: Schema.optionalKey(Field.text(1, 2048)),
  discovery: Field.defaulted(Schema.Literals(["oidc", "oauth2"]), "oidc"),
  clientId: Field.text(1, 1024),
  defaultAudience: Schema.optionalKey(Field.text(1, 2048)),
  requireTokenType: Schema.optionalKey(Schema.Boolean),
  activeLifetime: Field.defaulted(Field.duration("0 millis", "1 minute"), Duration.minutes(1)),
  inactiveLifetime: Field.defaulted(Field.duration("0 millis", "10 seconds"), Duration.seconds(10)),
  newTokensPerSecond: Field.defaulted(Field.int(1, 100_000), 100),
  newTokensBurst: Field.defaulted(Field.int(1, 1_000_000), 500),
  requestTimeout: Field.defaulted(Field.duration("100 millis", "1 minute"), Duration.seconds(5)),
  maxBytes: Field.defaulted(Field.int(1_024, 1_048_576), 65_536),
  allowLocalhost: Field.allowLocalhost(),
  insecureHosts: Field.defaulted(Schema.Array(EgressOptions.InsecureHost), [])
})
type Urls = Pick<typeof Fields.Type, "allowLocalhost" | "endpoint" | "insecureHosts" | "issuer">

const insecure = `${SafeUrl.localHint}, or for a host in insecureHosts`

/** Checked options. */
export const IntrospectionOptions = Fields.check(
  Schema.makeFilter((o: Urls) =>
    o.issuer !== undefined || o.endpoint !== undefined ||
    { path: ["issuer"], issue: "given where there is no endpoint" }
  ),
  Schema.makeFilter((o: Urls) =>
    o.issuer === undefined || o.endpoint !== undefined || isIssuer(o.issuer, o) ||
    { path: ["issuer"], issue: `an https URL without user, query and fragment; ${insecure}` }
  ),
  Schema.makeFilter((o: Urls) =>
    o.endpoint === undefined || Result.isSuccess(checkEndpoint(o.endpoint, o)) ||
    { path: ["endpoint"], issue: `an https URL without user and fragment; ${insecure}` }
  )
)
export type IntrospectionOptions = typeof IntrospectionOptions.Type

const fromCode = Decoders.maker<Options, typeof IntrospectionOptions>(IntrospectionOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (An endpoint from the metadata of an issuer)
 *
 * ```ts import.meta.vitest
 * import { IntrospectionOptions } from "@keelson/token"
 *
 * const options = IntrospectionOptions.make({ issuer: "https://idp.example", clientId: "api" })
 * options.newTokensPerSecond // => 100
 * ```
 */
export const make: (options: Options) => IntrospectionOptions = fromCode
