/**
 * A Ceph RADOS Gateway for a test file: a real object store. One monitor, one OSD in memory and the gateway run as processes on
 * loopback with free ports and a directory of their own. It takes 20 seconds to start, and is for behaviour, not for load.
 *
 * It needs the Debian packages `radosgw`, `ceph-mon`, `ceph-osd` and `ceph-common`.
 */
import { Context, Effect, Exit, Layer, type Scope } from "effect"
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { get } from "node:http"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventually } from "./eventually.ts"

const commands = ["radosgw", "ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw-admin"]
const missing = commands.find((command) => spawnSync("which", [command], { stdio: "ignore" }).status !== 0)

/** The reason to skip tests that need the store; `undefined` if they run. */
export const skipReason = missing === undefined ? undefined : `${missing} is not installed`

/** The store. */
export class RgwServer extends Context.Service<RgwServer, {
  readonly url: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Suspends the gateway: connections stay open, and nothing responds. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}>()("@keelson/testing/RgwServer") {}

const accessKeyId = "keelson-test"
const secretAccessKey = "keelson-test-secret"

const freePort: Effect.Effect<number> = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** `ms mon client mode = crc` and its like are needed without authentication: the default asks for encrypted connections. */
const configuration = (directory: string, monitor: number, gateway: number): string => `
[global]
fsid = ${randomUUID()}
mon host = 127.0.0.1:${monitor}
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = true
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default pg num = 4
osd pool default pgp num = 4
mon max pg per osd = 1000
run dir = ${directory}/run
admin socket = ${directory}/run/$name.asok
log file = ${directory}/log/$name.log
pid file = ${directory}/run/$name.pid
ms bind ipv6 = false
ms mon client mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc
public addr = 127.0.0.1
cluster addr = 127.0.0.1
mon data avail crit = 1
mon data avail warn = 2
[mon]
mon data = ${directory}/mon
mon cluster log file = ${directory}/log/cluster.log
[mon.a]
mon addr = 127.0.0.1:${monitor}
host = localhost
[osd]
osd data = ${directory}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
osd crush update on start = false
[client]
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw data = ${directory}/rgw
rgw enable usage log = false
rgw gc max objs = 4
rgw lc max objs = 4
rgw num rados handles = 1
rgw thread pool size = 32
rgw run sync thread = false
debug rgw = 0
`

/** Runs a command to its end. */
const run = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.callback<string>((resume) => {
    const child = execFile(
      command,
      args,
      (error, stdout, stderr) =>
        resume(error === null ? Effect.succeed(stdout) : Effect.die(new Error(`${command} failed: ${stderr}`)))
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** A process in the scope, which also ends with this process. */
const daemon = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawn("setpriv", ["--pdeathsig", "KILL", command, ...args, "-f"], { stdio: "ignore" })),
    (child) =>
      Effect.suspend(() => {
        if (hasEnded(child)) return Effect.void
        child.kill("SIGKILL")
        return eventually(() => hasEnded(child))
      })
  )

const answers = (url: string): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const request = get(url, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode === 200))
    })
    request.on("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => request.destroy())
  })

/** What the processes wrote to their logs, for a start that failed. */
const logsOf = (directory: string): string =>
  ["mon.a", "osd.0", "client.rgw"].map((name) => join(directory, "log", `${name}.log`))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8").slice(-2000))
    .join("\n")

const start = Effect.fnUntraced(function*(directory: string) {
  const conf = join(directory, "ceph.conf")
  const monitor = yield* freePort
  const gateway = yield* freePort
  for (const name of ["mon", "osd", "rgw", "log", "run"]) mkdirSync(join(directory, name))
  writeFileSync(conf, configuration(directory, monitor, gateway))
  const fsid = /fsid = (.*)/.exec(readFileSync(conf, "utf8"))?.[1] ?? ""
  const map = join(directory, "monmap")
  yield* run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--add", "a", `127.0.0.1:${monitor}`, map)
  yield* run("ceph-mon", "-c", conf, "--mkfs", "-i", "a", "--monmap", map)
  yield* daemon("ceph-mon", "-c", conf, "-i", "a")
  const id = (yield* run("ceph", "-c", conf, "osd", "create")).trim()
  yield* run("ceph-osd", "-c", conf, "-i", id, "--mkfs")
  yield* run("ceph", "-c", conf, "osd", "crush", "add", `osd.${id}`, "1.0", "root=default", "host=h")
  yield* daemon("ceph-osd", "-c", conf, "-i", id)
  const process = yield* daemon("radosgw", "-c", conf, "-n", "client.rgw")
  const url = `http://127.0.0.1:${gateway}`
  yield* Effect.repeat(Effect.andThen(Effect.sleep("100 millis"), answers(url)), {
    until: (isUp) => isUp || hasEnded(process)
  })
  const user = ["user", "create", "--uid", "test", "--display-name", "test"]
  const keys = ["--access-key", accessKeyId, "--secret-key", secretAccessKey]
  yield* run("radosgw-admin", "-c", conf, ...user, ...keys)
  return RgwServer.of({
    url,
    region: "us-east-1",
    accessKeyId,
    secretAccessKey,
    freeze: Effect.sync(() => void process.kill("SIGSTOP")),
    thaw: Effect.sync(() => void process.kill("SIGCONT"))
  })
})

/** The store, started once for the tests that this is provided to. */
export const layer: Layer.Layer<RgwServer> = Layer.effect(
  RgwServer,
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-rgw-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
    ),
    (directory) =>
      Effect.onExit(start(directory), (exit) => Exit.isSuccess(exit) ? Effect.void : Effect.logError(logsOf(directory)))
  )
)
