/**
 * What happens to key sets, as a stream of events.
 *
 * Events carry no key id and no URL. A subscriber that is slow loses the oldest ones: nothing waits for it.
 */
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Duration from "effect/Duration"
import type { Transition } from "./internal/cache/lifecycle.ts"

export type { Phase, Transition, TransitionCause } from "./internal/cache/lifecycle.ts"

/** Whose key set it is, on every event. */
export interface EventOrigin {
  readonly tenantId: string
  readonly providerId: string
}

/**
 * - `Loaded`: keys came where there were none, from the provider or a snapshot; `Refreshed`: a new document; `NotModified`:
 *   a 304.
 * - `KeysAdded`, `KeysRemoved`: how many the new set has more or less.
 * - `Failed`: a fetch failed with all its attempts; `nextAttempt` is when one may be made again.
 * - `StaleServed`: the first lookup answered past the lifetime, once until keys come again.
 * - `FloodLimited`: the first unknown key that was not allowed to ask, once in each cooldown.
 * - `Changed`: a step of the state machine.
 */
export type JwksEvent =
  & EventOrigin
  & (
    | { readonly _tag: "Loaded"; readonly keys: number; readonly from: "provider" | "snapshot" }
    | { readonly _tag: "Refreshed"; readonly keys: number }
    | { readonly _tag: "NotModified" }
    | { readonly _tag: "KeysAdded" | "KeysRemoved"; readonly count: number }
    | { readonly _tag: "Failed"; readonly code: ErrorCode.ErrorCode; readonly nextAttempt: Duration.Duration }
    | { readonly _tag: "StaleServed" }
    | { readonly _tag: "FloodLimited" }
    | ({ readonly _tag: "Changed" } & Transition)
  )
