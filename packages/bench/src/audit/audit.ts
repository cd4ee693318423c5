/**
 * 10,000 audit entries per second to a file that is rotated, beside pino with pino-roll: CPU for an entry, losses, and the delay of the event
 * loop meanwhile. Each contestant runs alone for half of the minutes.
 */
import { AuditLog } from "@keelson/audit"
import * as NodeFileSink from "@keelson/audit/NodeFileSink"
import { Duration, Effect, type Scope } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { pino } from "pino"
import pinoRoll from "pino-roll"
import type { Finding } from "../figures.ts"

const group = "10,000 audit entries per second"
const perSecond = 10_000
const tickMillis = 10
/** The size of a file: several rotations in each run. */
const maxSize = 10

interface Contestant {
  readonly record: (index: number) => void
  readonly close: Effect.Effect<void>
}

const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

const keelson = (folder: string): Effect.Effect<Contestant, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const file = yield* NodeFileSink.make({ path: join(folder, "audit.jsonl"), maxSize: `${maxSize} MiB`, keep: 1_000 })
    const log = yield* AuditLog.make({ sinks: [file], bufferSize: "16 MiB" })
    return {
      record: (index) => {
        log.recordUnsafe({
          correlationId: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
          clientIp: "198.51.100.7",
          user: "alice",
          bucket: "products",
          objectKey: `images/${index}/large.png`,
          httpMethod: "GET",
          requestPath: `/products/images/${index}/large.png`,
          responseStatus: 200,
          responseSizeBytes: 10_240,
          duration: Duration.millis(12),
          cacheStatus: "hit",
          userAgent: agent,
          referer: "https://app.example/gallery"
        })
      },
      close: Effect.orDie(log.flush)
    }
  })

const withPino = (folder: string): Effect.Effect<Contestant> =>
  Effect.promise(async () => {
    const stream = await pinoRoll({
      file: join(folder, "audit"),
      size: `${maxSize}m`,
      extension: ".jsonl",
      mkdir: true
    })
    const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: ["authorization"] }, stream)
    return {
      record: (index) => {
        log.info({
          correlation_id: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
          client_ip: "198.51.100.7",
          user: "alice",
          bucket: "products",
          object_key: `images/${index}/large.png`,
          http_method: "GET",
          request_path: `/products/images/${index}/large.png`,
          response_status: 200,
          response_size_bytes: 10_240,
          duration_ms: 12,
          cache_status: "hit",
          user_agent: agent,
          referer: "https://app.example/gallery",
          sequence: index
        })
      },
      close: Effect.callback<void>((resume) => {
        stream.once("close", () => resume(Effect.void))
        stream.end()
      })
    }
  })

const folderOfFiles = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-audit-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Records entries at the rate for some seconds: late ticks are made up for. Returns how many. */
const load = (record: Contestant["record"], seconds: number): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    const began = performance.now()
    let count = 0
    const timer = setInterval(() => {
      const due = Math.min(seconds * perSecond, Math.floor((performance.now() - began) * perSecond / 1_000))
      while (count < due) record(++count)
      if (count < seconds * perSecond) return
      clearInterval(timer)
      resume(Effect.succeed(count))
    }, tickMillis)
    return Effect.sync(() => clearInterval(timer))
  })

interface Run {
  readonly micros: number
  readonly delay: number
  readonly missing: number
  readonly files: number
}

const run = <E>(make: (folder: string) => Effect.Effect<Contestant, E, Scope.Scope>, seconds: number) =>
  Effect.scoped(Effect.gen(function*() {
    const folder = yield* folderOfFiles
    const { close, record } = yield* make(folder)
    const warm = yield* load(record, 2)
    const delays = monitorEventLoopDelay({ resolution: 1 })
    delays.enable()
    const before = process.cpuUsage()
    const count = yield* load(record, seconds)
    const { system, user } = process.cpuUsage(before)
    delays.disable()
    yield* close
    const files = readdirSync(folder)
    const lines = files.reduce(
      (sum, name) => sum + readFileSync(join(folder, name), "latin1").split("\n").length - 1,
      0
    )
    const result: Run = {
      micros: (user + system) / count,
      delay: delays.percentile(99) / 1_000_000,
      missing: warm + count - lines,
      files: files.length
    }
    return result
  }))

/** The figures of a run of some minutes. */
export const audit = (minutes: number): Effect.Effect<ReadonlyArray<Finding>, unknown> =>
  Effect.gen(function*() {
    const seconds = Math.ceil(minutes * 30)
    const own = yield* run(keelson, seconds)
    const other = yield* run(withPino, seconds)
    const of = (name: string, { delay, files, micros, missing }: Run): ReadonlyArray<Finding> => [
      { group, what: `${name}: CPU for an entry`, value: micros, unit: "µs" },
      { group, what: `${name}: P99 of the delay of the event loop`, value: delay, unit: "ms" },
      { group, what: `${name}: entries that are in no file`, value: missing, unit: "" },
      { group, what: `${name}: files`, value: files, unit: "" }
    ]
    const aims = {
      0: { is: "at most", value: 15 },
      1: { is: "at most", value: 20 },
      2: { is: "exactly", value: 0 }
    } as const
    return [
      ...of("Keelson", own).map((finding, index) =>
        index === 0 || index === 1 || index === 2 ? { ...finding, aim: aims[index] } : finding
      ),
      ...of("pino with pino-roll", other),
      { group, what: "CPU of Keelson as a share of pino's", value: own.micros / other.micros, unit: "" }
    ]
  })
