import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { aloneMillis, type Reply, type SharedFailure, type SharedValue, type TokenRecord } from "./record.ts"

interface Stored {
  readonly fence: number
  readonly value: SharedValue
  readonly issuedAt: number
}

/** A pause of all processes after a failure; twice as long for the process that failed. */
interface Pause {
  readonly failure: SharedFailure
  readonly until: number
  readonly process: string
}

/** The record in the memory of this process, on the monotonic clock: the rules of `scripts.ts`. */
export const makeMemoryRecord = (leaseMillis: number): TokenRecord => {
  let fence = 0
  let lease: { readonly owner: string; readonly until: number } | undefined
  let stored: Stored | undefined
  let aloneUntil = 0
  let replacedAt: number | undefined
  let pause: Pause | undefined

  const at = <A>(use: (now: number) => A): Effect.Effect<A> =>
    Effect.map(Clock.Clock, (clock) => use(Math.floor(Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n))))
  const isHolder = (holder: { readonly owner: string; readonly fence: number }): boolean =>
    lease?.owner === holder.owner && fence === holder.fence

  return {
    begin: ({ cooldown, isForced, known, owner, process }) =>
      at((now): Reply => {
        if (stored !== undefined && stored.fence > known) {
          return { _tag: "token", fence: stored.fence, value: stored.value, age: now - stored.issuedAt }
        }
        if (aloneUntil > now) return { _tag: "alone" }
        if (lease !== undefined && lease.owner !== owner && lease.until > now) {
          return { _tag: "wait", millis: lease.until - now }
        }
        if (cooldown > 0 && replacedAt !== undefined && now < replacedAt + cooldown) return { _tag: "unchanged" }
        if (!isForced && pause !== undefined) {
          const left = pause.until + (pause.process === process ? pause.failure.pause : 0) - now
          if (left > 0) return { _tag: "failed", failure: { ...pause.failure, pause: left } }
        }
        fence++
        lease = { owner, until: now + leaseMillis }
        if (cooldown > 0) replacedAt = now
        return { _tag: "lease", fence, at: now }
      }),
    commit: (holder, value, issuedAt) =>
      Effect.sync(() => {
        if (!isHolder(holder)) return false
        stored = { fence: holder.fence, value, issuedAt }
        lease = undefined
        pause = undefined
        return true
      }),
    fail: (holder, process, { code, error, isGrowing, pause: { asked, first, most }, status }) =>
      at((now) => {
        if (!isHolder(holder)) return 0
        const count = (pause?.failure.count ?? 0) + 1
        const grown = isGrowing ? Math.min(first * 2 ** Math.min(count - 1, 20), most) : first
        const length = Math.max(grown, asked)
        lease = undefined
        pause = { failure: { code, error, status, pause: length, count }, until: now + length, process }
        return count
      }),
    unshare: (holder) =>
      at((now) => {
        if (!isHolder(holder)) return
        lease = undefined
        stored = undefined
        aloneUntil = now + aloneMillis
      }),
    release: (owner) =>
      Effect.sync(() => {
        if (lease?.owner === owner) lease = undefined
      }),
    renew: (holder) =>
      at((now) => {
        if (!isHolder(holder)) return false
        lease = { owner: holder.owner, until: now + leaseMillis }
        return true
      }),
    invalidate: (rejected) =>
      Effect.sync(() => {
        if (stored?.fence === rejected) stored = undefined
      })
  }
}
