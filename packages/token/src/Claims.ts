/**
 * Schemas for the claims of tokens: access tokens, ID tokens, and any other JWT.
 *
 * Extend one of them for your own claims: `Schema.Struct({ ...Claims.AccessToken.fields, tenant: Schema.String })`.
 *
 * @see RFC 7519, 4; RFC 9068, 2.2; OpenID Connect Core 1.0, 2
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { maxNumericDate } from "./internal/validation/numericDate.ts"

/** Seconds since 1970 (RFC 7519, 2): finite, not negative, and before the year 10000. Fractions are allowed. */
export const NumericDate = Schema.Number.check(
  Schema.isBetween({ minimum: 0, maximum: maxNumericDate }, { expected: `seconds from 0 to ${maxNumericDate}` })
)

/** One audience, or an array of audiences (RFC 7519, 4.1.3). */
export const Audience = Schema.Union([Schema.String, Schema.Array(Schema.String)])

/**
 * The claims that RFC 7519 registers. A validated token always has `iss`, `aud` and `exp`.
 *
 * **Example** (Adding your own claims)
 *
 * ```ts import.meta.vitest
 * import { Claims } from "@keelson/token"
 * import { Schema } from "effect"
 *
 * const MyClaims = Schema.Struct({ ...Claims.Jwt.fields, tenant: Schema.String })
 *
 * const claims = { iss: "https://idp.example", aud: "api", exp: 2000000000, tenant: "acme" }
 * Schema.decodeUnknownSync(MyClaims)(claims).tenant // => "acme"
 * ```
 */
export const Jwt = Schema.Struct({
  iss: Schema.String,
  sub: Schema.optionalKey(Schema.String),
  aud: Audience,
  exp: NumericDate,
  nbf: Schema.optionalKey(NumericDate),
  iat: Schema.optionalKey(NumericDate),
  jti: Schema.optionalKey(Schema.String)
})
export type Jwt = typeof Jwt.Type

/**
 * A list of texts. Many issuers send one group, role or method as text instead of a list: it decodes to a list of one.
 *
 * **Example** (One role)
 *
 * ```ts import.meta.vitest
 * import { Claims } from "@keelson/token"
 * import { Schema } from "effect"
 *
 * const MyClaims = Schema.Struct({ ...Claims.Jwt.fields, roles: Claims.Strings })
 *
 * const claims = { iss: "https://idp.example", aud: "api", exp: 2000000000, roles: "admin" }
 * Schema.decodeUnknownSync(MyClaims)(claims).roles // => ["admin"]
 * ```
 */
export const Strings = Schema.Union([Schema.String, Schema.Array(Schema.String)]).pipe(
  Schema.decodeTo(
    Schema.Array(Schema.String),
    SchemaTransformation.transform({
      decode: (value: string | ReadonlyArray<string>): ReadonlyArray<string> =>
        typeof value === "string" ? [value] : value,
      encode: (list): string | ReadonlyArray<string> => list
    })
  )
)

/** The claims of a JWT access token (RFC 9068, 2.2). */
export const AccessToken = Schema.Struct({
  ...Jwt.fields,
  sub: Schema.String,
  iat: NumericDate,
  jti: Schema.String,
  client_id: Schema.String,
  scope: Schema.optionalKey(Schema.String),
  auth_time: Schema.optionalKey(NumericDate),
  acr: Schema.optionalKey(Schema.String),
  amr: Schema.optionalKey(Strings),
  groups: Schema.optionalKey(Strings),
  roles: Schema.optionalKey(Strings),
  entitlements: Schema.optionalKey(Strings)
})
export type AccessToken = typeof AccessToken.Type

/** The claims of an ID token (OpenID Connect Core 1.0, 2, 3.1.3.6 and 3.3.2.11). */
export const IdToken = Schema.Struct({
  ...Jwt.fields,
  sub: Schema.String,
  iat: NumericDate,
  auth_time: Schema.optionalKey(NumericDate),
  nonce: Schema.optionalKey(Schema.String),
  acr: Schema.optionalKey(Schema.String),
  amr: Schema.optionalKey(Strings),
  azp: Schema.optionalKey(Schema.String),
  at_hash: Schema.optionalKey(Schema.String),
  c_hash: Schema.optionalKey(Schema.String)
})
export type IdToken = typeof IdToken.Type

/** The claims of an introspected token (RFC 7662, 2.2). Servers leave out most of them. */
export const Introspected = Schema.Struct({
  ...Jwt.fields,
  client_id: Schema.optionalKey(Schema.String),
  username: Schema.optionalKey(Schema.String),
  scope: Schema.optionalKey(Schema.String),
  token_type: Schema.optionalKey(Schema.String)
})
export type Introspected = typeof Introspected.Type

/**
 * The key that a token is bound to (RFC 7800, 3.1): a caller has to prove that it has this key. Both members are `undefined` for
 * a claim that names its key in another way, and a member that is not text is empty text, which no key has.
 */
export interface Confirmation {
  /** The thumbprint of a DPoP key (RFC 9449, 6.1). */
  readonly jkt: string | undefined
  /** The SHA-256 thumbprint of a client certificate (RFC 8705, 3.1). */
  readonly "x5t#S256": string | undefined
}

/** The claims that Keelson itself reads, in the same form for all tokens: `aud` and `scopes` are arrays. */
export interface Registered {
  readonly iss: string
  readonly sub: string | undefined
  readonly aud: ReadonlyArray<string>
  /** In seconds since 1970, as are `nbf` and `iat`. */
  readonly exp: number
  readonly nbf: number | undefined
  readonly iat: number | undefined
  readonly jti: string | undefined
  readonly sid: string | undefined
  readonly client_id: string | undefined
  /** The key that the token is bound to, if any (RFC 7800). `HttpSecurity` checks it, a validator alone does not. */
  readonly cnf: Confirmation | undefined
  /** As in the token, or joined with spaces where the token has an array. */
  readonly scope: string | undefined
  /** The scopes of `scope` (RFC 6749, 3.3), or of `scp`, which some issuers use instead. */
  readonly scopes: ReadonlyArray<string>
}
