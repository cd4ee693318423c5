/** A Redis server for this example, on a Unix socket in a temporary directory. */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Schedule, type Scope } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const isInstalled = (): boolean => spawnSync("redis-server", ["--version"]).error === undefined

export interface Server {
  /** Connects to the server, as an application does. */
  readonly redis: ReturnType<typeof NodeRedis.layer>
  readonly kill: Effect.Effect<void>
  /** Starts the process and waits until it listens. */
  readonly start: Effect.Effect<void>
}

/** Redis syncs each write to disk before it responds, so that no revocation is lost. */
const optionsOf = (directory: string, path: string) =>
  ["--port", "0", "--unixsocket", path, "--dir", directory, "--save", "", "--appendonly", "yes", "--appendfsync"]
    .concat("always")

const until = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { schedule: Schedule.spaced("5 millis"), until: (isMet) => isMet })

/** Starts a server that runs until the scope closes. */
export const makeServer: Effect.Effect<Server, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-example-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const path = join(directory, "redis.sock")
  let child: ChildProcess | undefined
  const start = Effect.andThen(
    Effect.sync(() => {
      child = spawn("redis-server", optionsOf(directory, path), { stdio: "ignore" })
    }),
    until(() => existsSync(path))
  )
  const kill = Effect.andThen(
    Effect.sync(() => child?.kill("SIGKILL")),
    Effect.andThen(
      until(() => child?.exitCode !== null || child.signalCode !== null),
      Effect.sync(() => rmSync(path, { force: true }))
    )
  )
  yield* Effect.acquireRelease(start, () => kill)
  return { redis: NodeRedis.layer({ socket: { path, tls: false } }), kill, start: Effect.asVoid(start) }
})
