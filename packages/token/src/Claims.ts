/**
 * Claims of tokens: the registered ones, those of the two profiles, and schemas to build one's own on.
 *
 * A claims schema of one's own takes the fields of a profile and adds to them:
 * `Schema.Struct({ ...Claims.accessTokenFields, tenant: Schema.String })`.
 *
 * @see RFC 7519, 4; RFC 9068, 2.2; OpenID Connect Core 1.0, 2
 */
import * as Schema from "effect/Schema"

/** The last second of the year 9999: a later date is a mistake, or milliseconds. */
export const maxNumericDate = 253_402_300_799

/** Seconds since 1970 (RFC 7519, 2): finite, not negative, and before the year 10000. Fractions are allowed. */
export const NumericDate = Schema.Number.check(
  Schema.isBetween({ minimum: 0, maximum: maxNumericDate }, { expected: `seconds from 0 to ${maxNumericDate}` })
)

/** One audience, or a list of them (RFC 7519, 4.1.3). */
export const Audience = Schema.Union([Schema.String, Schema.Array(Schema.String)])

/** The claims that RFC 7519 registers, of which a validated token has `iss`, `aud` and `exp`. */
export const fields = {
  iss: Schema.String,
  sub: Schema.optionalKey(Schema.String),
  aud: Audience,
  exp: NumericDate,
  nbf: Schema.optionalKey(NumericDate),
  iat: Schema.optionalKey(NumericDate),
  jti: Schema.optionalKey(Schema.String)
}

const Strings = Schema.Array(Schema.String)

/** The claims of a JWT access token (RFC 9068, 2.2). */
export const accessTokenFields = {
  ...fields,
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
}

/** The claims of an ID token (OpenID Connect Core 1.0, 2 and 3.1.3.6). */
export const idTokenFields = {
  ...fields,
  sub: Schema.String,
  iat: NumericDate,
  auth_time: Schema.optionalKey(NumericDate),
  nonce: Schema.optionalKey(Schema.String),
  acr: Schema.optionalKey(Schema.String),
  amr: Schema.optionalKey(Strings),
  azp: Schema.optionalKey(Schema.String),
  at_hash: Schema.optionalKey(Schema.String)
}

/** A JWT with registered claims alone. */
export const Jwt = Schema.Struct(fields)
export type Jwt = typeof Jwt.Type

/** A JWT access token. */
export const AccessToken = Schema.Struct(accessTokenFields)
export type AccessToken = typeof AccessToken.Type

/** An ID token. */
export const IdToken = Schema.Struct(idTokenFields)
export type IdToken = typeof IdToken.Type

/** The claims that Keelson itself looks at, in one form whatever the token's: `aud` is a list, `scopes` are one too. */
export interface Registered {
  readonly iss: string
  readonly sub: string | undefined
  readonly aud: ReadonlyArray<string>
  /** Seconds since 1970, as `nbf` and `iat`. */
  readonly exp: number
  readonly nbf: number | undefined
  readonly iat: number | undefined
  readonly jti: string | undefined
  readonly sid: string | undefined
  readonly client_id: string | undefined
  /** As in the token, or joined by spaces where the issuer wrote a list. */
  readonly scope: string | undefined
  /** The same apart: from `scope` (RFC 6749, 3.3), else from `scp`, which some issuers write instead. */
  readonly scopes: ReadonlyArray<string>
}
