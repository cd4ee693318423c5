/** Keys that are refreshed before they end: one refresh for all requests. */
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { StoreError } from "../../StoreError.ts"
import type { Keys } from "./keys.ts"

/** Where requests get their keys. */
export interface KeySource {
  /** The keys, if they are valid. If they end soon, it starts to refresh them. */
  readonly current: () => Keys | undefined
  /** Loads keys, or joins the load that runs. */
  readonly load: Effect.Effect<Keys, StoreError>
}

/** How long before they end keys are refreshed; at most half of what they live. */
const refreshBefore = 300_000

/** How long before they end keys are used no more: a request takes some time to reach the store. */
const margin = 5000

/** How long after a failure the source is not asked again. */
const cooldown = 1000

/** Keys that do not end. */
export const constant = (keys: Keys): KeySource => ({ current: () => keys, load: Effect.succeed(keys) })

interface Loaded {
  readonly keys: Keys
  readonly refreshAt: Instant.Instant | undefined
  readonly endsAt: Instant.Instant | undefined
}

const loadedAt = (keys: Keys, at: Instant.Instant): Loaded => {
  if (keys.expiresAt === undefined) return { keys, refreshAt: undefined, endsAt: undefined }
  const lifetime = Math.max(0, keys.expiresAt - at.wall)
  return {
    keys,
    refreshAt: Instant.after(at, lifetime - Math.min(refreshBefore, lifetime / 2)),
    endsAt: Instant.after(at, lifetime - Math.min(margin, lifetime / 2))
  }
}

/**
 * Keys of a source that may change. A failed refresh is logged; the keys stay in use until they end. `name` is that of the source.
 */
export const refreshing = Effect.fnUntraced(
  function*(name: string, source: Effect.Effect<Keys, StoreError>): Effect.fn.Return<KeySource, never, Scope.Scope> {
    const clock = yield* Clock.Clock
    const fork = Effect.runForkWith(yield* Effect.context())
    const state: { loaded?: Loaded; failed?: { readonly error: StoreError; readonly until: Instant.Instant } } = {}

    const warn = (error: StoreError) =>
      Effect.logWarning("Could not load the credentials of an object store").pipe(
        Effect.annotateLogs({ source: name, code: error.code })
      )
    const work = source.pipe(
      Effect.tap((keys) =>
        Effect.sync(() => {
          state.loaded = loadedAt(keys, Instant.now(clock))
          delete state.failed
        })
      ),
      Effect.tapError((error) => {
        state.failed = { error, until: Instant.after(Instant.now(clock), cooldown) }
        return warn(error)
      })
    )
    const shared = Effect.mapError(
      yield* SingleFlight.make(work),
      (error) => error instanceof StoreError ? error : new StoreError("credentials", { message: error.message })
    )
    const load = Effect.suspend(() => {
      const { failed } = state
      return failed === undefined || Instant.hasCome(failed.until, clock) ? shared : Effect.fail(failed.error)
    })
    return {
      current: () => {
        const { loaded } = state
        if (loaded?.refreshAt === undefined || loaded.endsAt === undefined) return loaded?.keys
        if (!Instant.hasCome(loaded.refreshAt, clock)) return loaded.keys
        if (Instant.hasCome(loaded.endsAt, clock)) return undefined
        fork(Effect.ignore(load))
        return loaded.keys
      },
      load
    }
  }
)
