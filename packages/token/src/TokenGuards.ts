/**
 * The guards of several servers. A guard is found by the server's name or by the URL of a request.
 *
 * Servers are read from configuration, or registered while the program runs. A URL belongs to the server whose URL contains it,
 * by origin and whole path segments; if several do, to the longest.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Struct from "effect/Struct"
import { makeServers, type Server } from "./internal/guard/servers.ts"
import { areServerScopes, ServerName } from "./internal/guard/serverScopes.ts"
import * as OAuthClient from "./OAuthClient.ts"
import * as ServerOptions from "./ServerOptions.ts"
import * as TokenGuard from "./TokenGuard.ts"

export type { Server } from "./internal/guard/servers.ts"

/** Options of `register`. */
export interface Options extends Omit<TokenGuard.Options, "name" | "origins"> {
  /** The server's URL. The token may be sent to this URL and to all URLs below its path. Required. */
  readonly url: string
  /** More origins or URLs that the token may be sent to. Default none. */
  readonly origins?: ReadonlyArray<string> | undefined
}

/** The servers of a configuration, by name. */
export interface Servers {
  readonly [server: string]: ServerOptions.Options
}

const decodeName = Configuration.decode(ServerName, ["server"])

/** Checks the URLs by their option names; the guard would report them as `origins`. */
const decodeUrls = Configuration.decode(
  Schema.Struct(Struct.pick(ServerOptions.ServerOptions.fields, ["url", "origins", "allowLocalhost"])).check(
    areServerScopes
  )
)

/** The guards of several servers. */
export class TokenGuards extends Context.Service<TokenGuards, {
  /**
   * Adds a server. Its first token is acquired when a request needs one.
   *
   * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, also if another server has the name or
   * one of the URLs.
   */
  readonly register: (
    server: string,
    options: Options
  ) => Effect.Effect<TokenGuard.TokenGuard, KeelsonError.ConfigurationError>
  /** Removes a server and drops its token. Returns whether the server existed. */
  readonly unregister: (server: string) => Effect.Effect<boolean>
  /** The guard of a server; `undefined` for an unknown name. */
  readonly get: (server: string) => TokenGuard.TokenGuard | undefined
  /** The server that a URL belongs to; `undefined` if it belongs to none, or if the URL has a user name or password. */
  readonly find: (url: string | URL) => Server | undefined
  /** All servers in the order of their registration, as a new array. */
  readonly servers: () => ReadonlyArray<Server>
}>()("@keelson/token/TokenGuards") {}

const toServer = ({ guard, server, url }: Server): Server => ({ guard, server, url })

/** Creates an empty `TokenGuards`, whose guards live in the scope. */
export const make: Effect.Effect<TokenGuards["Service"], never, HttpClient.HttpClient | Scope.Scope> = Effect.gen(
  function*() {
    const client = yield* HttpClient.HttpClient
    const scope = yield* Effect.scope
    const servers = makeServers()
    const exclusively = Semaphore.makeUnsafe(1).withPermits(1)

    const register = Effect.fnUntraced(function*(name: string, { origins = [], url, ...options }: Options) {
      const server = yield* decodeName(name)
      yield* decodeUrls({ url, origins, allowLocalhost: options.allowLocalhost })
      const serverScope = yield* Scope.fork(scope)
      const guard = yield* TokenGuard.make({ ...options, name: server, origins: [url, ...origins] }).pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provideService(Scope.Scope, serverScope),
        Effect.onError(() => Scope.close(serverScope, Exit.void))
      )
      const conflict = servers.conflict(server, guard.scopes)
      if (conflict !== undefined) {
        yield* Scope.close(serverScope, Exit.void)
        return yield* Effect.fail(conflict)
      }
      servers.add({ server, url, guard, close: Scope.close(serverScope, Exit.void) })
      return guard
    })
    return TokenGuards.of({
      register: (server, options) => exclusively(Effect.uninterruptible(register(server, options))),
      unregister: (server) =>
        exclusively(Effect.uninterruptible(Effect.suspend(() => {
          const entry = servers.take(server)
          return entry === undefined ? Effect.succeed(false) : Effect.as(entry.close, true)
        }))),
      get: (server) => servers.get(server)?.guard,
      find: (url) => {
        const entry = servers.find(url)
        return entry && toServer(entry)
      },
      servers: () => servers.list().map(toServer)
    })
  }
)

const CheckedServers = Schema.Record(ServerName, ServerOptions.ServerOptions)
type CheckedServers = typeof CheckedServers.Type

const registerAll = Effect.fnUntraced(function*(servers: CheckedServers) {
  const guards = yield* make
  for (const [server, { client, ...options }] of Object.entries(servers)) {
    yield* guards.register(server, { ...options, source: yield* OAuthClient.sourcesFromOptions(client) })
  }
  return guards
})

const layerOf = <R>(
  servers: Effect.Effect<CheckedServers, KeelsonError.ConfigurationError, R>
): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient | Exclude<R, Scope.Scope>> =>
  Layer.effect(TokenGuards, Effect.flatMap(servers, registerAll))

const decodeServers = Configuration.decode(CheckedServers)

/**
 * The guards of these servers, given in code; none by default. More can be registered later.
 *
 * Fails with `ConfigurationError`: `INVALID_CONFIG` naming the option and its bound; `KEY_INVALID` for a private key that cannot
 * be used.
 *
 * **Example** (Finding the guard of a URL)
 *
 * ```ts import.meta.vitest
 * import { TokenGuards } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const client = { issuer: "https://idp.example", clientId: "app", clientSecret: Redacted.make("from a vault") }
 * const live = TokenGuards.layer({ billing: { url: "https://billing.example/v1", client } })
 *
 * const find = (url: string) => TokenGuards.TokenGuards.useSync((guards) => guards.find(url)?.server)
 * const program = Effect.all([find("https://billing.example/v1/invoices"), find("https://billing.example/v10")])
 *
 * await Effect.runPromise(Effect.provide(program, Layer.provide(live, FetchHttpClient.layer))) // => ["billing", undefined]
 * ```
 */
export const layer = (
  servers: Servers = {}
): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient> => layerOf(decodeServers(servers))

/**
 * The guards of the servers in a section of JSON or YAML text, each under its name; see `Configuration.decodeText`.
 *
 * Fails as `layer` does; with `CONFIG_MISSING` if the section is missing, and `CONFIG_VARIABLE_MISSING` if the variable of a
 * `${VAR}` is not set.
 */
export const layerText = (
  text: Configuration.Text
): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient> =>
  layerOf(Configuration.decodeText(CheckedServers, text))

/**
 * The guards of servers in the environment, each below its path: `{ billing: ["billing"] }` reads `BILLING_URL`,
 * `BILLING_CLIENT_CLIENT_ID` and so on; see `Configuration.fromEnvironment`. Fails as `layerText` does.
 */
export const layerConfig = (servers: {
  readonly [server: string]: Configuration.Path
}): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient> =>
  layerOf(Effect.map(
    Effect.forEach(Object.entries(servers), ([server, path]) =>
      Effect.map(Configuration.fromEnvironment(ServerOptions.ServerOptions, path), (options) =>
        [server, options] as const)),
    Object.fromEntries
  ))
