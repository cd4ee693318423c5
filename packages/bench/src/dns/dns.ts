/**
 * The application's own `dns.lookup` while the name server of its providers hangs, compared with the same lookups while nothing
 * else runs. `getaddrinfo` cannot be interrupted and has half of libuv's threads, so a library that calls it delays everybody.
 *
 * Runs in a new network namespace (Linux, `unshare`), in which this program is the name server.
 */
import { Effect, type Scope } from "effect"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Finding } from "../figures.ts"
import type { Times } from "./inside.ts"

const group = "the application's own dns.lookup"

/** A `resolv.conf` and a hosts file for the namespace. */
const folderOfFiles: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "keelson-dns-"))
    writeFileSync(join(folder, "resolv.conf"), "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
    writeFileSync(join(folder, "hosts"), "127.0.0.1 localhost\n")
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const runInside = (folder: string, minutes: number): Effect.Effect<Times, string> =>
  Effect.callback((resume) => {
    const script = join(import.meta.dirname, "inside.ts")
    const setUp = `ip link set lo up && mount --bind ${folder}/resolv.conf /etc/resolv.conf && ` +
      `mount --bind ${folder}/hosts /etc/hosts`
    const command = `${setUp} && exec "${process.execPath}" "${script}" ${minutes}`
    const args = ["--net", "--mount", "--map-root-user", "sh", "-c", command]
    const child = execFile("unshare", args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(JSON.parse(stdout))
          : Effect.fail(`No run in a network namespace (unshare): ${stderr || error.message}`)
      ))
    return Effect.sync(() => child.kill())
  })

const percentile = (times: ReadonlyArray<number>, share: number): number =>
  times.toSorted((a, b) => a - b)[Math.ceil(times.length * share) - 1] ?? Number.NaN

/** The figures of a run of some minutes, idle and hanging in turns of three seconds. */
export const dns = (minutes: number): Effect.Effect<ReadonlyArray<Finding>, unknown> =>
  Effect.gen(function*() {
    const { hanging, idle, pending } = yield* runInside(yield* folderOfFiles, minutes)
    const finding = (what: string, value: number, unit: Finding["unit"]): Finding => ({ group, what, value, unit })
    const added = percentile(hanging, 0.99) - percentile(idle, 0.99)
    const findings: ReadonlyArray<Finding> = [
      finding("lookups while nothing else runs", idle.length, ""),
      finding("lookups while 100 providers wait for a name server", hanging.length, ""),
      finding("fewest providers whose fetch was waiting after a turn", Math.min(...pending), ""),
      finding("median while nothing else runs", percentile(idle, 0.5), "ms"),
      finding("median while a name server hangs", percentile(hanging, 0.5), "ms"),
      finding("P99 while nothing else runs", percentile(idle, 0.99), "ms"),
      finding("P99 while a name server hangs", percentile(hanging, 0.99), "ms"),
      { ...finding("added latency at P99", added, "ms"), aim: { is: "at most", value: 10 } }
    ]
    return findings
  }).pipe(Effect.scoped)
