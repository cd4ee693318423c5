/** A Redis Cluster of three servers for one test. */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"

export interface RedisCluster {
  readonly ports: ReadonlyArray<number>
  /** A connection to the first server, which follows no redirections. */
  readonly single: ReturnType<typeof NodeRedis.layer>
  /** A connection by the cluster client of node-redis, which follows them. */
  readonly clustered: Layer.Layer<Redis.Redis, Redis.RedisError>
}

const host = "127.0.0.1"

/** Ports that are free now. */
const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const servers = await Promise.all(
    Array.from({ length: count }, () =>
      new Promise<ReturnType<typeof createServer>>((resolve) => {
        const server = createServer()
        server.listen(0, host, () => resolve(server))
      }))
  )
  // oxlint-disable-next-line no-unsafe-type-assertion -- a server on a port has such an address
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

const start = (directory: string, port: number, bus: number): ChildProcess =>
  spawn(
    "redis-server",
    [
      `--port ${port} --bind ${host} --cluster-enabled yes --cluster-port ${bus}`.split(" "),
      ["--cluster-config-file", join(directory, `${port}.conf`), "--dir", directory],
      ["--save", "", "--appendonly", "no"]
    ].flat(),
    { stdio: "ignore" }
  )

const connection = (port: number) => NodeRedis.layer({ url: `redis://${host}:${port}` })

/** Runs a command on one server, again until it succeeds. */
const command = (port: number, name: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(Redis.Redis, (redis) => redis.send(name, ...args)).pipe(Effect.provide(connection(port)))
  )

const patiently = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A> =>
  Effect.catch(effect, () => Effect.andThen(Effect.promise(() => setTimeout(50)), patiently(effect)))

interface ClusterClient {
  readonly connect: () => Promise<unknown>
  readonly close: () => Promise<unknown>
  readonly on: (event: "error", listener: () => void) => unknown
  readonly sendCommand: (key: string | undefined, isReadonly: boolean, args: ReadonlyArray<string>) => Promise<unknown>
  readonly masters: ReadonlyArray<unknown>
  readonly nodeClient: (
    node: unknown
  ) => Promise<{ readonly sendCommand: (args: ReadonlyArray<string>) => Promise<unknown> }>
}

/** node-redis as `@effect/platform-node` has it. */
const nodeRedis = (): { readonly createCluster: (options: unknown) => ClusterClient } =>
  // oxlint-disable-next-line no-unsafe-type-assertion -- the types of a module that is loaded by name
  createRequire(createRequire(import.meta.url).resolve("@effect/platform-node"))("redis") as ReturnType<
    typeof nodeRedis
  >

/** The key by which a command is sent to a node. */
const keyOf = (command: string, args: ReadonlyArray<string>): string | undefined =>
  command === "EVALSHA" || command === "EVAL" ? args[2] : args[0]

const clustered = (ports: ReadonlyArray<number>): Layer.Layer<Redis.Redis, Redis.RedisError> =>
  Layer.effect(
    Redis.Redis,
    Effect.gen(function*() {
      const attempt = <A>(run: () => Promise<unknown>) =>
        Effect.tryPromise({
          // oxlint-disable-next-line no-unsafe-type-assertion -- the type of a reply is the caller's
          try: () => run() as Promise<A>,
          catch: (cause) => new Redis.RedisError({ cause })
        })
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const made = nodeRedis().createCluster({
            rootNodes: ports.map((port) => ({ url: `redis://${host}:${port}` }))
          })
          made.on("error", () => {})
          return made
        }),
        (made) => Effect.ignoreCause(Effect.promise(() => made.close()))
      )
      yield* attempt(() => client.connect())
      return yield* Redis.make({
        send: (name, ...args) =>
          name === "SCRIPT"
            // Each node has its own scripts.
            ? Effect.map(
              Effect.forEach(
                client.masters,
                (node) => attempt<never>(async () => (await client.nodeClient(node)).sendCommand([name, ...args]))
              ),
              ([first]) => first!
            )
            : attempt(() => client.sendCommand(keyOf(name, args), false, [name, ...args])),
        subscribe: () => Effect.die(new Error("not used")),
        connect: Effect.die(new Error("not used"))
      })
    })
  )

/** Three servers with a third of the slots each. */
export const redisCluster: Effect.Effect<RedisCluster, never, Scope.Scope> = Effect.gen(function*() {
  const ports = yield* Effect.promise(() => freePorts(6))
  const nodes = ports.slice(0, 3)
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(join(tmpdir(), "keelson-cluster-"))
      return { directory, children: nodes.map((port, index) => start(directory, port, ports[index + 3]!)) }
    }),
    ({ children, directory }) =>
      Effect.promise(async () => {
        await Promise.all(children.map((child) =>
          new Promise((resolve) => {
            child.once("exit", resolve)
            if (child.exitCode !== null || !child.kill("SIGKILL")) resolve(undefined)
          })
        ))
        rmSync(directory, { recursive: true, force: true })
      })
  )
  const slots = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]] as const
  for (const [index, port] of nodes.entries()) {
    yield* patiently(command(port, "PING"))
    yield* patiently(command(port, "CLUSTER", "ADDSLOTSRANGE", ...slots[index]!))
    if (index > 0) yield* patiently(command(nodes[0]!, "CLUSTER", "MEET", host, String(port), String(ports[index + 3])))
  }
  for (const port of nodes) {
    while (!String(yield* patiently(command(port, "CLUSTER", "INFO"))).includes("cluster_state:ok")) {
      yield* Effect.promise(() => setTimeout(50))
    }
  }
  return { ports: nodes, single: connection(nodes[0]!), clustered: clustered(nodes) }
})
