/** Real processes that share tokens. */
import { Deferred, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** What each process of a fleet is told when it starts. */
export interface FleetSettings {
  /** The path of the socket of Redis. */
  readonly redis: string
  readonly issuer: string
  /** The client's secret, and the key that encrypts stored tokens. */
  readonly secret: string
  readonly key: string
}

/** One kind of token. */
export interface Topic {
  readonly name: string
  /** The refresh token of the fleet; client credentials without one. */
  readonly refreshToken?: string | undefined
  /** `short` for two seconds. Default: ten seconds, so that no answer of Redis is late. */
  readonly timeout?: "short" | undefined
}

export interface Order {
  readonly number: number
  readonly topic: Topic
  readonly order: "get" | "refresh" | "replace" | "state"
}

export interface Reply {
  /** That of the order; -1 when the process is ready. */
  readonly number: number
  readonly text: string | undefined
  readonly code: string | undefined
}

export interface FleetProcess {
  /** The token's text, or the code of the error; `unchanged` for a replacement that is not made. */
  readonly ask: (topic: Topic, order: "get" | "refresh" | "replace") => Effect.Effect<string>
  readonly state: (topic: Topic) => Effect.Effect<{
    readonly acquisitions: number
    /** When it last sent a token request, which most processes never do. */
    readonly lastAttemptAt?: number | undefined
    readonly warnings: ReadonlyArray<string>
  }>
  /** Kills it with SIGKILL. Orders without an answer are answered with `killed`. */
  readonly kill: Effect.Effect<void>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Ends it as a shutdown does. */
  readonly end: Effect.Effect<void>
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const exited = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (hasEnded(child)) resume(Effect.void)
    else child.once("exit", () => resume(Effect.void))
  })

const script = join(import.meta.dirname, "fleetProcess.ts")

const spawned = (settings: FleetSettings): ChildProcess =>
  fork(script, {
    env: {
      ...process.env,
      FLEET: JSON.stringify(settings),
      NODE_COMPILE_CACHE: join(tmpdir(), "keelson-fleet-compiled")
    },
    execArgv: [],
    stdio: ["ignore", "inherit", "inherit", "ipc"]
  })

/** A process, once it is ready. */
const start = Effect.fnUntraced(function*(settings: FleetSettings): Effect.fn.Return<FleetProcess, never, Scope.Scope> {
  const child = yield* Effect.acquireRelease(Effect.sync(() => spawned(settings)), (running) =>
    Effect.suspend(() => {
      running.kill("SIGKILL")
      return exited(running)
    }))
  const waiting = new Map<number, Deferred.Deferred<Reply>>()
  const ready = yield* Deferred.make<Reply>()
  waiting.set(-1, ready)
  child.on("message", (reply: Reply) => {
    const deferred = waiting.get(reply.number)
    waiting.delete(reply.number)
    if (deferred !== undefined) Deferred.doneUnsafe(deferred, Effect.succeed(reply))
  })
  child.once("exit", () => {
    for (const [number, deferred] of waiting) {
      Deferred.doneUnsafe(deferred, Effect.succeed({ number, text: undefined, code: "killed" }))
    }
    waiting.clear()
  })
  let number = 0
  const tell = (topic: Topic, order: Order["order"]) =>
    Effect.suspend(() => {
      const deferred = Deferred.makeUnsafe<Reply>()
      number++
      waiting.set(number, deferred)
      child.send({ number, topic, order } satisfies Order)
      return Deferred.await(deferred)
    })
  const signal = (name: "SIGSTOP" | "SIGCONT") => Effect.sync(() => void child.kill(name))
  yield* Deferred.await(ready)
  return {
    ask: (topic, order) => Effect.map(tell(topic, order), ({ code, text }) => text ?? code ?? ""),
    state: (topic) => Effect.map(tell(topic, "state"), ({ text }) => JSON.parse(text ?? "{}")),
    kill: Effect.suspend(() => {
      child.kill("SIGKILL")
      return exited(child)
    }),
    freeze: signal("SIGSTOP"),
    thaw: signal("SIGCONT"),
    end: Effect.suspend(() => {
      child.send("end")
      return exited(child)
    })
  }
})

/** Processes that start at once. */
export const fleetProcesses = (
  count: number,
  settings: FleetSettings
): Effect.Effect<ReadonlyArray<FleetProcess>, never, Scope.Scope> =>
  Effect.forEach(Array.from({ length: count }), () => start(settings), { concurrency: "unbounded" })

/** The answers of all processes, which are asked at once. */
export const askAll = (
  fleet: ReadonlyArray<FleetProcess>,
  topic: Topic,
  order: "get" | "refresh" | "replace"
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.forEach(fleet, ({ ask }) => ask(topic, order), { concurrency: "unbounded" })

/** The place of the process that sent the first token request. */
export const senderOf = (fleet: ReadonlyArray<FleetProcess>, topic: Topic): Effect.Effect<number> =>
  Effect.map(
    Effect.forEach(fleet, ({ state }) => state(topic)),
    (states) => states.findIndex(({ lastAttemptAt }) => lastAttemptAt !== undefined)
  )
