/**
 * One process of a fleet: providers whose tokens are shared in Redis. It does what its parent tells it, and answers with the
 * text of the token, or the code of the error.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as ClientAuth from "@keelson/token/ClientAuth"
import * as OAuthClient from "@keelson/token/OAuthClient"
import * as SharedTokens from "@keelson/token/SharedTokens"
import * as TokenProvider from "@keelson/token/TokenProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type { FleetSettings, Order, Reply, Topic } from "./fleetProcesses.ts"

const settings: FleetSettings = JSON.parse(process.env["FLEET"] ?? "{}")
const warnings: Array<string> = []

const sharedOf = (timeout: string | undefined) =>
  SharedTokens.layerRedis({
    redis: NodeRedis.layer({ socket: { path: settings.redis, tls: false } }),
    keys: [{ id: "test", key: Redacted.make(settings.key) }],
    // Patient: no test depends on how busy the machine is.
    timeout: timeout === undefined ? "10 seconds" : "2 seconds",
    lease: "1 minute"
  })

const client = {
  issuer: settings.issuer,
  auth: ClientAuth.secretBasic(Redacted.make(settings.secret)),
  allowLocalhost: true
} as const

const providerOf = Effect.fnUntraced(function*({ name, refreshToken, timeout }: Topic) {
  const shared = yield* Layer.build(sharedOf(timeout))
  const make = Effect.gen(function*() {
    // A parameter, so that each topic has its own token.
    const parameters = { topic: name }
    if (refreshToken === undefined) {
      const source = OAuthClient.clientCredentials({ ...client, clientId: "basic:client", scope: "read", parameters })
      return yield* TokenProvider.make({ name, source })
    }
    const { refreshTokenStore } = yield* SharedTokens.SharedTokens
    const store = yield* refreshTokenStore({ name, initial: Redacted.make(refreshToken) })
    return yield* TokenProvider.make({ name, source: OAuthClient.refreshToken({ ...client, clientId: "web", store }) })
  })
  return yield* Effect.provideContext(make, shared)
})

const send = (reply: Reply) => Effect.sync(() => void process.send?.(reply))

const answer = (provider: TokenProvider.TokenProvider["Service"], { number, order }: Order) => {
  if (order === "state") {
    return Effect.flatMap(
      provider.status,
      ({ counts: { acquisitions }, lastAttemptAt }) =>
        send({ number, text: JSON.stringify({ acquisitions, lastAttemptAt, warnings }), code: undefined })
    )
  }
  const run = order === "replace" ? Effect.flatMap(provider.get, provider.replace) : provider[order]
  return Effect.flatMap(Effect.result(run), (result) =>
    send(
      result._tag === "Success"
        ? {
          number,
          text: result.success === undefined ? "unchanged" : Redacted.value(result.success.value),
          code: undefined
        }
        : { number, text: undefined, code: result.failure.code }
    ))
}

const program = Effect.gen(function*() {
  const orders = yield* Queue.unbounded<Order | "end">()
  process.on("message", (order: Order | "end") => Queue.offerUnsafe(orders, order))
  process.on("disconnect", () => process.exit(0))
  const providers = new Map<string, TokenProvider.TokenProvider["Service"]>()
  yield* send({ number: -1, text: "ready", code: undefined })
  while (true) {
    const order = yield* Queue.take(orders)
    if (order === "end") return
    const { topic } = order
    const provider = providers.get(topic.name) ?? (yield* providerOf(topic))
    providers.set(topic.name, provider)
    yield* Effect.forkScoped(answer(provider, order))
  }
})

const logger = Logger.make(({ logLevel, message }) => {
  if (logLevel === "Warn") warnings.push(String(message))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Logger.layer([logger]))))
process.disconnect()
