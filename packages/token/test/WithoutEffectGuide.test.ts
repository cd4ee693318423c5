/** Runs the programs of docs/guides/without-effect.md as they are, except for the issuer's URL and the port. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { audience } from "@keelson/testing/tokens"
import { Effect, Exit, Layer, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { fastify } from "fastify"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { Agent, createServer as createHttpServer, get } from "node:http"
import { createServer } from "node:net"
import { join } from "node:path"
import { type Issuer, makeIssuer, request } from "./nodeAuthServers.ts"

const guide = readFileSync(join(import.meta.dirname, "../../../docs/guides/without-effect.md"), "utf8")

/** The program of each section that has one. */
const programs = new Map(
  guide.split(/^## /m).slice(1).flatMap((section): ReadonlyArray<readonly [string, string]> => {
    const program = /^```ts\n([\s\S]*?)^```/m.exec(section)?.[1]
    return program === undefined ? [] : [[section.slice(0, section.indexOf("\n")), program]]
  })
)

const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

interface Running {
  readonly url: string
  readonly process: ChildProcess
  readonly output: () => string
}

/** Starts a program of the guide, and waits until it listens. Node finds the packages below this one. */
const start = (name: string, issuer: Issuer): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    const port = yield* freePort
    const code = (programs.get(name) ?? "")
      .replace(
        `issuer: "https://idp.example"`,
        `issuer: "${issuer.url}", localDevelopment: true, egress: { proxy: "none" }`
      )
      .replace(`audience: "https://api.example"`, `audience: "${audience}"`)
      .replace(/listen\((?:\{ port: )?3000(?: \})?/, (call) => call.replace("3000", String(port)))
      .replace("port: 3000 })", `port: ${port} })`)
    const folder = join(import.meta.dirname, "../.scratch", `guide-${port}`)
    const file = join(folder, "program.ts")
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, code)
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    let output = ""
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "pipe"] })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const collect = (chunk: Buffer) => {
      output += chunk.toString()
    }
    child.stdout.on("data", collect)
    child.stderr.on("data", collect)
    const url = `http://127.0.0.1:${port}`
    const isUp: Effect.Effect<void> = Effect.suspend(() => {
      if (child.exitCode !== null) return Effect.die(new Error(`The program ended: ${output}`))
      return Effect.promise(() => fetch(url).then(() => true, () => false)).pipe(
        Effect.flatMap((up) => up ? Effect.void : Effect.andThen(Effect.sleep("20 millis"), isUp))
      )
    })
    yield* isUp
    return { url, process: child, output: () => output }
  })

describe("[K-46] the guide for applications without Effect", () => {
  it("[K-46] [K-28 H4] protects the first route in at most 10 lines in each framework", () => {
    for (const name of ["Express", "Fastify", "Hono"]) {
      const program = programs.get(name) ?? ""
      const count = program.split("\n").filter((line) => line !== "").length
      assert.isAtMost(count, 10, program)
    }
    assert.deepStrictEqual([...programs.keys()], [
      "Express",
      "Fastify",
      "Hono",
      "The caller",
      "Any other server",
      "Shutting down"
    ])
  })

  for (const name of ["Express", "Fastify", "Hono"]) {
    it.live(`[K-46] [K-28 H4] ${name}: the program of the guide runs as it is`, () =>
      Effect.gen(function*() {
        const issuer = yield* makeIssuer
        const { url } = yield* start(name, issuer)
        const token = yield* issuer.token({ scope: "reports:read" })
        const admitted = yield* request(`${url}/reports`, { token })
        assert.deepStrictEqual([admitted.status, JSON.parse(admitted.body)], [200, { caller: "user-1" }])
        const refused = yield* request(`${url}/reports`)
        assert.deepStrictEqual([refused.status, refused.headers.get("content-type")], [401, "application/problem+json"])
        assert.strictEqual(refused.headers.get("www-authenticate"), `Bearer realm="api"`)
        assert.strictEqual((yield* request(`${url}/reports`, { token: yield* issuer.token() })).status, 403)
        assert.match((yield* request(`${url}/metrics`)).body, /^# TYPE keelson_/m)
      }))
  }

  it.live("[K-46] [K-28 H4] the program with a schema refuses tokens without its claims and callers without a role", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const { url } = yield* start("The caller", issuer)
      const statusOf = (claims: Readonly<Record<string, unknown>>) =>
        Effect.flatMap(
          issuer.token({ scope: "reports:read", ...claims }),
          (token) => request(`${url}/tenant`, { token })
        )
      const admitted = yield* statusOf({ tenant: "acme", groups: ["staff"] })
      assert.deepStrictEqual([admitted.status, admitted.body], [200, "acme"])
      assert.strictEqual((yield* statusOf({ tenant: "acme" })).status, 403)
      assert.strictEqual((yield* statusOf({ groups: ["staff"] })).status, 401)
    }))

  it.live("[K-46] [K-28 H4] the program of node:http responds with problem details", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const { url } = yield* start("Any other server", issuer)
      assert.strictEqual((yield* request(url, { token: yield* issuer.token() })).body, "user-1")
      const refused = yield* request(url)
      assert.deepStrictEqual([refused.status, refused.headers.get("content-type")], [401, "application/problem+json"])
    }))

  it("[K-46] closing a server waits for no idle connection, with the two lines of the guide", async () => {
    const app = fastify({ keepAliveTimeout: 3_600_000 })
    let respond = () => {}
    const isRunning = new Promise<void>((resolve) => {
      app.get("/", (_, reply) => {
        respond = () => void reply.send("done")
        resolve()
      })
    })
    await app.listen({ host: "127.0.0.1", port: 0 })
    const agent = new Agent({ keepAlive: true })
    const port = new URL(app.listeningOrigin).port
    const response = new Promise<string | undefined>((resolve, reject) => {
      get({ agent, port, host: "127.0.0.1" }, (message) => {
        message.resume().once("end", () => resolve(message.headers.connection))
      }).once("error", reject)
    })
    await isRunning
    app.server.keepAliveTimeout = 1
    app.server.keepAliveTimeoutBuffer = 0
    const closed = app.close()
    respond()
    assert.strictEqual(await response, "keep-alive")
    // Without the two lines, this waits for an hour.
    await closed
    agent.destroy()
  })

  it("[K-46] closing Effect's server waits for no idle connection, with the layer of the page on operations", async () => {
    const server = createHttpServer({ keepAliveTimeout: 3_600_000 })
    const [running, respond] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const route = HttpRouter.add(
      "GET",
      "/",
      Effect.promise(() => {
        running.resolve()
        return respond.promise
      }).pipe(Effect.as(HttpServerResponse.text("done")))
    )
    const closeConnections = Layer.effectDiscard(Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.keepAliveTimeout = 1
        server.keepAliveTimeoutBuffer = 0
      })
    ))
    const live = closeConnections.pipe(
      Layer.provide(HttpRouter.serve(route, { disableLogger: true, disableListenLog: true })),
      Layer.provide(
        NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "1 hour" })
      )
    )
    const scope = Scope.makeUnsafe()
    await Effect.runPromise(Layer.buildWithScope(live, scope))
    const address = server.address()
    const agent = new Agent({ keepAlive: true })
    const status = new Promise<number | undefined>((resolve, reject) => {
      const port = typeof address === "object" && address !== null ? address.port : 0
      get({ agent, port, host: "127.0.0.1" }, (message) => {
        message.resume().once("end", () => resolve(message.statusCode))
      }).once("error", reject)
    })
    await running.promise
    const closed = Effect.runPromise(Scope.close(scope, Exit.void))
    respond.resolve()
    assert.strictEqual(await status, 200)
    // Without the layer, this waits for an hour.
    await closed
    agent.destroy()
  })

  it.live("[K-46] [K-28 H4] the program that shuts down exits once its requests are done", () =>
    Effect.gen(function*() {
      const issuer = yield* makeIssuer
      const running = yield* start("Shutting down", issuer)
      const token = yield* issuer.token({ scope: "reports:read" })
      assert.strictEqual((yield* request(`${running.url}/reports`, { token })).status, 200)
      const exit = yield* Effect.callback<number | null>((resume) => {
        running.process.once("exit", (code) => resume(Effect.succeed(code)))
        running.process.kill("SIGTERM")
      })
      assert.strictEqual(exit, 0, running.output())
    }))
})
