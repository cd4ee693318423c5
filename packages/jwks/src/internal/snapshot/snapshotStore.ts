import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Identity, Snapshot } from "./jwksSnapshots.ts"
import type { Signer } from "./signature.ts"
import { type SnapshotRefused, SnapshotUnavailable, type StoreKind, type UnavailableOptions } from "./snapshotError.ts"
import { decodeSnapshot, encodeSnapshot, maxStoredBytes } from "./storedText.ts"

/** Stores texts by name. A text as the error of a call becomes the `reason` of `SnapshotUnavailable`. */
export interface TextStore {
  readonly kind: StoreKind
  /** Returns the text, or `undefined`. May truncate a text longer than `maxBytes`, but not to `maxBytes` or less. */
  readonly read: (name: string, maxBytes: number) => Effect.Effect<string | undefined, string | SnapshotRefused>
  /** Replaces the text atomically. The store may expire it after `timeToLive`. */
  readonly write: (name: string, text: string, timeToLive: Duration.Duration) => Effect.Effect<void, string>
  readonly remove: (name: string) => Effect.Effect<void, string>
}

/** Writes unexpected characters in hexadecimal, so that no two ids have the same name, even ids that were not checked. */
const escape = (id: string): string =>
  id.replaceAll(/[^A-Za-z0-9_-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Returns the name of a provider's snapshot in the store. */
const nameOf = ({ providerId, tenantId }: Identity): string => `jwks-cache:${escape(tenantId)}:${escape(providerId)}`

/** Makes the snapshot operations over a text store. Each call waits for the store for at most `timeout`. */
export const makeSnapshots = (store: TextStore, signer: Signer | undefined, timeout: Duration.Duration) => {
  const call = <A>(operation: UnavailableOptions["operation"], effect: Effect.Effect<A, string>) => {
    const unavailable = (reason: string) => new SnapshotUnavailable({ store: store.kind, operation, reason })
    // A defect of the store's client, as when a file cannot be closed, must not be a defect of the caller.
    const safe = Effect.catchDefect(effect, () => Effect.fail("failed"))
    return Effect.flatMap(
      Effect.mapError(waitAtMost(safe, timeout), unavailable),
      Option.match({ onNone: () => Effect.fail(unavailable("timeout")), onSome: Effect.succeed })
    )
  }
  /** The stored text, or why the store itself refuses it. */
  const read = (name: string, maxBytes: number) =>
    Effect.catch(
      store.read(name, maxBytes),
      (error): Effect.Effect<SnapshotRefused, string> =>
        typeof error === "string" ? Effect.fail(error) : Effect.succeed(error)
    )

  const save = Effect.fn("JwksSnapshots.save")(function*(snapshot: Omit<Snapshot, "persistedAt">) {
    const persistedAt = yield* Clock.currentTimeMillis
    const text = yield* encodeSnapshot({ ...snapshot, persistedAt }, signer)
    const left = Math.max(1_000, Math.ceil(snapshot.staleUntil - persistedAt))
    yield* call("save", store.write(nameOf(snapshot), text, Duration.millis(left)))
  })

  const load = Effect.fn("JwksSnapshots.load")(
    function*(identity: Identity, { maxBytes }: { readonly maxBytes: number }) {
      const text = yield* call("load", read(nameOf(identity), maxStoredBytes(maxBytes)))
      if (text === undefined) return Option.none<Snapshot>()
      if (typeof text !== "string") return yield* text
      const now = yield* Clock.currentTimeMillis
      return Option.some(yield* decodeSnapshot(text, signer, { identity, maxBytes, now }))
    }
  )

  const remove = Effect.fn("JwksSnapshots.remove")(function*(identity: Identity) {
    yield* call("remove", store.remove(nameOf(identity)))
  })

  return { save, load, remove }
}
