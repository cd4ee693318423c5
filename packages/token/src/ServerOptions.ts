/**
 * A server with its token, as a configuration has it: where it is, how tokens for it are acquired, and when they are refreshed.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as GuardOptions from "./GuardOptions.ts"
import * as OAuthOptions from "./OAuthOptions.ts"

/** A server's name, which is the label `server` of its metrics. */
export const ServerName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_.-]{1,64}$/, { expected: "1 to 64 of A-Z, a-z, 0-9, _, . and -" })
)

/** The fields of a server. */
export const fields = {
  /** Where it is: its token goes there and below, and nowhere else. From 1 to 2048 characters. Required. */
  url: Field.text(1, 2048),
  /** Where its token may go besides: origins, or URLs that have what is below their path. Default none. */
  origins: Field.defaulted(Schema.Array(Schema.NonEmptyString), []),
  /** How tokens are acquired, see the options of an OAuth client. Required. */
  client: OAuthOptions.OAuthOptions.annotate({ title: "OAuthOptions" }),
  ...Struct.omit(GuardOptions.fields, ["origins"])
}

interface Places {
  readonly url: string
  readonly origins: ReadonlyArray<string>
  readonly allowLocalhost: boolean
}

/** All URLs of a server can be scopes. */
export const areScopes = Schema.makeFilter(({ allowLocalhost, origins, url }: Places) =>
  GuardOptions.scopeIssue([
    [["url"], url],
    ...origins.map((origin, index) => [["origins", index], origin] as const)
  ], { allowLocalhost }) ?? true
)

/** Checked options of one server. */
export const ServerOptions = Schema.Struct(fields).check(areScopes)
export type ServerOptions = typeof ServerOptions.Type

/** Those of several, by name. */
export const Servers = Schema.Record(ServerName, ServerOptions)
export type Servers = typeof Servers.Type

/** What `make` takes. All but `url` and `client` may be left out. */
export interface Options extends Omit<GuardOptions.Options, "origins"> {
  readonly url: string
  readonly origins?: ReadonlyArray<string> | undefined
  readonly client: OAuthOptions.Options
}

/** Options from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options): ServerOptions => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(ServerOptions)

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<ServerOptions, KeelsonError.ConfigurationError> = Configuration
  .decode(ServerOptions)

/** Options of one server from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<ServerOptions, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(ServerOptions, input)

/** Options of all servers of a section, each under its name. */
export const decodeServers = (input: Configuration.Text): Effect.Effect<Servers, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(Servers, input)

/** Options of one server from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<ServerOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(ServerOptions, path)
