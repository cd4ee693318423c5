import * as KeelsonError from "@keelson/core/KeelsonError"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { TokenGuard } from "../../TokenGuard.ts"
import * as UrlScope from "../../UrlScope.ts"

/** A server that is registered. */
export interface Server {
  readonly server: string
  /** Where it is, as it was given. */
  readonly url: string
  readonly guard: TokenGuard
}

interface Entry extends Server {
  readonly close: Effect.Effect<void>
}

/** Who is registered: by name, and by URL. */
export interface Servers {
  readonly add: (entry: Entry) => void
  readonly take: (server: string) => Entry | undefined
  readonly get: (server: string) => Entry | undefined
  readonly find: (url: string | URL) => Server | undefined
  readonly list: () => ReadonlyArray<Entry>
  /** Why a server cannot be added: its name is taken, or a URL of it. */
  readonly conflict: (
    server: string,
    scopes: ReadonlyArray<UrlScope.UrlScope>
  ) => KeelsonError.ConfigurationError | undefined
}

const taken = (path: string, expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `Invalid server: ${path} must be ${expected}`,
    details: { path, expected }
  })

export const makeServers = (): Servers => {
  const byName = new Map<string, Entry>()
  // Of all scopes of all servers, those of one origin together.
  const byOrigin = new Map<string, ReadonlyArray<{ readonly scope: UrlScope.UrlScope; readonly entry: Entry }>>()

  const index = (): void => {
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
      index()
    },
    take: (server) => {
      const entry = byName.get(server)
      byName.delete(server)
      index()
      return entry
    },
    get: (server) => byName.get(server),
    find: (input) => {
      // Whether http will do was said where the scope was made: none but those that may be http are.
      const url = SafeUrl.check(input, { allowLocalhost: true })
      if (Result.isFailure(url)) return undefined
      return UrlScope.matching(byOrigin.get(url.success.origin) ?? [], url.success)[0]?.entry
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
