import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FetchRequest } from "../http/fetchKeySet.ts"
import type { RefreshResult } from "./refresh.ts"

/** How a wait for a fetch may fail. */
export type FetchError = KeelsonError.NetworkError | SingleFlight.Closed

/** The one fetch of a provider that may be under way. */
export interface SharedFetch {
  readonly isUnderWay: () => boolean
  /** Starts a fetch, unless one is under way, and does not wait for it. */
  readonly start: (request: FetchRequest) => void
  /** Waits for the fetch that is under way, or starts one. */
  readonly join: (request: FetchRequest) => Effect.Effect<RefreshResult, FetchError>
}

/**
 * The fetch runs in the scope and context in which this is made, whoever starts it or waits for it. `onEnd` is called when
 * none is under way any more.
 */
export const makeSharedFetch = Effect.fnUntraced(function*<R>(
  run: (request: FetchRequest) => Effect.Effect<RefreshResult, KeelsonError.NetworkError, R>,
  onEnd: () => void
): Effect.fn.Return<SharedFetch, never, R | Scope.Scope> {
  const fork = Effect.runForkWith(yield* Effect.context())
  let request: FetchRequest = { cause: "lookup", noCache: false }
  let isUnderWay = false
  const shared = yield* SingleFlight.make(Effect.suspend(() => {
    isUnderWay = true
    return Effect.ensuring(
      run(request),
      Effect.sync(() => {
        isUnderWay = false
        onEnd()
      })
    )
  }))
  const join = (wanted: FetchRequest) =>
    Effect.suspend(() => {
      if (!isUnderWay) request = wanted
      return shared
    })
  return {
    isUnderWay: () => isUnderWay,
    start: (wanted) => {
      // Nobody waits for it: how it ends is in the state.
      if (!isUnderWay) fork(Effect.ignore(join(wanted)))
    },
    join
  }
})
