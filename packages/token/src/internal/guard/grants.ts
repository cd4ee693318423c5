import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { TokenProvider } from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import type { Grant } from "../../TokenSource.ts"

type Provider = TokenProvider["Service"]

/** Above what programs need, and low enough to limit the memory of a program that derives grants from incoming requests. */
const capacity = 100

/** A grant in canonical form: each scope once, sorted. */
export const canonicalGrant = ({ audience, scope }: Grant): Grant => {
  const scopes = Array.from(new Set((scope ?? "").split(" ").filter((name) => name !== ""))).toSorted().join(" ")
  return { ...(scopes === "" ? undefined : { scope: scopes }), ...(audience === undefined ? undefined : { audience }) }
}

const keyOf = ({ audience, scope }: Grant): string => JSON.stringify([scope, audience])

/** The provider of a grant while it is held. */
interface Held {
  readonly provider: Provider
  readonly close: Effect.Effect<void>
  /** Increases with each use: the lowest value belongs to the least recently used provider. */
  usedAt: number
}

const tooManyGrants = () =>
  InvalidConfig.option("scope", `at most ${capacity} of them at once`, {
    message: `A guard acquires tokens for at most ${capacity} scopes and audiences at once`
  })

/**
 * Holds the provider of each grant, at most 100. A new grant closes the least recently used provider that is not acquiring a
 * token.
 *
 * The returned function returns the provider of a grant. If that provider was closed, its next use makes a new one. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`) if no provider can be closed.
 */
export const makeGrants = Effect.fnUntraced(function*<E extends TokenProviderError>(
  make: (grant: Grant) => Effect.Effect<Provider, E, Scope.Scope>
): Effect.fn.Return<
  (grant: Grant) => Effect.Effect<Provider, E | KeelsonError.ConfigurationError>,
  never,
  Scope.Scope
> {
  const scope = yield* Effect.scope
  const held = new Map<string, Held>()
  const semaphore = Semaphore.makeUnsafe(1)
  let uses = 0

  const makeRoom = Effect.gen(function*() {
    if (held.size < capacity) return
    for (const [key, oldest] of Array.from(held).toSorted(([, a], [, b]) => a.usedAt - b.usedAt)) {
      // Deleted first, so that nobody starts to use it.
      held.delete(key)
      if (!(yield* oldest.provider.status).refreshInProgress) return yield* oldest.close
      held.set(key, oldest)
    }
    return yield* Effect.fail(tooManyGrants())
  })
  const hold = (key: string, grant: Grant) =>
    Effect.gen(function*() {
      const existing = held.get(key)
      if (existing !== undefined) return existing
      yield* makeRoom
      const grantScope = yield* Scope.fork(scope)
      const close = Scope.close(grantScope, Exit.void)
      const provider = yield* Effect.onError(Scope.provide(make(grant), grantScope), () => close)
      const made: Held = { provider, close, usedAt: ++uses }
      held.set(key, made)
      return made
    })

  return (grant) => {
    const key = keyOf(grant)
    const current = semaphore.withPermits(1)(Effect.uninterruptible(hold(key, grant)))
    const use = <A, F>(call: (provider: Provider) => Effect.Effect<A, F>) =>
      Effect.suspend((): Effect.Effect<A, F | E | KeelsonError.ConfigurationError> => {
        const existing = held.get(key)
        if (existing === undefined) return Effect.flatMap(current, ({ provider }) => call(provider))
        existing.usedAt = ++uses
        return call(existing.provider)
      })
    return Effect.map(current, ({ provider: { server } }): Provider => ({
      server,
      get: use(({ get }) => get),
      refresh: use(({ refresh }) => refresh),
      replace: (rejected) => use(({ replace }) => replace(rejected)),
      // A closed provider holds no token.
      invalidate: (token) => held.get(key)?.provider.invalidate(token) ?? Effect.succeed(false),
      status: Effect.orDie(use(({ status }) => status)),
      events: Stream.unwrap(Effect.orDie(use(({ events }) => Effect.succeed(events))))
    }))
  }
})
