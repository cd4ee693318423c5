/**
 * Options of a server of `TokenGuards`: its URL, how its tokens are acquired, and when they are refreshed. They come from code,
 * a file or the environment, and are checked.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as GuardOptions from "./GuardOptions.ts"
import { areServerScopes } from "./internal/guard/serverScopes.ts"
import * as OAuthOptions from "./OAuthOptions.ts"

/** Options of a server. All except `url` and `client` are optional. */
export interface Options extends GuardOptions.RequestOptions {
  /** The server's URL. The token may be sent to this URL and to all URLs below its path. From 1 to 2048 characters. Required. */
  readonly url: string
  /** More origins or URLs that the token may be sent to, each including all URLs below its path. Default none. */
  readonly origins?: ReadonlyArray<string> | undefined
  /** How tokens are acquired; see `OAuthOptions`. Required. */
  readonly client: OAuthOptions.Options
}

/** Checked options of a server. */
export const ServerOptions = Schema.Struct({
  url: Field.text(1, 2048),
  origins: Field.defaulted(Schema.Array(Schema.NonEmptyString), []),
  client: OAuthOptions.OAuthOptions.annotate({ title: "OAuthOptions" }),
  ...Struct.omit(GuardOptions.GuardOptions.fields, ["origins"])
}).check(areServerScopes)
export type ServerOptions = typeof ServerOptions.Type

const fromCode = Decoders.maker<Options, typeof ServerOptions>(ServerOptions)

/**
 * Checks options given in code. Throws a `ConfigurationError` (`INVALID_CONFIG`) that names the invalid option and its bound.
 *
 * **Example** (A server with a client secret)
 *
 * ```ts import.meta.vitest
 * import { ServerOptions } from "@keelson/token"
 * import { Redacted } from "effect"
 *
 * const options = ServerOptions.make({
 *   url: "https://billing.example",
 *   client: { issuer: "https://idp.example", clientId: "app", clientSecret: Redacted.make("from a vault") }
 * })
 *
 * options.client.authMethod // => "client_secret_basic"
 * ```
 */
export const make: (options: Options) => ServerOptions = fromCode
