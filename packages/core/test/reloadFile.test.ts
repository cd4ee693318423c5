import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { Deferred, Duration, Effect, FileSystem, Layer, Logger, Stream } from "effect"
import { BreakerStore, Configuration, Metrics, Resilience, ResiliencePolicy } from "../src/index.ts"

/** As in the guide: the section `billing` of a file, now and whenever its directory changes. */
const policies = (directory: string, file: string) =>
  Stream.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const ready = yield* Deferred.make<void>()
    const read = Effect.result(Effect.flatMap(
      fs.readFileString(`${directory}/${file}`),
      (text) =>
        Configuration.decodeText(ResiliencePolicy.ResiliencePolicy, { format: "yaml", text, section: "billing" })
    ))
    // The first read follows the start of the watch, so that no change is missed between them.
    const changes = fs.watch(directory, { onReady: () => Deferred.doneUnsafe(ready, Effect.void) })
    return Stream.merge(Stream.fromEffect(Deferred.await(ready)), changes).pipe(
      Stream.debounce("50 millis"),
      Stream.mapEffect(() => read)
    )
  }))

const services = Layer.mergeAll(BreakerStore.layerMemory, NodeFileSystem.layer, Metrics.layerIsolated, Logger.layer([]))

describe("Resilience.reloadable", () => {
  it.live("[K-21] follows a file that is written, broken, removed and replaced by a rename", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const write = (deadline: string, name = "calls.yaml") =>
        fs.writeFileString(`${directory}/${name}`, `billing: { deadline: ${deadline} }\n`)
      yield* write("2 seconds")
      const billing = yield* Resilience.reloadable("billing", policies(directory, "calls.yaml"))
      const seconds = () => billing.policy.deadline === undefined ? 0 : Duration.toSeconds(billing.policy.deadline)
      assert.strictEqual(seconds(), 2)
      const isRejected = () => Effect.runSync(billing.status).rejection !== undefined
      yield* write("3 seconds")
      yield* eventually(() => seconds() === 3)
      yield* write("-1 second")
      yield* eventually(isRejected)
      assert.strictEqual(seconds(), 3)
      yield* write("4 seconds")
      yield* eventually(() => !isRejected() && seconds() === 4)
      yield* fs.remove(`${directory}/calls.yaml`)
      yield* eventually(isRejected)
      yield* write("5 seconds", "next.yaml")
      yield* fs.rename(`${directory}/next.yaml`, `${directory}/calls.yaml`)
      yield* eventually(() => !isRejected() && seconds() === 5)
      assert.deepInclude(yield* billing.status, { source: "open", draining: 0 })
    }).pipe(Effect.scoped, Effect.provide(services)))
})
