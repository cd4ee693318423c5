import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Holder } from "./record.ts"
import type { RefreshRecord, RefreshReply, StoredRefreshToken } from "./refreshRecord.ts"

/** The record in the memory of this process, on the monotonic clock: the rules of `refreshScripts.ts`. */
export const makeMemoryRefreshRecord = (leaseMillis: number): RefreshRecord => {
  let fence = 0
  let lease: { readonly owner: string; readonly until: number } | undefined
  let stored: StoredRefreshToken | undefined
  let state: "sent" | "refused" | undefined
  const seeds = new Set<string>()

  const at = <A>(use: (now: number) => A): Effect.Effect<A> =>
    Effect.map(Clock.Clock, (clock) => use(Math.floor(Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n))))
  const isHolder = (holder: Holder): boolean => lease?.owner === holder.owner && fence === holder.fence
  const grant = (owner: string, now: number): number => {
    lease = { owner, until: now + leaseMillis }
    return ++fence
  }

  return {
    begin: (owner, seed) =>
      at((now): RefreshReply => {
        if (lease !== undefined && lease.owner !== owner && lease.until > now) {
          return { _tag: "wait", millis: lease.until - now }
        }
        const isNewSeed = seed !== undefined && !seeds.has(seed)
        if (!isNewSeed) {
          if (stored === undefined) return { _tag: "missing" }
          if (state !== undefined) return { _tag: state === "sent" ? "ambiguous" : "refused" }
        } else if (stored === undefined || state !== undefined) {
          return { _tag: "lease", fence: grant(owner, now), stored: undefined }
        }
        return { _tag: "lease", fence: grant(owner, now), stored }
      }),
    mark: (holder) =>
      Effect.sync(() => {
        if (isHolder(holder)) state = "sent"
        return isHolder(holder)
      }),
    write: (holder, token, { isLast, seed }) =>
      Effect.sync(() => {
        // Also after the lease ended, if no other was granted since: a late or repeated write has the newest refresh token.
        if (fence !== holder.fence || (lease !== undefined && lease.owner !== holder.owner)) return false
        stored = { token, fence: holder.fence }
        state = undefined
        if (seed !== undefined) seeds.add(seed)
        if (isLast) lease = undefined
        return true
      }),
    end: (holder, outcome) =>
      Effect.sync(() => {
        if (!isHolder(holder)) return false
        if (outcome === "ambiguous") {
          lease = { owner: holder.owner, until: 0 }
          return true
        }
        lease = undefined
        state = outcome === "refused" ? "refused" : undefined
        return true
      }),
    release: (owner) =>
      Effect.sync(() => {
        if (lease?.owner === owner && state !== "sent") lease = undefined
      }),
    renew: (holder) =>
      at((now) => {
        if (!isHolder(holder)) return false
        lease = { owner: holder.owner, until: now + leaseMillis }
        return true
      }),
    seize: (owner) => at((now) => grant(owner, now)),
    unmark: Effect.sync(() => {
      if (state !== "sent") return false
      state = undefined
      lease = undefined
      return true
    }),
    read: Effect.sync(() => stored?.token ?? null)
  }
}
