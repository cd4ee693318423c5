/**
 * Watching files by their directories: an update of a ConfigMap or a certificate is a rename beside the file.
 */
import { watch } from "chokidar"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { dirname } from "node:path"

/** How long nothing changes before a change counts: files are often written in several steps. */
const calm = Duration.millis(200)

/** Runs an effect after each change beside the files, while the scope is open. Several changes in a short time are one. */
export const onChange = (
  files: ReadonlyArray<string>,
  changed: Effect.Effect<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const changes = yield* Queue.sliding<true>(1)
    yield* Effect.acquireRelease(
      Effect.callback<{ readonly close: () => Promise<void> }>((resume) => {
        const directories = [...new Set(files.map((file) => dirname(file)))]
        const watcher = watch(directories, { ignoreInitial: true, depth: 0 })
        watcher.on("all", () => Queue.offerUnsafe(changes, true))
        // A directory that cannot be watched is reported by nothing else, and a reload by signal or call still works.
        watcher.on("error", () => {})
        watcher.on("ready", () => resume(Effect.succeed(watcher)))
      }),
      (watcher) => Effect.promise(() => watcher.close())
    )
    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.andThen(Queue.take(changes), Effect.sleep(calm)), changed))
    )
  })

/** Runs an effect at each signal, while the scope is open. */
export const onSignal = (
  signal: "SIGHUP",
  received: Effect.Effect<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const signals = yield* Queue.sliding<true>(1)
    const listener = () => void Queue.offerUnsafe(signals, true)
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on(signal, listener)),
      () => Effect.sync(() => process.off(signal, listener))
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(signals), received)))
  })
