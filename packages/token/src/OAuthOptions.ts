/**
 * Options of a client of an authorization server: checked data from code, a file or the environment.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Method, SigningAlgorithm, Thumbprint } from "./ClientAuth.ts"
import type * as RequestOptions from "./internal/oauth/requestOptions.ts"
import { hasUrl, isEndpointUrl, isIssuerUrl, RequestOptions as Requests } from "./internal/oauth/requestOptions.ts"
import { signingAlgorithms } from "./internal/oauth/signingAlgorithms.ts"

/** Options of a client, its authentication included. All but `clientId` may be left out. */
export interface Options extends RequestOptions.Options {
  /**
   * How the client authenticates (OpenID Connect Core 1.0, 9; RFC 8705, 2): `client_secret_basic`, `client_secret_post`,
   * `client_secret_jwt`, `private_key_jwt`, `tls_client_auth` (also for self-signed certificates), `none` for a public client, or
   * `client_assertion` for an assertion that another party signed (RFC 7521, 4.2). Default client_secret_basic.
   */
  readonly authMethod?: Method | undefined
  /** The client's secret, for the methods `client_secret_*`. From 1 to 4096 characters. Default none. */
  readonly clientSecret?: Redacted.Redacted | undefined
  /**
   * The client's private key, for `private_key_jwt`: PEM (PKCS #8, PKCS #1, SEC 1, encrypted; line breaks may be written as `\n`)
   * or a JWK. From 1 to 16384 characters. Default none.
   */
  readonly privateKey?: Redacted.Redacted | undefined
  /** The passphrase of an encrypted private key. From 1 to 1024 characters. Default none. */
  readonly privateKeyPassphrase?: Redacted.Redacted | undefined
  /** The signature algorithm of the private key. Without it, that of the JWK. Default none. */
  readonly privateKeyAlgorithm?: SigningAlgorithm | undefined
  /** The key id that the server knows the key by. Without it, that of the JWK. From 1 to 256 characters. Default none. */
  readonly privateKeyId?: string | undefined
  /**
   * The certificate of the private key in PEM, for servers that know the key by its thumbprint, such as Microsoft Entra ID. From 1
   * to 65536 characters. Default none.
   */
  readonly certificate?: string | undefined
  /** Which thumbprint of the certificate an assertion's header contains: of SHA-256, or of SHA-1. Default x5t#S256. */
  readonly certificateThumbprint?: Thumbprint | undefined
  /**
   * The `aud` of assertions, for servers that require another than the issuer, such as the URL of their token endpoint. From 1 to
   * 2048 characters. Default none.
   */
  readonly assertionAudience?: string | undefined
  /**
   * The `typ` of assertions of a private key, such as `client-authentication+jwt`. Without it: `JWT` with a certificate. From 1 to
   * 100 characters. Default none.
   */
  readonly assertionTyp?: string | undefined
  /**
   * The file with the assertion of another party, for `client_assertion`. It is read for each request, with the `FileSystem` of the
   * context. From 1 to 4096 characters. Default none.
   */
  readonly clientAssertionFile?: string | undefined
}

const secret = (label: string, maximum: number) => Schema.RedactedFromValue(Field.text(1, maximum), { label })

const Fields = Schema.Struct({
  ...Requests.fields,
  authMethod: Field.defaulted(
    Schema.Literals([
      "client_secret_basic",
      "client_secret_post",
      "client_secret_jwt",
      "private_key_jwt",
      "client_assertion",
      "tls_client_auth",
      "none"
    ]),
    "client_secret_basic"
  ),
  clientSecret: Schema.optionalKey(secret("clientSecret", 4096)),
  privateKey: Schema.optionalKey(secret("privateKey", 16_384)),
  privateKeyPassphrase: Schema.optionalKey(secret("privateKeyPassphrase", 1024)),
  privateKeyAlgorithm: Schema.optionalKey(Schema.Literals(signingAlgorithms)),
  privateKeyId: Schema.optionalKey(Field.text(1, 256)),
  certificate: Schema.optionalKey(Field.text(1, 65_536)),
  certificateThumbprint: Field.defaulted(Schema.Literals(["x5t", "x5t#S256"]), "x5t#S256"),
  assertionAudience: Schema.optionalKey(Field.text(1, 2048)),
  assertionTyp: Schema.optionalKey(Field.text(1, 100)),
  clientAssertionFile: Schema.optionalKey(Field.text(1, 4096))
})

/** The option that each method authenticates with. */
const credentials: Record<Method, "clientAssertionFile" | "clientSecret" | "privateKey" | undefined> = {
  client_secret_basic: "clientSecret",
  client_secret_post: "clientSecret",
  client_secret_jwt: "clientSecret",
  private_key_jwt: "privateKey",
  client_assertion: "clientAssertionFile",
  tls_client_auth: undefined,
  none: undefined
}

/** Whether an option is given exactly if the method authenticates with it. */
const isForMethod = (name: "clientAssertionFile" | "clientSecret" | "privateKey") =>
  Schema.makeFilter((o: Pick<typeof Fields.Type, "authMethod" | typeof name>) =>
    (credentials[o.authMethod] === name) === (o[name] !== undefined) ||
    { path: [name], issue: `${o[name] === undefined ? "given" : "left out"} for ${o.authMethod}` }
  )

/** Checked options of a client. */
export const OAuthOptions = Fields.check(
  hasUrl,
  isIssuerUrl,
  isEndpointUrl,
  isForMethod("clientSecret"),
  isForMethod("privateKey"),
  isForMethod("clientAssertionFile")
)
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
