import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { TokenGuard } from "../../TokenGuard.ts"
import * as UrlScope from "./urlScope.ts"

/** A registered server. */
export interface Server {
  /** The server's name. */
  readonly server: string
  /** The server's URL, as it was registered. */
  readonly url: string
  readonly guard: TokenGuard
}

interface ServerEntry extends Server {
  readonly close: Effect.Effect<void>
}

/** The registered servers, by name and by URL. */
export interface Servers {
  readonly add: (entry: ServerEntry) => void
  readonly take: (server: string) => ServerEntry | undefined
  readonly get: (server: string) => ServerEntry | undefined
  readonly find: (url: string | URL) => Server | undefined
  readonly list: () => ReadonlyArray<ServerEntry>
  /** Why a server cannot be added: another server has its name or one of its URLs. */
  readonly conflict: (
    server: string,
    scopes: ReadonlyArray<UrlScope.UrlScope>
  ) => KeelsonError.ConfigurationError | undefined
}

const taken = (path: string, expected: string) =>
  InvalidConfig.option(path, expected, { message: `Invalid server: ${path} must be ${expected}` })

/** The values whose scope contains a checked URL, the longest path first. */
export const matching = <A extends { readonly scope: UrlScope.UrlScope }>(
  all: Iterable<A>,
  url: URL
): ReadonlyArray<A> =>
  Array.from(all).filter(({ scope }) => UrlScope.contains(scope, url)).toSorted((a, b) =>
    b.scope.path.length - a.scope.path.length
  )

export const makeServers = (): Servers => {
  const byName = new Map<string, ServerEntry>()
  // The scopes of all servers, grouped by origin.
  const byOrigin = new Map<string, ReadonlyArray<{ readonly scope: UrlScope.UrlScope; readonly entry: ServerEntry }>>()

  const rebuildIndex = (): void => {
    byOrigin.clear()
    for (const entry of byName.values()) {
      for (const scope of entry.guard.scopes) {
        byOrigin.set(scope.origin, [...byOrigin.get(scope.origin) ?? [], { scope, entry }])
      }
    }
  }
  return {
    add: (entry) => {
      byName.set(entry.server, entry)
      rebuildIndex()
    },
    take: (server) => {
      const entry = byName.get(server)
      byName.delete(server)
      rebuildIndex()
      return entry
    },
    get: (server) => byName.get(server),
    find: (input) => {
      // Allows http here: only servers registered with `allowLocalhost` have scopes with http.
      const url = SafeUrl.check(input, { allowLocalhost: true })
      if (Result.isFailure(url)) return undefined
      return matching(byOrigin.get(url.success.origin) ?? [], url.success)[0]?.entry
    },
    list: () => [...byName.values()],
    conflict: (server, scopes) => {
      if (byName.has(server)) return taken("server", "a name that no other server has")
      const urls = new Set([...byName.values()].flatMap(({ guard }) => guard.scopes.map(UrlScope.format)))
      return scopes.some((scope) => urls.has(UrlScope.format(scope)))
        ? taken("url", "a URL that no other server has")
        : undefined
    }
  }
}
