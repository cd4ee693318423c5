/**
 * How tokens are asked of an authorization server: checked data from code, a file or the environment.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { checkEndpoint, isIssuer } from "./internal/oauth/endpoints.ts"

const secret = (label: string, maximum: number) => Schema.RedactedFromValue(Field.text(1, maximum), { label })

/** The fields about the server and what is asked of it. */
export const requestFields = {
  /**
   * The issuer, in whose metadata the token endpoint is looked up, character by character; also the audience of client
   * assertions. Needed where there is no `tokenEndpoint`. From 1 to 2048 characters. Default none.
   */
  issuer: Schema.optionalKey(Field.text(1, 2048)),
  /**
   * The URL of the token endpoint. Without it, that of the issuer's
   * metadata. From 1 to 2048 characters. Default none.
   */
  tokenEndpoint: Schema.optionalKey(Field.text(1, 2048)),
  /**
   * Where the metadata are: `oidc` (OpenID Connect Discovery 1.0, 4) or `oauth2` (RFC 8414, 3). Has no effect with a
   * `tokenEndpoint`. Default oidc.
   */
  discovery: Field.defaulted(Schema.Literals(["oidc", "oauth2"]), "oidc"),
  /** The client's id. From 1 to 1024 characters. Required. */
  clientId: Field.text(1, 1024),
  /** What is asked for, space-separated (RFC 6749, 3.3). From 1 to 4096 characters. Default none. */
  scope: Schema.optionalKey(Field.text(1, 4096)),
  /** The API that the token is for, as some servers want it. From 1 to 2048 characters. Default none. */
  audience: Schema.optionalKey(Field.text(1, 2048)),
  /** The API that the token is for (RFC 8707). From 1 to 2048 characters. Default none. */
  resource: Schema.optionalKey(Field.text(1, 2048)),
  /** How long one request may take, its body included. From 100 millis to 5 minutes. Default 30 seconds. */
  requestTimeout: Field.defaulted(Field.duration("100 millis", "5 minutes"), Duration.seconds(30)),
  /** The most bytes of a response, decompressed. From 1024 to 1048576. Default 65536. */
  maxBytes: Field.defaulted(Field.int(1_024, 1_048_576), 65_536),
  /** Whether a server on this machine may be asked by http. Default false. */
  allowLocalhost: Field.defaulted(Schema.Boolean, false)
}

/** The fields about how the client proves who it is, where that is data. */
export const authFields = {
  /** `client_secret_basic`, `client_secret_post` or `private_key_jwt` (OpenID Connect Core 1.0, 9). Default client_secret_basic. */
  authMethod: Field.defaulted(
    Schema.Literals(["client_secret_basic", "client_secret_post", "private_key_jwt"]),
    "client_secret_basic"
  ),
  /** The client's secret, for the first two. From 1 to 4096 characters. Default none. */
  clientSecret: Schema.optionalKey(secret("clientSecret", 4096)),
  /** The client's private key, for the third: PEM (PKCS #8) or a JWK. From 1 to 16384 characters. Default none. */
  privateKey: Schema.optionalKey(secret("privateKey", 16_384)),
  /** The algorithm that it signs with. Without it, that of the JWK. Default none. */
  privateKeyAlgorithm: Schema.optionalKey(
    Schema.Literals(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"])
  ),
  /** The id under which the server knows the key. Without it, that of the JWK. From 1 to 256 characters. Default none. */
  privateKeyId: Schema.optionalKey(Field.text(1, 256))
}

const Requests = Schema.Struct(requestFields)
const All = Schema.Struct({ ...requestFields, ...authFields })
type Places = Pick<typeof Requests.Type, "allowLocalhost" | "issuer" | "tokenEndpoint">

const hasPlace = Schema.makeFilter((o: Places) =>
  o.issuer !== undefined || o.tokenEndpoint !== undefined ||
  { path: ["issuer"], issue: "given where there is no tokenEndpoint" }
)
const isIssuerUrl = Schema.makeFilter((o: Places) =>
  o.issuer === undefined || o.tokenEndpoint !== undefined || isIssuer(o.issuer, o) ||
  { path: ["issuer"], issue: "an https URL without user, query and fragment" }
)
const isEndpointUrl = Schema.makeFilter((o: Places) =>
  o.tokenEndpoint === undefined || Result.isSuccess(checkEndpoint(o.tokenEndpoint, o)) ||
  { path: ["tokenEndpoint"], issue: "an https URL without user and fragment" }
)
type Auth = Pick<typeof All.Type, keyof typeof authFields>

const hasSecret = Schema.makeFilter((o: Auth) =>
  (o.authMethod === "private_key_jwt") === (o.clientSecret === undefined) ||
  { path: ["clientSecret"], issue: `${o.clientSecret === undefined ? "given" : "left out"} for ${o.authMethod}` }
)
const hasKey = Schema.makeFilter((o: Auth) =>
  (o.authMethod === "private_key_jwt") === (o.privateKey !== undefined) ||
  { path: ["privateKey"], issue: `${o.privateKey === undefined ? "given" : "left out"} for ${o.authMethod}` }
)

/** Checked options of a request, without the client's authentication. */
export const RequestOptions = Requests.check(hasPlace, isIssuerUrl, isEndpointUrl)
export type RequestOptions = typeof RequestOptions.Type

/** Checked options of a client, its authentication included. */
export const OAuthOptions = All.check(hasPlace, isIssuerUrl, isEndpointUrl, hasSecret, hasKey)
export type OAuthOptions = typeof OAuthOptions.Type

type Input<A, Required extends keyof A> =
  & { readonly [K in Required]: A[K] }
  & {
    readonly [K in Exclude<keyof A, Required>]?:
      | (Duration.Duration extends A[K] ? Field.DurationInput
        : Redacted.Redacted extends A[K] ? Redacted.Redacted
        : A[K])
      | undefined
  }

/** What `OAuthClient` takes beside the client's authentication. All but `clientId` may be left out. */
export type RequestInput = Input<RequestOptions, "clientId">

/** What `make` takes. All but `clientId` may be left out; durations are `Duration` values or text with a unit. */
export type Options = Input<OAuthOptions, "clientId">

/** Options from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options): OAuthOptions => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(OAuthOptions)

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<OAuthOptions, KeelsonError.ConfigurationError> = Configuration
  .decode(OAuthOptions)

/** Options from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<OAuthOptions, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(OAuthOptions, input)

/** Options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<OAuthOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(OAuthOptions, path)
