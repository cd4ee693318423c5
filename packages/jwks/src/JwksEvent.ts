/**
 * The events of key sets.
 *
 * Events contain no key id and no URL. The publisher never waits for a subscriber: a slow subscriber loses the oldest
 * events.
 */
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as Duration from "effect/Duration"
import type { Transition } from "./internal/cache/lifecycle.ts"

export type { Phase, Transition, TransitionCause } from "./internal/cache/lifecycle.ts"

/** The tenant and provider of the key set, on every event. */
export interface EventOrigin {
  readonly tenantId: string
  readonly providerId: string
}

/**
 * - `Loaded`: the first keys were received, from the provider or a snapshot.
 * - `Refreshed`: a new document was received.
 * - `NotModified`: the provider responded with a 304.
 * - `KeysAdded`, `KeysRemoved`: how many keys the new set added or removed.
 * - `Failed`: all attempts of a fetch failed; `nextAttempt` is the time until the next attempt is allowed.
 * - `StaleServed`: a lookup was answered with expired keys. Published for the first such lookup until keys are
 *   received again.
 * - `FloodLimited`: the limit for unknown keys suppressed a fetch. Published once per cooldown.
 * - `Changed`: the state machine changed its state.
 *
 * **Example** (A line for each event of interest)
 *
 * ```ts import.meta.vitest
 * import { JwksEvent } from "@keelson/jwks"
 * import { Duration, Match } from "effect"
 *
 * const describe = Match.type<JwksEvent.JwksEvent>().pipe(
 *   Match.tag("Failed", ({ code, providerId }) => `${providerId}: ${code}`),
 *   Match.orElse(({ providerId, _tag }) => `${providerId}: ${_tag}`)
 * )
 * const nextAttempt = Duration.seconds(30)
 * describe({ _tag: "Failed", tenantId: "default", providerId: "main", code: "TIMEOUT", nextAttempt }) // => "main: TIMEOUT"
 * ```
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
