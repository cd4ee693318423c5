import * as Effect from "effect/Effect"
import type { JwksSnapshots } from "../../JwksSnapshots.ts"
import { SnapshotUnavailable } from "./snapshotError.ts"

type Snapshots = JwksSnapshots["Service"]

const failing = <A, E>(operation: "save" | "load" | "remove", call: () => Effect.Effect<A, E>) =>
  Effect.catchDefect(
    Effect.suspend(call),
    () => Effect.fail(new SnapshotUnavailable({ store: "custom", operation, reason: "failed" }))
  )

/** A store whose defects are failures like others: one that an application wrote must not end a fetch. */
export const guarded = ({ load, remove, save }: Snapshots): Snapshots => ({
  save: (snapshot) => failing("save", () => save(snapshot)),
  load: (identity, limits) => failing("load", () => load(identity, limits)),
  remove: (identity) => failing("remove", () => remove(identity))
})
