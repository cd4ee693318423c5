/**
 * How an API takes tokens, and what it says of itself: checked data from code, a file or the environment.
 *
 * @see RFC 6750, 2 and 3; RFC 9728, 5.1
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const matching = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

/** A name of a cookie or parameter: RFC 9110, 5.6.2. */
const nameText = () =>
  matching(/^[!#$%&'*+.^_`|~\w-]{1,128}$/, "text from 1 to 128 characters, without spaces and separators")

const parsed = (text: string): URL | undefined => URL.canParse(text) ? new URL(text) : undefined

/** An origin as browsers write it: RFC 6454, 6.2. */
const origin = Schema.String.check(
  Schema.makeFilter((text: string) => /^https?:/.test(text) && parsed(text)?.origin === text, {
    expected: "an origin, as https://app.example"
  })
)

/** The cookie that has a token. */
export const Cookie = Schema.Struct({
  /**
   * Its name. One that begins with `__Host-` can't be set by other hosts of the domain. From 1 to 128 characters, without
   * spaces and separators. Required.
   */
  name: nameText(),
  /**
   * The origins whose pages may send it with requests that are not `GET`, `HEAD` or `OPTIONS`, or that open a WebSocket.
   * From 1 to 64 origins. Required.
   */
  origins: Schema.Array(origin).check(
    Schema.isMinLength(1, { expected: "a list of 1 to 64 origins" }),
    Schema.isMaxLength(64, { expected: "a list of 1 to 64 origins" })
  )
})
export type Cookie = typeof Cookie.Type

/** Fields of the options. */
export const fields = {
  /** What challenges call the API (RFC 9110, 11.5). From 1 to 256 characters of ASCII. Default api. */
  realm: Field.defaulted(matching(/^[\x20-\x7e]{1,256}$/, "text from 1 to 256 characters of ASCII"), "api"),
  /** Where the API's metadata are, which challenges then name (RFC 9728, 5.1). Default none. */
  resourceMetadata: Schema.optionalKey(
    Schema.String.check(
      Schema.makeFilter((text: string) => parsed(text)?.protocol === "https:" && /^[\x21-\x7e]{1,2048}$/.test(text), {
        expected: "an https URL"
      })
    )
  ),
  /**
   * The parameter of the URL that may have a token too, with `GET` (RFC 6750, 2.3). URLs end in histories, logs and
   * `Referer`: it is for where no header can be set. `HttpSecurity.layerRedaction` has to know its name. From 1 to 128
   * characters, without spaces and separators. Default none.
   */
  queryParameter: Schema.optionalKey(nameText()),
  /** The cookie that may have a token too, and who may send it. Default none. */
  cookie: Schema.optionalKey(Cookie)
}

/** Checked options. */
export const HttpSecurityOptions = Schema.Struct(fields)
export type HttpSecurityOptions = typeof HttpSecurityOptions.Type

/** What `HttpSecurity` takes, unchecked. */
export type Options = { readonly [K in keyof HttpSecurityOptions]?: HttpSecurityOptions[K] | undefined }

/** Options from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options = {}): HttpSecurityOptions => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(HttpSecurityOptions)

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<HttpSecurityOptions, KeelsonError.ConfigurationError> =
  Configuration.decode(HttpSecurityOptions)

/** Options from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (
  input: Configuration.Text
): Effect.Effect<HttpSecurityOptions, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(HttpSecurityOptions, input)

/** Options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<HttpSecurityOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(HttpSecurityOptions, path)
