/**
 * The tokens of several servers, each found by its name or by the URL of a request.
 *
 * Servers are read from a configuration section, or registered while the program runs. A URL belongs to the server whose own
 * URL has it below: by origin and whole path segments, the longest first.
 */
import { Configuration, type KeelsonError } from "@keelson/core"
import { Context, Effect, Exit, Layer, Schema, Scope, Semaphore } from "effect"
import { HttpClient } from "effect/http"
import { makeServers, type Server } from "./internal/guard/servers.ts"
import * as TokenGuard from "./TokenGuard.ts"

export type { Server } from "./internal/guard/servers.ts"

/** What a server is registered with. */
export interface Options extends Omit<TokenGuard.Options, "name" | "origins"> {
  /** Where it is: its token goes there and below. */
  readonly url: string
  /** Where its token may go besides. Default: nowhere. */
  readonly origins?: ReadonlyArray<string> | undefined
}

/** A server's name, which is the label `server` of its metrics. */
export const ServerName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_.-]{1,64}$/, { expected: "1 to 64 of A-Z, a-z, 0-9, _, . and -" })
)
const decodeName = Configuration.decode(ServerName, ["server"])

/** The tokens of several servers. */
export class TokenManagers extends Context.Service<TokenManagers, {
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
}>()("@keelson/token/TokenManagers") {}

const shown = ({ guard, server, url }: Server): Server => ({ guard, server, url })

/** None to begin with. They live in the scope. */
export const make: Effect.Effect<TokenManagers["Service"], never, HttpClient.HttpClient | Scope.Scope> = Effect.gen(
  function*() {
    const client = yield* HttpClient.HttpClient
    const scope = yield* Effect.scope
    const servers = makeServers()
    const oneByOne = Semaphore.makeUnsafe(1).withPermits(1)

    const register = Effect.fnUntraced(function*(name: string, { origins = [], url, ...options }: Options) {
      const server = yield* decodeName(name)
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
    return TokenManagers.of({
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
export const layer: Layer.Layer<TokenManagers, never, HttpClient.HttpClient> = Layer.effect(TokenManagers, make)
