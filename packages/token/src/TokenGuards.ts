/**
 * The tokens of several servers, each found by its name or by the URL of a request.
 *
 * Servers are read from a configuration section, or registered while the program runs. A URL belongs to the server whose own
 * URL has it below: by origin and whole path segments, the longest first.
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
import * as OAuthClient from "./OAuthClient.ts"
import * as ServerOptions from "./ServerOptions.ts"
import * as TokenGuard from "./TokenGuard.ts"

export type { Server } from "./internal/guard/servers.ts"

/** What a server is registered with. */
export interface Options extends Omit<TokenGuard.Options, "name" | "origins"> {
  /** Where it is: its token goes there and below. */
  readonly url: string
  /** Where its token may go besides. Default: nowhere. */
  readonly origins?: ReadonlyArray<string> | undefined
}

const decodeName = Configuration.decode(ServerOptions.ServerName, ["server"])

/** The same as a server's options are checked, so that an error names the option that it is about. */
const Places = Schema.Struct(Struct.pick(ServerOptions.fields, ["url", "origins", "allowLocalhost"])).check(
  ServerOptions.areScopes
)
const decodePlaces = Configuration.decode(Places)

/** The tokens of several servers. */
export class TokenGuards extends Context.Service<TokenGuards, {
  /**
   * Adds a server. Nothing is acquired before a request needs it.
   *
   * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, also where the name or a URL is
   * another server's already.
   */
  readonly register: (
    server: string,
    options: Options
  ) => Effect.Effect<TokenGuard.TokenGuard, KeelsonError.ConfigurationError>
  /** Removes a server, whose token is dropped. Whether there was one. */
  readonly unregister: (server: string) => Effect.Effect<boolean>
  /** The guard of a server. */
  readonly get: (server: string) => TokenGuard.TokenGuard | undefined
  /** The server that a URL belongs to; `undefined` for one that is no server's, or has a user or password in it. */
  readonly find: (url: string | URL) => Server | undefined
  /** All servers, in the order in which they came. The list is the caller's own. */
  readonly servers: () => ReadonlyArray<Server>
}>()("@keelson/token/TokenGuards") {}

const shown = ({ guard, server, url }: Server): Server => ({ guard, server, url })

/** None to begin with. They live in the scope. */
export const make: Effect.Effect<TokenGuards["Service"], never, HttpClient.HttpClient | Scope.Scope> = Effect.gen(
  function*() {
    const client = yield* HttpClient.HttpClient
    const scope = yield* Effect.scope
    const servers = makeServers()
    const oneByOne = Semaphore.makeUnsafe(1).withPermits(1)

    const register = Effect.fnUntraced(function*(name: string, { origins = [], url, ...options }: Options) {
      const server = yield* decodeName(name)
      yield* decodePlaces({ url, origins, allowLocalhost: options.allowLocalhost })
      const own = yield* Scope.fork(scope)
      const guard = yield* TokenGuard.make({ ...options, name: server, origins: [url, ...origins] }).pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provideService(Scope.Scope, own),
        Effect.onError(() => Scope.close(own, Exit.void))
      )
      const conflict = servers.conflict(server, guard.scopes)
      if (conflict !== undefined) {
        yield* Scope.close(own, Exit.void)
        return yield* Effect.fail(conflict)
      }
      servers.add({ server, url, guard, close: Scope.close(own, Exit.void) })
      return guard
    })
    return TokenGuards.of({
      register: (server, options) => oneByOne(Effect.uninterruptible(register(server, options))),
      unregister: (server) =>
        oneByOne(Effect.uninterruptible(Effect.suspend(() => {
          const entry = servers.take(server)
          return entry === undefined ? Effect.succeed(false) : Effect.as(entry.close, true)
        }))),
      get: (server) => servers.get(server)?.guard,
      find: (url) => {
        const found = servers.find(url)
        return found && shown(found)
      },
      servers: () => servers.list().map(shown)
    })
  }
)

/** `make` as a layer. */
export const layer: Layer.Layer<TokenGuards, never, HttpClient.HttpClient> = Layer.effect(TokenGuards, make)

/** Registers servers as a configuration has them. */
const registerAll = Effect.fnUntraced(function*(servers: ServerOptions.Servers) {
  const managers = yield* make
  for (const [server, { client, ...options }] of Object.entries(servers)) {
    yield* managers.register(server, { ...options, source: yield* OAuthClient.sourcesFromOptions(client) })
  }
  return managers
})

const from = <R>(
  servers: Effect.Effect<ServerOptions.Servers, KeelsonError.ConfigurationError, R>
): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient | Exclude<R, Scope.Scope>> =>
  Layer.effect(TokenGuards, Effect.flatMap(servers, registerAll))

/**
 * With these servers to begin with, from code.
 *
 * Fails with `ConfigurationError`: `INVALID_CONFIG` naming the option and its bound; `KEY_INVALID` for a private key that is
 * of no use.
 */
export const layerWith = (servers: {
  readonly [server: string]: ServerOptions.Options
}): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient> =>
  from(Configuration.decode(ServerOptions.Servers)(servers))

/**
 * With the servers of a section of JSON or YAML text, each under its name; see `Configuration.decodeText`.
 *
 * Fails as `layerWith` does; with `CONFIG_MISSING` where there is no such section, `CONFIG_VARIABLE_MISSING` for a `${VAR}`
 * that is not set.
 */
export const layerText = (
  text: Configuration.Text
): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient> =>
  from(ServerOptions.decodeServers(text))

/**
 * With servers from the environment, each below a path of its own: `{ billing: ["billing"] }` reads `BILLING_URL`,
 * `BILLING_CLIENT_CLIENT_ID` and so on; see `Configuration.fromEnvironment`. Fails as `layerText` does.
 */
export const layerConfig = (servers: {
  readonly [server: string]: Configuration.Path
}): Layer.Layer<TokenGuards, KeelsonError.ConfigurationError, HttpClient.HttpClient> =>
  from(Effect.map(
    Effect.forEach(Object.entries(servers), ([server, path]) =>
      Effect.map(ServerOptions.config(path), (options) => [server, options] as const)),
    Object.fromEntries
  ))
