/** Measures which share of the server thread's CPU time per request to an `HttpApi` is token validation. */
import { NodeHttpServer } from "@effect/platform-node"
import { StaticKeys } from "@keelson/jwks"
import { Claims, HttpSecurity, Principal, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Context, Effect, Layer, Schema, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { createServer } from "node:http"
import { Worker } from "node:worker_threads"
import type { Finding } from "../figures.ts"
import { each, spread } from "../measure.ts"
import type { Answer, Order } from "./client.ts"
import { audience, issuer, jwkOf, poolOf, signerOf } from "./issuer.ts"
import { cacheEntries } from "./validators.ts"

const group = "validation in a request, RS256"
const requests = 400
const rounds = 25

class CachingTokens
  extends TokenValidator.Service<CachingTokens>()("bench/CachingTokens", { claims: Claims.AccessToken })
{}
class UncachedTokens
  extends TokenValidator.Service<UncachedTokens>()("bench/UncachedTokens", { claims: Claims.AccessToken })
{}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("bench/Caller") {}
class Cached extends HttpSecurity.Service<Cached, Caller>()("bench/Cached") {}
class Verified extends HttpSecurity.Service<Verified, Caller>()("bench/Verified") {}

const Who = Schema.Struct({ client: Schema.String, subject: Schema.String })

const Api = HttpApi.make("bench").add(
  HttpApiGroup.make("open").add(HttpApiEndpoint.get("who", "/open", { success: Who })),
  HttpApiGroup.make("cached").add(HttpApiEndpoint.get("who", "/cached", { success: Who })).middleware(
    Cached
  ),
  HttpApiGroup.make("verified").add(HttpApiEndpoint.get("who", "/verified", { success: Who })).middleware(Verified)
)

const who = Effect.map(Caller, ({ claims }) => ({ client: claims.client_id, subject: claims.sub }))

const handlers = Layer.mergeAll(
  HttpApiBuilder.group(
    Api,
    "open",
    (endpoints) =>
      endpoints.handle("who", () => Effect.succeed({ client: "s6BhdRkqt3-web-frontend", subject: "nobody" }))
  ),
  HttpApiBuilder.group(Api, "cached", (endpoints) => endpoints.handle("who", () => who)),
  HttpApiBuilder.group(Api, "verified", (endpoints) => endpoints.handle("who", () => who))
)

const signer = signerOf("RS256")

const policy = (entries: number) =>
  ValidationPolicy.accessToken({
    issuers: [issuer],
    audiences: [audience],
    algorithms: [signer.alg],
    cacheEntries: entries
  })

const keys = StaticKeys.layer({
  issuers: [issuer],
  keys: [{ id: signer.kid, algorithm: signer.alg, jwk: jwkOf(signer) }]
})

const security = Layer.mergeAll(
  HttpSecurity.layer(Cached, { validator: CachingTokens, principal: Caller }),
  HttpSecurity.layer(Verified, { validator: UncachedTokens, principal: Caller })
).pipe(
  Layer.provide(Layer.merge(CachingTokens.layer(policy(cacheEntries)), UncachedTokens.layer(policy(0)))),
  Layer.provide(keys)
)

const api = HttpApiBuilder.layer(Api).pipe(Layer.provide(handlers), Layer.provide(security))

/** Serves the API until the scope closes. Returns the port. */
const serve = Effect.map(
  Layer.build(
    HttpRouter.serve(api, { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
    )
  ),
  (context) => {
    const { address } = Context.get(context, HttpServer.HttpServer)
    return "port" in address ? address.port : 0
  }
)

const client = Effect.acquireRelease(
  Effect.sync(() => new Worker(new URL("client.ts", import.meta.url))),
  (worker) => Effect.promise(() => worker.terminate())
)

const send = (worker: Worker, order: Order): Effect.Effect<void, string> =>
  Effect.callback((resume) => {
    worker.once("message", (answer: Answer) => {
      resume(
        answer === order.requests
          ? Effect.void
          : Effect.fail(`${order.path}: ${answer} of ${order.requests} requests got status 200`)
      )
    })
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    worker.postMessage(order)
  })

/** CPU time of this thread per request, in microseconds. */
const timed = (worker: Worker, order: Order): Effect.Effect<number, string> =>
  Effect.suspend(() => {
    const began = process.threadCpuUsage()
    return Effect.map(send(worker, order), () => {
      const { system, user } = process.threadCpuUsage(began)
      return (system + user) / order.requests
    })
  })

const paths = ["/open", "/cached", "/verified"] as const

export const shares: Effect.Effect<ReadonlyArray<Finding>, unknown, Scope.Scope> = Effect.gen(function*() {
  const port = yield* serve
  const worker = yield* client
  const tokens = poolOf(signer, requests)
  const found = paths.map((path) => ({ path, times: new Array<number>() }))
  // The first rounds only warm up.
  for (let round = -5; round < rounds; round++) {
    for (const { path, times } of found) {
      const micros = yield* timed(worker, { path, port, tokens, requests })
      if (round >= 0) times.push(micros)
    }
  }
  const [open = [], ...validated] = found.map(({ times }) => times)
  const percent = (what: string, times: ReadonlyArray<number>): Finding => ({
    group,
    what,
    value: spread(each(times, open, (all, without) => 100 * (all - without) / all)).median,
    unit: "%"
  })
  return [
    { group, what: "a request without validation, on the server's thread", value: spread(open).median, unit: "µs" },
    ...validated.map((times, index) =>
      percent(["share of validating a cached token", "share of validating an uncached token"][index] ?? "", times)
    )
  ]
})
