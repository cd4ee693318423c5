import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Identity, Snapshot } from "../../JwksSnapshots.ts"
import type { Signer } from "./signature.ts"
import { SnapshotUnavailable, type StoreKind, type UnavailableOptions } from "./snapshotError.ts"
import { decodeSnapshot, encodeSnapshot, maxStoredBytes } from "./storedText.ts"

/** Where texts are kept by name. What it fails with is the `reason` of `SnapshotUnavailable`. */
export interface TextStore {
  readonly kind: StoreKind
  /** `undefined` where there is none. Longer texts may be cut, but not to the limit or below. */
  readonly read: (name: string, maxBytes: number) => Effect.Effect<string | undefined, string>
  /** Replaces what is there, whole or not at all. */
  readonly write: (name: string, text: string, timeToLive: Duration.Duration) => Effect.Effect<void, string>
  readonly remove: (name: string) => Effect.Effect<void, string>
}

/** Ids are plain, but that is not relied on: what is not is written in hexadecimal, so that no two have one name. */
const escape = (id: string): string =>
  id.replaceAll(/[^A-Za-z0-9_-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** The name that a provider's snapshot is kept under. */
const nameOf = ({ providerId, tenantId }: Identity): string => `jwks-cache:${escape(tenantId)}:${escape(providerId)}`

/** Keeps snapshots as texts in a store, each call to it bounded. */
export const makeSnapshots = (store: TextStore, signer: Signer | undefined, timeout: Duration.Duration) => {
  const call = <A>(operation: UnavailableOptions["operation"], effect: Effect.Effect<A, string>) => {
    const unavailable = (reason: string) => new SnapshotUnavailable({ store: store.kind, operation, reason })
    // A client that dies, as where a file cannot be closed, is no reason for its caller to.
    const safe = Effect.catchDefect(effect, () => Effect.fail("failed"))
    return Effect.flatMap(
      Effect.mapError(waitAtMost(safe, timeout), unavailable),
      Option.match({ onNone: () => Effect.fail(unavailable("timeout")), onSome: Effect.succeed })
    )
  }

  const save = Effect.fn("JwksSnapshots.save")(function*(snapshot: Omit<Snapshot, "persistedAt">) {
    const persistedAt = yield* Clock.currentTimeMillis
    const text = yield* encodeSnapshot({ ...snapshot, persistedAt }, signer)
    const left = Math.max(1_000, Math.ceil(snapshot.staleUntil - persistedAt))
    yield* call("save", store.write(nameOf(snapshot), text, Duration.millis(left)))
  })

  const load = Effect.fn("JwksSnapshots.load")(
    function*(identity: Identity, { maxBytes }: { readonly maxBytes: number }) {
      const text = yield* call("load", store.read(nameOf(identity), maxStoredBytes(maxBytes)))
      if (text === undefined) return Option.none<Snapshot>()
      const now = yield* Clock.currentTimeMillis
      return Option.some(yield* decodeSnapshot(text, signer, { identity, maxBytes, now }))
    }
  )

  const remove = Effect.fn("JwksSnapshots.remove")(function*(identity: Identity) {
    yield* call("remove", store.remove(nameOf(identity)))
  })

  return { save, load, remove }
}
