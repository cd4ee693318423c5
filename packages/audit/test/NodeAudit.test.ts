import { assert, describe, it } from "@effect/vitest"
import { AuditLog, type AuditOptions } from "@keelson/audit"
import * as NodeAudit from "@keelson/audit/NodeAudit"
import { eventually } from "@keelson/testing/eventually"
import { scriptedS3 } from "@keelson/testing/scriptedS3"
import { ConfigProvider, Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { bucket, objectStore } from "./objectStore.ts"
import { linesOf, namesOf, range, temporaryDirectory } from "./sinkSupport.ts"

const recordOne = AuditLog.AuditLog.use(({ record }) => record({ httpMethod: "GET", responseStatus: 200 }))

/** Runs a process until it has recorded 500 entries, ends it with a signal, and returns how many it recorded. */
const ended = async (signal: NodeJS.Signals, dir: string, url: string): Promise<number> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "auditProcess.ts"), dir, url], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const reported: Array<string> = []
  const lines = createInterface(child.stdout).on("line", (line) => {
    reported.push(line)
    if (line === "ready") child.kill(signal)
  })
  await Promise.all([once(child, "close"), once(lines, "close")])
  return Number(reported.at(-1))
}

const keysIn = (lines: ReadonlyArray<string>) => lines.map((line): number => Number(JSON.parse(line).object_key))

describe("NodeAudit", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`[S4-43] [S4-44] [R38] ${signal} loses nothing: the file and the object store have every entry`, () =>
      Effect.gen(function*() {
        const s3 = yield* scriptedS3({ buckets: [bucket], signatures: false })
        const dir = yield* temporaryDirectory
        const count = yield* Effect.promise(() => ended(signal, dir, s3.url))
        assert.isAtLeast(count, 500)
        const files = namesOf(join(dir, "file")).map((name) => join(dir, "file", name))
        assert.deepStrictEqual(keysIn(files.flatMap(linesOf)).toSorted((a, b) => a - b), range(0, count))
        assert.lengthOf(namesOf(join(dir, "spool")), 0)
        const stored = s3.requests.map(({ url }) => s3.get(bucket, url.slice(`/${bucket}/`.length))!.body!)
        const lines = stored.flatMap((body) => Buffer.from(body).toString().split("\n").slice(0, -1))
        assert.deepStrictEqual(keysIn(lines), range(0, count))
      }))
  }

  it.live("[S4-40] makes the log from code, text and the environment", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const path = (name: string) => join(dir, `${name}.jsonl`)
      const environment = ConfigProvider.fromEnvRecord({
        AUDIT_ENABLED: "true",
        AUDIT_FILE_PATH: path("environment")
      })
      yield* Effect.provide(recordOne, NodeAudit.layer({ enabled: true, file: { path: path("code") } }))
      const text = `audit: { enabled: true, outputs: [file], file: { path: ${path("text")} } }`
      yield* Effect.provide(recordOne, NodeAudit.layerText({ format: "yaml", text, section: "audit" }))
      yield* Effect.provide(
        recordOne,
        NodeAudit.layerConfig(["audit"]).pipe(
          Layer.provide(Layer.succeed(ConfigProvider.ConfigProvider, environment))
        )
      )
      assert.deepStrictEqual(namesOf(dir), ["code.jsonl", "environment.jsonl", "text.jsonl"])
      for (const name of namesOf(dir)) assert.lengthOf(linesOf(join(dir, name)), 1)
    }))

  it.live("[S4-40] records nothing unless it is enabled", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      yield* Effect.provide(recordOne, NodeAudit.layer({ file: { path: join(dir, "audit.jsonl") } }))
      assert.isFalse(existsSync(join(dir, "audit.jsonl")))
    }))

  it.live("[S4-40] refuses outputs without their section, sections of no output, and s3 without a store", () =>
    Effect.gen(function*() {
      const spoolDir = yield* temporaryDirectory
      const bad: ReadonlyArray<readonly [AuditOptions.Options, string]> = [
        [{}, "file"],
        [{ file: { path: "a" }, syslog: { host: "a" } }, "syslog"],
        [{ outputs: ["s3"], s3: { bucket: "logs", spoolDir } }, "outputs"]
      ]
      for (const [options, path] of bad) {
        const error = yield* Effect.flip(NodeAudit.make({ enabled: true, ...options }))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", path])
      }
    }))

  it.live("[S4-40] [S4-44] sends to all outputs; one that is down holds up none of the others", () =>
    Effect.gen(function*() {
      const s3 = yield* scriptedS3({ buckets: [bucket], signatures: false })
      const dir = yield* temporaryDirectory
      const audit = NodeAudit.layer({
        enabled: true,
        outputs: ["syslog", "file", "s3"],
        closeTimeout: "100 millis",
        file: { path: join(dir, "audit.jsonl") },
        // Nothing listens there.
        syslog: { host: "127.0.0.1", port: 1, protocol: "tcp" },
        s3: { bucket, spoolDir: join(dir, "spool") }
      }, { objectStore: () => Effect.succeed(objectStore(s3.url)) })
      const others = Effect.andThen(
        eventually(() => linesOf(join(dir, "audit.jsonl")).length === 1),
        eventually(() => namesOf(join(dir, "spool")).length === 1)
      )
      yield* Effect.provide(Effect.andThen(recordOne, others), audit)
      assert.lengthOf(linesOf(join(dir, "audit.jsonl")), 1)
      assert.lengthOf(s3.requests, 1)
    }))
})
