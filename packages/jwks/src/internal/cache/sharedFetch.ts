import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FetchRequest } from "../http/fetchKeySet.ts"
import type { RefreshResult } from "./refresh.ts"

/** Errors of waiting for a fetch. */
export type FetchError = KeelsonError.NetworkError | SingleFlight.Closed

/** The fetch of a provider, which all callers share. At most one runs at a time. */
export interface SharedFetch {
  readonly isRunning: () => boolean
  /** Starts a fetch unless one is running. Does not wait for it. */
  readonly start: (request: FetchRequest) => void
  /** Waits for the running fetch, or starts one. */
  readonly join: (request: FetchRequest) => Effect.Effect<RefreshResult, FetchError>
}

/**
 * Makes a shared fetch. It runs in the scope and context in which it is made, never in those of a caller. `onEnd` is called
 * when a fetch has ended, `onJoin` when a caller joins a running one.
 */
export const makeSharedFetch = Effect.fnUntraced(function*<R>(
  run: (request: FetchRequest) => Effect.Effect<RefreshResult, KeelsonError.NetworkError, R>,
  onEnd: () => void,
  onJoin: () => void = () => {}
): Effect.fn.Return<SharedFetch, never, R | Scope.Scope> {
  const fork = Effect.runForkWith(yield* Effect.context())
  let request: FetchRequest = { cause: "lookup", noCache: false }
  let isRunning = false
  const shared = yield* SingleFlight.make(Effect.suspend(() => {
    isRunning = true
    return Effect.ensuring(
      run(request),
      Effect.sync(() => {
        isRunning = false
        onEnd()
      })
    )
  }))
  const join = (requested: FetchRequest) =>
    Effect.suspend(() => {
      if (isRunning) onJoin()
      else request = requested
      return shared
    })
  return {
    isRunning: () => isRunning,
    start: (requested) => {
      // The result is ignored here: the fetch itself records it in the state.
      if (!isRunning) fork(Effect.ignore(join(requested)))
    },
    join
  }
})
