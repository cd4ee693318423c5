/**
 * Options of the policies that check the tokens of callers: checked data from code, a file or the environment.
 */
import * as Field from "@keelson/core/unstable/Field"
import * as HttpSecurityOptions from "@keelson/token/HttpSecurityOptions"
import * as ValidatorOptions from "@keelson/token/ValidatorOptions"
import * as Schema from "effect/Schema"

/**
 * The options of one policy: those of a validator with its keys, and where requests have the token beside `Authorization`. Without
 * `keys` and `jwks`, the key set is the one that the issuer's OpenID Connect metadata name.
 */
export interface AuthOptions extends ValidatorOptions.Options {
  /** The realm in challenges (RFC 9110, 11.5). From 1 to 256 characters of ASCII. Default gateway. */
  readonly realm?: string | undefined
  /** The claim with the roles of the caller; a name with dots is a member of an object. From 1 to 256 characters. Default roles. */
  readonly rolesClaim?: string | undefined
  /**
   * A header other than `Authorization` that may contain the token, without a scheme. Only for proxies that remove the header from
   * the requests of clients. From 1 to 128 characters. Default none.
   */
  readonly header?: string | undefined
  /**
   * A query parameter that may contain the token of a `GET` request (RFC 6750, 2.3). Only for clients that cannot set headers:
   * URLs end up in histories, logs and `Referer`. From 1 to 128 characters. Default none.
   */
  readonly queryParameter?: string | undefined
  /** A cookie that may contain the token. Default none. */
  readonly cookie?: HttpSecurityOptions.CookieOptions | undefined
}

const { cookie, header, queryParameter } = HttpSecurityOptions.HttpSecurityOptions.fields

const Fields = Schema.Struct({
  ...ValidatorOptions.ValidatorOptions.fields,
  realm: Field.defaulted(
    Schema.String.check(
      Schema.isPattern(/^[\x20-\x7e]{1,256}$/, { expected: "text from 1 to 256 characters of ASCII" })
    ),
    "gateway"
  ),
  rolesClaim: Field.defaulted(Field.text(1, 256), "roles"),
  header,
  queryParameter,
  cookie
})

const [first, ...others] = ValidatorOptions.ValidatorOptions.ast.checks ?? []

/** Checked options of a policy, with the checks of a validator. */
export const Auth = first === undefined ? Fields : Fields.check(first, ...others)
export type Auth = typeof Auth.Type
