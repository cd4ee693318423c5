/**
 * A gateway before two stores, with a real OpenID provider, all on 127.0.0.1: `node examples/src/gateway.ts`. It plays reads, refusals, a
 * purge, an outage of a store, a reload and the end, and prints which promises were kept. The exit code is 0 if all were.
 */
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { LocalDevelopment } from "@keelson/core"
import { GatewayConfig } from "@keelson/gateway"
import * as NodeGateway from "@keelson/gateway/NodeGateway"
import { Console, Effect, FileSystem, References } from "effect"
import * as Http from "node:http"
import { makeProvider } from "./gateway/provider.ts"
import { makeStore, type Store } from "./gateway/store.ts"
import { columns } from "./text.ts"

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Http.IncomingHttpHeaders
}

/** The requests that belong into the audit log: all but those about health. */
let audited = 0

/** Requests with the target as it is: a key is not a path. */
const send = (port: number, target: string, headers: Http.OutgoingHttpHeaders = {}, method = "GET") =>
  Effect.callback<Answer>((resume) => {
    if (!target.startsWith("/-/")) audited++
    const request = Http.request(
      { host: "127.0.0.1", port, path: target, method, headers, agent: false },
      (response) => {
        let text = ""
        response.on("data", (chunk) => text += String(chunk))
        response.on(
          "end",
          () => resume(Effect.succeed({ status: response.statusCode ?? 0, text, headers: response.headers }))
        )
      }
    )
    request.on("error", (error) => resume(Effect.die(error)))
    request.end()
  })

const configOf = (
  issuer: string,
  stores: ReadonlyArray<Store>,
  directory: string,
  path: string
): GatewayConfig.Options => {
  const policy = { profile: "accessToken", issuers: [issuer], algorithms: ["RS256"], jwks: {} } as const
  return {
    listen: { port: 0 },
    admin: { enabled: true, port: 0 },
    auth: {
      default: { ...policy, audiences: ["https://files.example/"] },
      admin: { ...policy, audiences: ["https://admin.example/"] }
    },
    cache: {
      enabled: true,
      layers: ["memory", "disk"],
      memory: { maxSize: "16 MiB", maxItemSize: "1 MiB" },
      disk: { dir: `${directory}/cache`, maxSize: "64 MiB", maxItemSize: "1 MiB" }
    },
    audit: { enabled: true, file: { path: `${directory}/audit.jsonl` } },
    drain: { delay: "200 millis", timeout: "5 seconds" },
    buckets: [{
      name: "files",
      path,
      require: { scopes: ["files:read"] },
      replicas: stores.map(({ url }) => ({ endpoint: url, bucket: "files", credentials: { anonymous: true } }))
    }]
  }
}

const play = Effect.gen(function*() {
  const promises: Array<readonly [string, boolean]> = []
  const promise = (text: string, kept: boolean) => void promises.push([text, kept])
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  const { issuer, token } = yield* makeProvider
  const objects = { "/files/a b.txt": "hello, gateway", "/files/second": "from any replica" }
  const [primary, replica] = [yield* makeStore(objects), yield* makeStore(objects)]
  const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
  const reader = bearer(yield* token("https://files.example/", "files:read"))
  const stranger = bearer(yield* token("https://files.example/", ""))
  const admin = bearer(yield* token("https://admin.example/", "gateway:admin"))

  let path = "/files"
  yield* Effect.scoped(Effect.gen(function*() {
    const source = Effect.suspend(() => GatewayConfig.decode(configOf(issuer, [primary, replica], directory, path)))
    const gateway = yield* NodeGateway.make(source)
    const { port } = gateway.address
    const adminPort = gateway.adminAddress?.port ?? 0

    const cold = yield* send(port, "/files/a%20b.txt", reader)
    promise("a cold read is the store's object", cold.status === 200 && cold.text === "hello, gateway")
    const before = primary.requests
    const hot = yield* send(port, "/files/a%20b.txt", reader)
    promise("a hot read asks no store", hot.text === cold.text && primary.requests === before)
    promise(
      "no token: 401 with a challenge, though it is cached",
      yield* Effect.map(
        send(port, "/files/a%20b.txt"),
        ({ headers, status }) => status === 401 && headers["www-authenticate"] !== undefined
      )
    )
    promise("no scope: 403", (yield* send(port, "/files/a%20b.txt", stranger)).status === 403)
    const part = yield* send(port, "/files/a%20b.txt", { ...reader, range: "bytes=0-4" })
    promise("a range of the entry: 206", part.status === 206 && part.text === "hello")
    const known = yield* send(port, "/files/a%20b.txt", { ...reader, "if-none-match": String(hot.headers.etag) })
    promise("a known ETag: 304", known.status === 304)
    const purged = yield* send(adminPort, "/admin/cache/purge/files/a%20b.txt", admin, "POST")
    yield* send(port, "/files/a%20b.txt", reader)
    promise("a purged object is read again", purged.status === 200 && primary.requests > before)
    promise(
      "an administrator's call needs its own token",
      (yield* send(adminPort, "/admin/cache/stats", reader)).status === 401
    )

    primary.isDown = true
    const failover = yield* send(port, "/files/second", reader)
    promise("the first store fails: the second answers", failover.status === 200 && replica.requests > 0)
    replica.isDown = true
    promise("all stores fail: what is cached is served", (yield* send(port, "/files/second", reader)).status === 200)
    promise("all stores fail: 503 for the rest", (yield* send(port, "/files/third", reader)).status === 503)
    primary.isDown = replica.isDown = false

    path = "/moved"
    yield* gateway.reload
    promise(
      "a reload takes the new path and keeps the cache",
      yield* Effect.map(
        send(port, "/moved/second", reader),
        ({ headers }) => String(headers["cache-status"]).includes("hit")
      )
    )
    path = "not a path"
    promise(
      "a bad configuration changes nothing",
      yield* Effect.map(
        Effect.andThen(Effect.exit(gateway.reload), send(port, "/moved/second", reader)),
        ({ status }) => status === 200
      )
    )
    yield* Effect.forkChild(gateway.drain)
    yield* Effect.sleep("50 millis")
    promise(
      "a draining gateway is not ready, and still answers",
      yield* Effect.map(
        Effect.all([send(port, "/-/ready"), send(port, "/moved/second", reader)]),
        ([ready, answer]) => ready.status === 503 && answer.status === 200
      )
    )
  }))
  const lines = (yield* fs.readFileString(`${directory}/audit.jsonl`)).trim().split("\n")
  promise(
    "every request has one audit entry, without tokens",
    lines.length === audited && !lines.join("").includes("Bearer ey")
  )

  yield* Console.log(columns(["promise", "kept"], promises.map(([text, kept]) => [text, kept ? "yes" : "NO"])))
  if (promises.some(([, kept]) => !kept)) process.exitCode = 1
})

NodeRuntime.runMain(play.pipe(
  Effect.scoped,
  Effect.provideService(References.MinimumLogLevel, "None"),
  Effect.provide([NodeFileSystem.layer, LocalDevelopment.layer])
))
