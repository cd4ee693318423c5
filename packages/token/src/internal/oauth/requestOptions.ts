import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as EgressOptions from "@keelson/jwks/EgressOptions"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { checkEndpoint, isIssuer } from "./endpoints.ts"

/** Options of token requests, without the client's authentication. All but `clientId` may be left out. */
export interface Options {
  /**
   * The issuer, whose metadata name the token endpoint; also the audience of client assertions. Compared character by
   * character. Required without a `tokenEndpoint`. From 1 to 2048 characters. Default none.
   */
  readonly issuer?: string | undefined
  /** The URL of the token endpoint. Without it, the issuer's metadata name it. From 1 to 2048 characters. Default none. */
  readonly tokenEndpoint?: string | undefined
  /**
   * Where the metadata are: `oidc` (OpenID Connect Discovery 1.0, 4) or `oauth2` (RFC 8414, 3). Has no effect with a
   * `tokenEndpoint`. Default oidc.
   */
  readonly discovery?: "oidc" | "oauth2" | undefined
  /** The client's id. From 1 to 1024 characters. Required. */
  readonly clientId: string
  /** The requested scope, space-separated (RFC 6749, 3.3). From 1 to 4096 characters. Default none. */
  readonly scope?: string | undefined
  /** The API that the token is for, as a parameter that some servers require. From 1 to 2048 characters. Default none. */
  readonly audience?: string | undefined
  /** The API that the token is for (RFC 8707). From 1 to 2048 characters. Default none. */
  readonly resource?: string | undefined
  /** Time limit of one request, the response body included. From 100 millis to 5 minutes. Default 30 seconds. */
  readonly requestTimeout?: Field.DurationInput | undefined
  /** Upper bound of a response body after decompression, in bytes. From 1024 to 1048576. Default 65536. */
  readonly maxBytes?: number | undefined
  /**
   * More values of a response's `token_type` that mean `Bearer`, such as eBay's `Application Access Token`, in any case. At most 20,
   * each from 1 to 100 characters. Default none.
   */
  readonly tokenTypes?: ReadonlyArray<string> | undefined
  /** Whether requests may use http to a server on this machine. `LocalDevelopment` changes the default. Default false. */
  readonly allowLocalhost?: boolean | undefined
  /**
   * Hosts whose metadata and token endpoint may be requested over http, for a network without TLS, as between containers.
   * Each entry is one host, without its subdomains, and not a public address. The addresses of a name are not checked: secrets
   * are sent to it in plain text. The hosts are logged with the first request. Default none.
   */
  readonly insecureHosts?: ReadonlyArray<string> | undefined
}

const Fields = Schema.Struct({
  issuer: Schema.optionalKey(Field.text(1, 2048)),
  tokenEndpoint: Schema.optionalKey(Field.text(1, 2048)),
  discovery: Field.defaulted(Schema.Literals(["oidc", "oauth2"]), "oidc"),
  clientId: Field.text(1, 1024),
  scope: Schema.optionalKey(Field.text(1, 4096)),
  audience: Schema.optionalKey(Field.text(1, 2048)),
  resource: Schema.optionalKey(Field.text(1, 2048)),
  requestTimeout: Field.defaulted(Field.duration("100 millis", "5 minutes"), Duration.seconds(30)),
  maxBytes: Field.defaulted(Field.int(1_024, 1_048_576), 65_536),
  tokenTypes: Field.defaulted(
    Schema.Array(Field.text(1, 100)).check(Schema.isMaxLength(20, { expected: "a list of at most 20 texts" })),
    []
  ),
  allowLocalhost: Field.allowLocalhost(),
  insecureHosts: Field.defaulted(Schema.Array(EgressOptions.InsecureHost), [])
})
type Urls = Pick<typeof Fields.Type, "allowLocalhost" | "insecureHosts" | "issuer" | "tokenEndpoint">

const insecure = `${SafeUrl.localHint}, or for a host in insecureHosts`

export const hasUrl = Schema.makeFilter((o: Urls) =>
  o.issuer !== undefined || o.tokenEndpoint !== undefined ||
  { path: ["issuer"], issue: "given where there is no tokenEndpoint" }
)
export const isIssuerUrl = Schema.makeFilter((o: Urls) =>
  o.issuer === undefined || o.tokenEndpoint !== undefined || isIssuer(o.issuer, o) ||
  { path: ["issuer"], issue: `an https URL without user, query and fragment; ${insecure}` }
)
export const isEndpointUrl = Schema.makeFilter((o: Urls) =>
  o.tokenEndpoint === undefined || Result.isSuccess(checkEndpoint(o.tokenEndpoint, o)) ||
  { path: ["tokenEndpoint"], issue: `an https URL without user and fragment; ${insecure}` }
)

/** Checked options of token requests. */
export const RequestOptions = Fields.check(hasUrl, isIssuerUrl, isEndpointUrl)
export type RequestOptions = typeof RequestOptions.Type

/** Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const makeRequestOptions: (options: Options) => RequestOptions = Decoders.maker<Options, typeof RequestOptions>(
  RequestOptions
)
