import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { AuditError } from "../../AuditError.ts"

/** How often a file is synced to the disk at most. */
const pause = Duration.seconds(1)

/**
 * Makes the flush of a file: the first call syncs it at once, and those of the next second share one sync at its end. A sync takes
 * longer than many writes.
 */
export const periodicSync = Effect.fnUntraced(function*(
  { isDirty, sync }: { readonly isDirty: () => boolean; readonly sync: Effect.Effect<void, AuditError> }
): Effect.fn.Return<Effect.Effect<void, AuditError>, never, Scope.Scope> {
  const fork = yield* FiberSet.makeRuntime()
  let isResting = false
  const warn = ({ code, reason }: AuditError) =>
    Effect.annotateLogs(Effect.logWarning("Audit file cannot be synced to the disk"), {
      operation: reason.operation,
      code
    })
  const flush: Effect.Effect<void, AuditError> = Effect.suspend(() => {
    if (isResting || !isDirty()) return Effect.void
    isResting = true
    const later = Effect.suspend(() => {
      isResting = false
      return Effect.catch(flush, warn)
    })
    fork(Effect.delay(later, pause))
    return sync
  })
  return flush
})
