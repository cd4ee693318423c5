import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import type { KeelsonError } from "@keelson/core"
import { eventually } from "@keelson/testing/eventually"
import { redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Effect, Fiber, FileSystem, Layer, Path, Redacted } from "effect"
import { KeyValueStore, Redis } from "effect/persistence"
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { decodeSnapshot, encodeSnapshot } from "../src/internal/snapshot/storedText.ts"
import * as JwksSnapshots from "../src/JwksSnapshots.ts"
import {
  type Backend,
  identity,
  jwksSnapshotsSuite,
  key,
  load,
  type Raw,
  remove,
  save,
  snapshot
} from "./JwksSnapshotsSuite.ts"
import { layerSqlite } from "./sqlite.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-snapshots-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** The name of a snapshot whose ids are plain. */
const nameOf = ({ providerId, tenantId }: JwksSnapshots.Identity) => `jwks-cache:${tenantId}:${providerId}`

const fileIn = (directory: string, of: JwksSnapshots.Identity) =>
  join(directory, `${createHash("sha256").update(nameOf(of)).digest("hex")}.jwks`)

const files = (directory: string): Raw => ({
  get: (of) => Effect.sync(() => readFileSync(fileIn(directory, of), "utf8")),
  set: (of, text) => Effect.sync(() => writeFileSync(fileIn(directory, of), text))
})

const file = (isSigned: boolean) =>
  Effect.map(temporaryDirectory, (directory): Backend => ({
    layer: (key) =>
      Layer.provide(JwksSnapshots.layerFile({ directory, key: isSigned ? key : undefined }), NodeServices.layer),
    raw: files(directory)
  }))

const redis = Effect.gen(function*() {
  const server = yield* redisServer
  const services = yield* Layer.build(server.redis)
  const { send } = Context.get(services, Redis.Redis)
  const timeout = "10 seconds"
  const raw: Raw = {
    get: (of) => Effect.orDie(send<string>("GET", nameOf(of))),
    set: (of, text) => Effect.orDie(send("SET", nameOf(of), text))
  }
  return {
    layer: (key: JwksSnapshots.SnapshotKey) =>
      Layer.provide(JwksSnapshots.layerRedis({ key, timeout }), Layer.succeedContext(services)),
    raw
  }
})

const keyValueStore = Effect.fnUntraced(function*<E>(stores: Layer.Layer<KeyValueStore.KeyValueStore, E>) {
  const services = yield* Layer.build(stores)
  const store = Context.get(services, KeyValueStore.KeyValueStore)
  const raw: Raw = {
    get: (of) => Effect.orDie(Effect.map(store.get(nameOf(of)), String)),
    set: (of, text) => Effect.orDie(store.set(nameOf(of), text))
  }
  return {
    layer: (key: JwksSnapshots.SnapshotKey) =>
      Layer.provide(JwksSnapshots.layerKeyValueStore({ key, timeout: "10 seconds" }), Layer.succeedContext(services)),
    raw
  }
})

describe("JwksSnapshots in memory", () => {
  jwksSnapshotsSuite(Effect.succeed({ layer: () => JwksSnapshots.layerMemory }), { isSigned: false })
})

describe("JwksSnapshots in files", () => {
  describe("signed", () => {
    jwksSnapshotsSuite(file(true), { isSigned: true })
  })
  describe("not signed", () => {
    jwksSnapshotsSuite(file(false), { isSigned: false })
  })
})

describe.skipIf(skipReason !== undefined)(`JwksSnapshots in Redis${skipReason ? ` (${skipReason})` : ""}`, () => {
  jwksSnapshotsSuite(redis, { isSigned: true })
})

describe("JwksSnapshots in a key-value store", () => {
  describe("in memory", () => {
    jwksSnapshotsSuite(keyValueStore(KeyValueStore.layerMemory), { isSigned: true })
  })
  describe("in files", () => {
    const stores = Effect.flatMap(
      temporaryDirectory,
      (directory) => keyValueStore(Layer.provide(KeyValueStore.layerFileSystem(directory), NodeServices.layer))
    )
    jwksSnapshotsSuite(stores, { isSigned: true })
  })
  describe("in a table of SQL", () => {
    const stores = Layer.provide(KeyValueStore.layerSql(), layerSqlite)
    jwksSnapshotsSuite(keyValueStore(stores), { isSigned: true })
  })
})

/** A key-value store in which every call has the same result. */
const storeThat = (call: Effect.Effect<never, KeyValueStore.KeyValueStoreError>) =>
  Layer.succeed(
    KeyValueStore.KeyValueStore,
    KeyValueStore.make({
      get: () => call,
      getUint8Array: () => call,
      set: () => call,
      remove: () => call,
      clear: call,
      size: call,
      keys: call
    })
  )

/** The code and the details that a layer fails with before it uses anything. */
const refusedAt = (
  layer: Layer.Layer<
    JwksSnapshots.JwksSnapshots,
    KeelsonError.ConfigurationError,
    FileSystem.FileSystem | KeyValueStore.KeyValueStore | Path.Path | Redis.Redis
  >
) => {
  const unused = Layer.mergeAll(
    storeThat(Effect.die("used")),
    Layer.mock(Redis.Redis, { eval: () => () => Effect.die("used") }),
    Path.layer
  )
  return Layer.build(Layer.provide(layer, [unused, FileSystem.layerNoop({})])).pipe(
    Effect.flip,
    Effect.map(({ code, details }): readonly [string, unknown] => [code, details])
  )
}

/** The errors of the three calls if every call of the store is this effect. */
const outcomes = (call: Effect.Effect<never, KeyValueStore.KeyValueStoreError>) =>
  Effect.forEach([save(snapshot), load(), remove(identity)], (one) => Effect.flip(one)).pipe(
    Effect.provide(Layer.provide(
      JwksSnapshots.layerKeyValueStore({ key, timeout: "20 millis" }),
      storeThat(call)
    ))
  )

const ofStore = (operation: string, reason: string) => ({ store: "keyValueStore", operation, reason })

describe("JwksSnapshots", () => {
  it.effect("[K-28 G4] [K-06] refuses a stored text of more than 20,000 values before it is parsed", () =>
    Effect.gen(function*() {
      const text = yield* encodeSnapshot({ ...snapshot, persistedAt: snapshot.receivedAt }, undefined)
      const expected = { identity, maxBytes: 1_048_576, now: snapshot.receivedAt }
      assert.strictEqual((yield* decodeSnapshot(text, undefined, expected)).body, snapshot.body)
      const values = Array.from({ length: 20_000 }, () => "{}").join()
      for (
        const hostile of [`\n{"a":[${values}]}`, text.replace("{", `{"a":[${values}],`), `\n${"[".repeat(30_000)}`]
      ) {
        const error = yield* Effect.flip(decodeSnapshot(hostile, undefined, expected))
        assert.strictEqual(error.reason, "malformed")
      }
    }))

  it.live("[K-06] [S1-35] fails within the limit if the store never responds, interruptible or not", () =>
    Effect.gen(function*() {
      for (const call of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        const errors = yield* outcomes(call)
        assert.deepStrictEqual(
          errors.map(({ code, details }): ReadonlyArray<unknown> => [code, details]),
          ["save", "load", "remove"].map((operation) => ["STORE_UNAVAILABLE", ofStore(operation, "timeout")])
        )
      }
    }))

  it.effect("[S1-35] [R21] fails if the store fails or dies, without the store's message", () =>
    Effect.gen(function*() {
      const said = new KeyValueStore.KeyValueStoreError({ method: "set", message: snapshot.body, key: "jwks-cache" })
      for (const call of [Effect.fail(said), Effect.die(said)]) {
        const errors = yield* outcomes(call)
        for (const error of errors) {
          assert.strictEqual(error._tag, "SnapshotUnavailable")
          assert.notMatch(JSON.stringify(error) + inspect(error), /kty|jwks-cache|issuer\.example/)
        }
        assert.deepStrictEqual(errors[0]?.details, ofStore("save", "failed"))
      }
    }))

  it.live("[R28] a save in a finalizer of an interrupted fiber ends within the limit, and is written", () =>
    Effect.gen(function*() {
      const { layer, raw } = yield* keyValueStore(KeyValueStore.layerMemory)
      const run = (store: Layer.Layer<JwksSnapshots.JwksSnapshots, unknown>) =>
        Effect.gen(function*() {
          const flush = Effect.ignore(save(snapshot))
          const fiber = yield* Effect.forkChild(Effect.ensuring(Effect.never, flush), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
        }).pipe(Effect.provide(store))
      yield* run(layer(key))
      assert.include(yield* raw.get(identity), "kty")
      yield* run(Layer.provide(
        JwksSnapshots.layerKeyValueStore({ key, timeout: "20 millis" }),
        storeThat(Effect.uninterruptible(Effect.never))
      ))
    }))

  it.live("interrupting a call interrupts the call to the store, and waits for nothing", () =>
    Effect.gen(function*() {
      let ended = 0
      const call = Effect.onInterrupt(Effect.never, () => Effect.andThen(Effect.sync(() => ended++), Effect.never))
      const store = Layer.provide(JwksSnapshots.layerKeyValueStore({ key, timeout: "10 seconds" }), storeThat(call))
      const fiber = yield* Effect.forkChild(Effect.provide(load(), store), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      yield* eventually(() => ended === 1)
    }))

  it.effect("[R18] a shared store is refused without a key of at least 32 bytes, by type and when it is made", () =>
    Effect.gen(function*() {
      // @ts-expect-error a key is required
      const missing: JwksSnapshots.SharedOptions = {}
      // @ts-expect-error one key at least is required
      const none: JwksSnapshots.SharedOptions = { key: [] }
      // @ts-expect-error a key must be redacted
      const shown: JwksSnapshots.SharedOptions = { key: "k".repeat(32) }
      const short = { key: Redacted.make(`${"\u00e4".repeat(15)}a`) }
      const noKey = ["CONFIG_MISSING", { missing_key: "key" }] as const
      const weak = ["KEY_INVALID", { path: "key", expected: "redacted text of at least 32 bytes" }] as const
      for (const options of [missing, none]) {
        assert.deepStrictEqual(yield* refusedAt(JwksSnapshots.layerKeyValueStore(options)), noKey)
        assert.deepStrictEqual(yield* refusedAt(JwksSnapshots.layerRedis(options)), noKey)
      }
      for (const options of [shown, short, { key: [key, short.key] as const }]) {
        assert.deepStrictEqual(yield* refusedAt(JwksSnapshots.layerKeyValueStore(options)), weak)
        assert.deepStrictEqual(yield* refusedAt(JwksSnapshots.layerRedis(options)), weak)
        assert.deepStrictEqual(yield* refusedAt(JwksSnapshots.layerFile({ ...options, directory: "x" })), weak)
      }
      yield* Layer.build(Layer.provide(
        JwksSnapshots.layerKeyValueStore({ key: Redacted.make("\u00e4".repeat(16)) }),
        KeyValueStore.layerMemory
      ))
    }))

  it.effect("refuses a time limit that is out of range, naming its bound", () =>
    Effect.gen(function*() {
      for (const timeout of ["0 millis", "11 seconds"] as const) {
        for (
          const layer of [
            JwksSnapshots.layerKeyValueStore({ key, timeout }),
            JwksSnapshots.layerRedis({ key, timeout }),
            JwksSnapshots.layerFile({ directory: "x", timeout })
          ]
        ) {
          const [code, details] = yield* refusedAt(layer)
          assert.strictEqual(code, "INVALID_CONFIG")
          assert.include(JSON.stringify(details), "from 1 milli to 10 seconds")
        }
      }
    }))
})
