/**
 * Options of protected APIs: where they accept tokens, whether tokens have to be bound to a key, and what challenges contain.
 *
 * @see RFC 6750, 2 and 3; RFC 9449; RFC 8705, 3; RFC 9728, 5.1
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Schema from "effect/Schema"
import * as BindingOptions from "./BindingOptions.ts"
import { optionChecks } from "./internal/dpop/optionChecks.ts"
import { cyclicScope, type ImpliedScopes } from "./internal/http/scopeHierarchy.ts"
import { ScopeText } from "./internal/http/scopeSchema.ts"

/** The options of a cookie that contains a token. */
export interface CookieOptions {
  /**
   * The cookie's name. Other hosts of the domain cannot set a cookie whose name begins with `__Host-`. From 1 to 128
   * characters, without spaces and separators. Required.
   */
  readonly name: string
  /**
   * The origins whose pages may send the cookie with a method other than `GET`, `HEAD`, `OPTIONS` or `QUERY`, or to open a
   * WebSocket. From 1 to 64 origins. Required.
   */
  readonly origins: ReadonlyArray<string>
}

/** The options of a protected API. Every one may be left out. */
export interface Options extends BindingOptions.Options {
  /** The realm in challenges (RFC 9110, 11.5). From 1 to 256 characters of ASCII. Default api. */
  readonly realm?: string | undefined
  /**
   * The URL of the API's protected resource metadata, which challenges name (RFC 9728, 5.1). Without it, challenges name the URL of
   * `ProtectedResource.layer`, if that is provided. Default none.
   */
  readonly resourceMetadata?: string | undefined
  /**
   * Scopes that the challenge to a caller without a valid token names (RFC 6750, 3), so that the caller knows what to request.
   * They are not checked. Without them, it names the scopes of `ProtectedResource.layer`, if that is provided.
   * From 0 to 64 scopes. Default none.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /**
   * For each scope the narrower ones that it implies, directly or through others: `{ admin: ["write"], write: ["read"] }`. All
   * checks of scopes accept a broader scope. No scope may imply itself. At most 256 scopes, each with 1 to 64 others. Default none.
   */
  readonly implies?: { readonly [scope: string]: ReadonlyArray<string> | undefined } | undefined
  /**
   * A header other than `Authorization` that may contain the token, without a scheme, such as `Cf-Access-Jwt-Assertion`
   * (Cloudflare Access) or `X-Goog-IAP-JWT-Assertion` (Google). Only for proxies that remove the header from the requests of
   * clients. `HttpSecurity.layerRedaction` must list the header. Without spaces and separators. From 1 to 128 characters.
   * Default none.
   */
  readonly header?: string | undefined
  /**
   * A query parameter that may contain the token of a `GET` request (RFC 6750, 2.3). Only for clients that cannot set headers:
   * URLs end up in histories, logs and `Referer`. `HttpSecurity.layerRedaction` must list the parameter. From 1 to 128
   * characters, without spaces and separators. Default none.
   */
  readonly queryParameter?: string | undefined
  /** A cookie that may contain the token. Default none. */
  readonly cookie?: CookieOptions | undefined
}

const matching = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

/** The name of a cookie, header or parameter: RFC 9110, 5.6.2. */
const name = /^[!#$%&'*+.^_`|~\w-]{1,128}$/

const nameText = () => matching(name, "text from 1 to 128 characters, without spaces and separators")

const expectedHeader = "the name of a header other than Authorization and Cookie, from 1 to 128 characters"

/** In lower case, as servers have the names of headers. */
const headerName = Schema.String.check(
  Schema.makeFilter(
    (text: string) => name.test(text) && !["authorization", "cookie"].includes(text.toLowerCase()),
    { expected: expectedHeader }
  )
)

const parsed = (text: string): URL | undefined => URL.canParse(text) ? new URL(text) : undefined

/** An origin in the form that browsers send: RFC 6454, 6.2. */
const origin = Schema.String.check(
  Schema.makeFilter((text: string) => /^https?:/.test(text) && parsed(text)?.origin === text, {
    expected: "an origin, as https://app.example"
  })
)

/** A list of scopes. */
const scopeList = (minimum: number) =>
  Schema.Array(ScopeText).check(
    Schema.isMinLength(minimum, { expected: `a list of ${minimum} to 64 scopes` }),
    Schema.isMaxLength(64, { expected: `a list of ${minimum} to 64 scopes` })
  )

const isHierarchy = Schema.makeFilter((implies: ImpliedScopes) => {
  if (Object.keys(implies).length > 256) return { path: [], issue: "an object with at most 256 scopes" }
  const scope = cyclicScope(implies)
  return scope === undefined || { path: [scope], issue: "scopes that do not imply this scope again" }
})

/** Scopes that imply others. */
const Hierarchy = Schema.Record(ScopeText, scopeList(1)).check(isHierarchy)

/** Checked options of a cookie. */
export const Cookie = Schema.Struct({
  name: nameText(),
  origins: Schema.Array(origin).check(
    Schema.isMinLength(1, { expected: "a list of 1 to 64 origins" }),
    Schema.isMaxLength(64, { expected: "a list of 1 to 64 origins" })
  )
})
export type Cookie = typeof Cookie.Type

/** Checked options of a protected API. */
export const HttpSecurityOptions = Schema.Struct({
  realm: Field.defaulted(matching(/^[\x20-\x7e]{1,256}$/, "text from 1 to 256 characters of ASCII"), "api"),
  resourceMetadata: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((text: string) => parsed(text)?.protocol === "https:" && /^[\x21-\x7e]{1,2048}$/.test(text), {
        expected: "an https URL"
      })
    )
  ),
  scopes: Schema.optionalKey(scopeList(0)),
  implies: Schema.optionalKey(Hierarchy),
  header: Schema.optionalKey(headerName),
  queryParameter: Schema.optionalKey(nameText()),
  cookie: Schema.optionalKey(Cookie),
  ...BindingOptions.BindingOptions.fields
}).check(...optionChecks)
export type HttpSecurityOptions = typeof HttpSecurityOptions.Type

const fromCode = Decoders.maker<Options, typeof HttpSecurityOptions>(HttpSecurityOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A realm)
 *
 * ```ts import.meta.vitest
 * import { HttpSecurityOptions } from "@keelson/token"
 *
 * const options = HttpSecurityOptions.make({ realm: "billing" })
 * options.cookie // => undefined
 * ```
 */
export const make: (options?: Options) => HttpSecurityOptions = fromCode
