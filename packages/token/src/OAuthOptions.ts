/**
 * Options of a client of an authorization server: checked data from code, a file or the environment.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { SigningAlgorithm } from "./ClientAuth.ts"
import type * as RequestOptions from "./internal/oauth/requestOptions.ts"
import { hasUrl, isEndpointUrl, isIssuerUrl, RequestOptions as Requests } from "./internal/oauth/requestOptions.ts"
import { signingAlgorithms } from "./internal/oauth/signingAlgorithms.ts"

/** Options of a client, its authentication included. All but `clientId` may be left out. */
export interface Options extends RequestOptions.Options {
  /**
   * How the client authenticates: `client_secret_basic`, `client_secret_post` or `private_key_jwt` (OpenID Connect Core 1.0,
   * 9). Default client_secret_basic.
   */
  readonly authMethod?: "client_secret_basic" | "client_secret_post" | "private_key_jwt" | undefined
  /** The client's secret, for `client_secret_basic` and `client_secret_post`. From 1 to 4096 characters. Default none. */
  readonly clientSecret?: Redacted.Redacted | undefined
  /** The client's private key, for `private_key_jwt`: PEM (PKCS #8) or a JWK. From 1 to 16384 characters. Default none. */
  readonly privateKey?: Redacted.Redacted | undefined
  /** The signature algorithm of the private key. Without it, that of the JWK. Default none. */
  readonly privateKeyAlgorithm?: SigningAlgorithm | undefined
  /** The key id that the server knows the key by. Without it, that of the JWK. From 1 to 256 characters. Default none. */
  readonly privateKeyId?: string | undefined
}

const secret = (label: string, maximum: number) => Schema.RedactedFromValue(Field.text(1, maximum), { label })

const Fields = Schema.Struct({
  ...Requests.fields,
  authMethod: Field.defaulted(
    Schema.Literals(["client_secret_basic", "client_secret_post", "private_key_jwt"]),
    "client_secret_basic"
  ),
  clientSecret: Schema.optionalKey(secret("clientSecret", 4096)),
  privateKey: Schema.optionalKey(secret("privateKey", 16_384)),
  privateKeyAlgorithm: Schema.optionalKey(Schema.Literals(signingAlgorithms)),
  privateKeyId: Schema.optionalKey(Field.text(1, 256))
})
type Auth = Pick<typeof Fields.Type, "authMethod" | "clientSecret" | "privateKey">

const hasSecret = Schema.makeFilter((o: Auth) =>
  (o.authMethod === "private_key_jwt") === (o.clientSecret === undefined) ||
  { path: ["clientSecret"], issue: `${o.clientSecret === undefined ? "given" : "left out"} for ${o.authMethod}` }
)
const hasKey = Schema.makeFilter((o: Auth) =>
  (o.authMethod === "private_key_jwt") === (o.privateKey !== undefined) ||
  { path: ["privateKey"], issue: `${o.privateKey === undefined ? "given" : "left out"} for ${o.authMethod}` }
)

/** Checked options of a client. */
export const OAuthOptions = Fields.check(hasUrl, isIssuerUrl, isEndpointUrl, hasSecret, hasKey)
export type OAuthOptions = typeof OAuthOptions.Type

const fromCode = Decoders.maker<Options, typeof OAuthOptions>(OAuthOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A private key)
 *
 * ```ts import.meta.vitest
 * import { OAuthOptions } from "@keelson/token"
 * import { Redacted } from "effect"
 *
 * const options = OAuthOptions.make({
 *   issuer: "https://idp.example",
 *   clientId: "app",
 *   authMethod: "private_key_jwt",
 *   privateKey: Redacted.make("the PEM from a vault"),
 *   privateKeyAlgorithm: "ES256"
 * })
 *
 * options.discovery // => "oidc"
 * ```
 */
export const make: (options: Options) => OAuthOptions = fromCode
