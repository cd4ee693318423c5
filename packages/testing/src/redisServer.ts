/** A Redis server of the test's own, on a socket in a temporary directory. */
import { NodeRedis } from "@effect/platform-node"
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventually } from "./eventually.ts"

const isInstalled = spawnSync("redis-server", ["--version"]).error === undefined

/** Why the tests that need Redis are skipped; `undefined` where they are not. */
export const skipReason = isInstalled ? undefined : "redis-server is not installed"

if (!isInstalled && process.env["KEELSON_REQUIRE_REDIS"] === "1") {
  throw new Error("KEELSON_REQUIRE_REDIS is set, and redis-server is not installed")
}

export interface RedisServer {
  /** Of the socket. */
  readonly path: string
  /** A connection to it, as an application makes it. */
  readonly redis: ReturnType<typeof NodeRedis.layer>
  /** Stops the process without ending it: connections stay open, and nothing answers. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  /** Starts the process, and waits until it listens. It keeps no data. */
  readonly start: Effect.Effect<void>
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** A server that is not started yet. */
export const makeRedisServer: Effect.Effect<RedisServer, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(tmpdir(), "keelson-redis-"))
      const state: { child: ChildProcess | undefined } = { child: undefined }
      return { directory, state, path: join(directory, "redis.sock") }
    }),
    ({ directory, path, state }) =>
      Effect.andThen(end(state, path), Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
  ),
  ({ directory, path, state }) => ({
    path,
    redis: NodeRedis.layer({ socket: { path, tls: false } }),
    freeze: Effect.sync(() => void state.child?.kill("SIGSTOP")),
    thaw: Effect.sync(() => void state.child?.kill("SIGCONT")),
    kill: end(state, path),
    start: Effect.andThen(
      Effect.sync(() => {
        const options = ["--port", "0", "--unixsocket", path, "--dir", directory, "--save", "", "--appendonly", "no"]
        state.child = spawn("redis-server", options, { stdio: "ignore" })
      }),
      Effect.andThen(
        eventually(() => existsSync(path)),
        Effect.repeat(accepts(path), { until: (isAccepted) => isAccepted })
      )
    )
  })
)

/** Whether a connection to a socket is accepted: it is there a moment before that. */
const accepts = (path: string): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = connect(path)
    const end = (isAccepted: boolean): void => {
      socket.destroy()
      resume(Effect.succeed(isAccepted))
    }
    socket.once("connect", () => end(true))
    socket.once("error", () => end(false))
  })

/** Kills the process, frozen or not, and takes its socket away. */
const end = (state: { readonly child: ChildProcess | undefined }, path: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { child } = state
    if (child === undefined || hasEnded(child)) return Effect.void
    child.kill("SIGKILL")
    return Effect.andThen(
      eventually(() => hasEnded(child)),
      Effect.sync(() => rmSync(path, { force: true }))
    )
  })

/** A server that runs. */
export const redisServer: Effect.Effect<RedisServer, never, Scope.Scope> = Effect.tap(
  makeRedisServer,
  (server) => server.start
)
