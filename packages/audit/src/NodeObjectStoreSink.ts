/**
 * Stores audit entries in an object store, in batches that are kept on disk until they are stored.
 */
import * as Backoff from "@keelson/core/Backoff"
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Retry from "@keelson/core/Retry"
import * as RetryPolicy from "@keelson/core/RetryPolicy"
import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { resolve } from "node:path"
import { AuditError } from "./AuditError.ts"
import * as AuditOptions from "./AuditOptions.ts"
import type { AuditSink } from "./AuditSink.ts"
import { toFailure } from "./internal/file/NodeAppendFile.ts"
import { periodicSync } from "./internal/file/periodicSync.ts"
import { type Batch, Spool } from "./internal/spool/NodeSpool.ts"
import { ObjectStore } from "./ObjectStore.ts"

const decode = Configuration.decode(AuditOptions.Batches)

/** Delays between two rounds of attempts while the store is down. */
const outage = Backoff.schedule(Backoff.make({ initialDelay: "1 second", maxDelay: "1 minute", jitter: "equal" }))

/** How long the end of the program waits for the last batches to be stored. What is not stored then stays on disk. */
const closeLimit = Duration.seconds(5)

const toAuditError = (thrown: unknown): AuditError => {
  const { cause, operation } = toFailure(thrown)
  return new AuditError({ _tag: "ObjectStore", operation }, cause)
}

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, AuditError> =>
  Effect.uninterruptible(Effect.tryPromise({ try: run, catch: toAuditError }))

/**
 * Makes a sink that stores entries as objects of JSON lines, as `keelson-audit-2026-11-30-21-05-59-1f2e3d4c.jsonl`: the time (UTC) of
 * the first entry, and eight digits that are different for each batch. A batch is stored after `interval`, or before at
 * `maxBatchSize`; no entry is split.
 *
 * `write` returns when the entries are in a file in `spoolDir`: from then on they survive the end of this process, and within a second
 * after `flush` they are synced to the disk. The file is removed once the store has its batch. A store that is down delays nothing: batches wait, and are
 * tried again with a growing delay, up to a minute. Batches that an earlier run left are stored too. At the end of the scope the
 * sink stores what it has, for at most 5 seconds.
 *
 * A batch may be stored twice, under the same key: with a store that did not answer in time, or after a kill.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`), also for a directory that cannot be used. `write` fails with `AuditError`
 * (`AUDIT_STORE_FAILED`) if the disk fails, or the kept batches have `maxSpoolSize`.
 *
 * **Example** (A store in memory)
 *
 * ```ts import.meta.vitest
 * import { type AuditSink, ObjectStore } from "@keelson/audit"
 * import * as NodeObjectStoreSink from "@keelson/audit/NodeObjectStoreSink"
 * import { Effect } from "effect"
 * import { mkdtempSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const objects: Array<string> = []
 * const store = { put: ({ body }: ObjectStore.NewObject) => Effect.sync(() => { objects.push(new TextDecoder().decode(body)) }) }
 * const record: AuditSink.AuditRecord = { line: "{\"http_method\":\"GET\"}", level: "info", timestamp: 0, sequence: 1 }
 *
 * const spoolDir = mkdtempSync(join(tmpdir(), "audit-"))
 * const program = Effect.flatMap(NodeObjectStoreSink.make({ spoolDir }), (sink) => sink.write([record]))
 * await Effect.runPromise(Effect.scoped(program).pipe(Effect.provideService(ObjectStore.ObjectStore, store)))
 * objects // => ["{\"http_method\":\"GET\"}\n"]
 * ```
 */
export const make = Effect.fnUntraced(function*(
  options: AuditOptions.BatchOptions = {}
): Effect.fn.Return<AuditSink, KeelsonError.ConfigurationError, Scope.Scope | ObjectStore> {
  const { interval, maxBatchSize, maxSpoolSize, prefix = "", spoolDir, timeout } = yield* decode(options)
  const store = yield* ObjectStore
  const spool = new Spool(resolve(spoolDir), { maxSize: Number(maxSpoolSize), maxBatchSize: Number(maxBatchSize) })
  yield* Effect.mapError(
    attempt(() => spool.start()),
    (cause) => InvalidConfig.option("spoolDir", "a directory that this process may write, and no link", { cause })
  )
  const policy = RetryPolicy.make({
    maxAttempts: 3,
    initialDelay: "100 millis",
    maxDelay: "1 second",
    deadline: timeout,
    detach: true
  })
  const turn = Semaphore.makeUnsafe(1)
  const inTurn = (run: (now: number) => Promise<void>): Effect.Effect<void, AuditError> =>
    Effect.uninterruptible(
      turn.withPermits(1)(Effect.flatMap(Clock.currentTimeMillis, (now) => attempt(() => run(now))))
    )
  // What must happen is done by the one fiber that stores batches; it needs to know only that there is something to do.
  const wake = yield* Queue.sliding<void>(1)
  const seal = Effect.andThen(Effect.ignore(inTurn(() => spool.seal())), Queue.offer(wake, undefined))

  const warn = (message: string, { code, reason }: AuditError) =>
    Effect.annotateLogs(Effect.logWarning(message), {
      code,
      operation: reason.operation,
      batches: spool.waiting,
      bytes: spool.size
    })
  const setAside = (batch: Batch) => (error: AuditError) => {
    spool.forget(batch)
    return warn("Audit batch cannot be read or removed; its file is left in the spool", error)
  }
  const put = (batch: Batch, body: Uint8Array) =>
    Effect.mapError(
      Retry.retry(store.put({ key: prefix + batch.name, body, contentType: "application/x-ndjson" }), policy, {
        while: () => true
      }),
      (cause) => new AuditError({ _tag: "ObjectStore", operation: "put" }, cause)
    )
  let isDown = false
  const storeAll: Effect.Effect<void, AuditError> = Effect.gen(function*() {
    for (let batch = spool.oldest; batch !== undefined; batch = spool.oldest) {
      const oldest = batch
      const body = yield* Effect.catch(attempt(() => spool.read(oldest)), setAside(oldest))
      if (body === undefined) continue
      if (body.length > 0) yield* put(oldest, body)
      if (isDown) yield* Effect.logInfo("Audit batches are stored again")
      isDown = false
      yield* Effect.catch(attempt(() => spool.remove(oldest)), setAside(oldest))
    }
  })
  const noted = Effect.tapError(storeAll, (error) => {
    if (isDown) return Effect.void
    isDown = true
    return warn("Audit batches cannot be stored; they are kept on disk", error)
  })

  // Runs after the two fibers below were interrupted.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      seal,
      Effect.flatMap(waitAtMost(Effect.ignore(storeAll), closeLimit), () =>
        spool.waiting === 0 ? Effect.void : Effect.annotateLogs(
          Effect.logWarning("Audit batches are left on disk; the next start stores them"),
          { batches: spool.waiting, bytes: spool.size }
        ))
    )
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(wake), Effect.retry(noted, outage))))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(interval), seal)))
  yield* Queue.offer(wake, undefined)
  return {
    name: "s3",
    write: (records) =>
      records.length === 0 ? Effect.void : Effect.andThen(
        inTurn((now) => spool.write(records, now)),
        Effect.suspend(() => spool.waiting === 0 ? Effect.void : Queue.offer(wake, undefined))
      ),
    flush: yield* periodicSync({ isDirty: () => spool.isDirty, sync: inTurn(() => spool.sync()) })
  }
})
