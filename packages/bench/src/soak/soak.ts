/**
 * Runs Keelson for minutes beside keys that rotate, servers that fail and tokens that are junk, and measures whether its heap
 * grows. Fails if a junk token is accepted.
 */
import { BreakerStore } from "@keelson/core"
import { JwksRegistry } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Claims, ClientAuth, OAuthClient, TokenGuard, TokenValidator } from "@keelson/token"
import { Duration, Effect, Exit, Layer, Redacted, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { setTimeout } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import type { Finding } from "../figures.ts"
import { junkOf } from "./junk.ts"
import { type Answer, audience, issuers, type Order } from "./messages.ts"
import { type Sample, slopeOf } from "./slope.ts"

const tenant = "soak"
/** Good and junk tokens per round, and rounds per second. */
const perRound = 10
const pause = Duration.millis(50)
const sampleEvery = Duration.seconds(10)
/** Series, caches and compiled code need some minutes to reach their bounds. */
const warmUpOf = (minutes: number): number => Math.min(5, minutes / 4)

/** Results by their name. */
class Counts {
  readonly #counts = new Map<string, number>()

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by)
  }
  get(name: string): number {
    return this.#counts.get(name) ?? 0
  }
  toString(): string {
    return Array.from(this.#counts, ([name, count]) => `${name} ${count}`).toSorted().join(", ")
  }
}

const isPort = (answer: Answer): answer is Extract<Answer, { readonly port: number }> => "port" in answer

const next = (worker: Worker): Effect.Effect<Answer> =>
  Effect.callback((resume) => void worker.once("message", (answer: Answer) => resume(Effect.succeed(answer))))

/** The other side in its own thread. */
const startServer = Effect.gen(function*() {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(new URL("server.ts", import.meta.url))),
    (made) => Effect.promise(() => made.terminate())
  )
  const answer = yield* next(worker)
  const mint = (order: Order) =>
    Effect.suspend(() => {
      const minted = next(worker)
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
      worker.postMessage(order)
      return Effect.map(minted, (made) => isPort(made) ? [] : made.tokens)
    })
  return { mint, origin: `http://127.0.0.1:${isPort(answer) ? answer.port : 0}` }
})

const collected = Effect.promise(async () => {
  for (let turn = 0; turn < 4; turn++) {
    globalThis.gc?.()
    // oxlint-disable-next-line eslint/no-await-in-loop -- lets finalizers run between the collections
    await setTimeout(5)
  }
  return process.memoryUsage().heapUsed / 1024
})

/** Validates new and remembered tokens, and junk made from them. */
const callers = Effect.fnUntraced(function*(
  mint: (order: Order) => Effect.Effect<ReadonlyArray<string>>,
  validator: TokenValidator.TokenValidator<Claims.AccessToken>,
  counts: Counts
) {
  let round = 0
  const judge = (token: string, kind: "good" | "junk") =>
    Effect.map(Effect.exit(validator.validate(token)), (exit) =>
      counts.add(
        Exit.isSuccess(exit) ? `${kind} accepted` : `${kind} rejected`
      ))
  const turn = Effect.gen(function*() {
    const tokens = yield* mint({ count: perRound })
    round++
    yield* Effect.forEach(tokens, (token) => judge(token, "good"), { concurrency: "unbounded" })
    yield* Effect.forEach(tokens, (token) => judge(token, "good"))
    yield* Effect.forEach(tokens, (token, index) => judge(junkOf(token, round * perRound + index), "junk"))
    yield* Effect.sleep(pause)
  })
  yield* Effect.forkScoped(Effect.forever(turn))
})

/** Registers and removes providers, so that what they leave behind accumulates. */
const churn = Effect.fnUntraced(function*(
  registry: JwksRegistry.JwksRegistry["Service"],
  origin: string,
  counts: Counts
) {
  let number = 0
  const one = Effect.gen(function*() {
    const id = { tenantId: tenant, providerId: `churn-${++number}` }
    yield* registry.put(id, { issuer: `https://churn-${number}.example`, url: `${origin}/jwks.json` })
    yield* Effect.exit(registry.resolve(id, { alg: "ES256", kid: "soak-0" }))
    yield* registry.put(id, { issuer: `https://churn-${number}.example`, url: `${origin}/jwks.json`, ttl: "2 hours" })
    yield* registry.remove(id)
    counts.add("providers replaced and removed")
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(one), Effect.sleep("500 millis"))))
})

/** Sends guarded requests to an API that forgets tokens early. */
const requests = Effect.fnUntraced(function*(origin: string, counts: Counts) {
  const guard = yield* TokenGuard.make({
    name: "soak",
    origins: [origin],
    allowLocalhost: true,
    source: OAuthClient.clientCredentials({
      tokenEndpoint: `${origin}/token`,
      clientId: "soak",
      auth: ClientAuth.secretPost(Redacted.make("secret")),
      allowLocalhost: true
    })
  })
  const one = Effect.map(
    Effect.exit(Effect.flatMap(guard.get("/api"), (response) => Effect.as(response.text, response.status))),
    (exit) => counts.add(Exit.isSuccess(exit) ? `requests with ${exit.value}` : "requests failed")
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(one, Effect.sleep("100 millis"))))
})

const watch = Effect.fnUntraced(function*(minutes: number, counts: Counts) {
  const began = performance.now()
  const samples: Array<Sample> = []
  for (;;) {
    yield* Effect.sleep(sampleEvery)
    const minute = (performance.now() - began) / 60_000
    samples.push({ minute, kib: yield* collected })
    const last = samples.at(-1)?.kib ?? 0
    if (samples.length % 6 === 0) {
      process.stderr.write(`soak: ${minute.toFixed(1)} min, heap ${Math.round(last)} KiB; ${counts.toString()}\n`)
    }
    if (minute >= minutes) return samples
  }
})

const group = "soak"

/** The figures of a run of some minutes. */
export const soak = (minutes: number): Effect.Effect<ReadonlyArray<Finding>, unknown> =>
  Effect.gen(function*() {
    const { mint, origin } = yield* startServer
    const counts = new Counts()
    const registry = yield* JwksRegistry.JwksRegistry
    const names = Array.from({ length: issuers }, (_, index) => `${origin}/${index}`)
    for (const [index, issuer] of names.entries()) {
      yield* registry.put({ tenantId: tenant, providerId: `p${index}` }, { issuer, url: `${issuer}/jwks.json` })
    }
    const validator = yield* Effect.provide(
      TokenValidator.make("soak", {
        claims: Claims.AccessToken,
        policy: {
          profile: "accessToken",
          issuers: names,
          audiences: [audience],
          algorithms: ["ES256"],
          cacheEntries: 2_000
        }
      }),
      JwksRegistry.layerKeySource(tenant)
    )
    yield* callers(mint, validator, counts)
    yield* churn(registry, origin, counts)
    yield* requests(origin, counts)
    const samples = yield* watch(minutes, counts)
    if (counts.get("junk accepted") > 0) return yield* Effect.fail("A junk token was accepted")
    const warm = samples.filter(({ minute }) => minute >= warmUpOf(minutes))
    return [
      {
        group,
        what: `heap slope of ${minutes} minutes after warm-up, per minute`,
        value: slopeOf(warm),
        unit: "KiB",
        aim: { is: "at most", value: 100 }
      } as const,
      { group, what: "heap after warm-up", value: warm[0]?.kib ?? Number.NaN, unit: "KiB" } as const,
      { group, what: "heap at the end", value: warm.at(-1)?.kib ?? Number.NaN, unit: "KiB" } as const,
      { group, what: "tokens accepted", value: counts.get("good accepted"), unit: "" } as const,
      {
        group,
        what: "good tokens rejected, since a key set could not be fetched",
        value: counts.get("good rejected"),
        unit: ""
      } as const,
      { group, what: "junk tokens rejected", value: counts.get("junk rejected"), unit: "" } as const,
      {
        group,
        what: "providers replaced and removed",
        value: counts.get("providers replaced and removed"),
        unit: ""
      } as const,
      { group, what: "guarded requests answered", value: counts.get("requests with 200"), unit: "" } as const
    ]
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.mergeAll(
        Layer.provide(JwksRegistry.layer, Layer.orDie(NodeEgress.layer({ allowLocalhost: true, proxy: "none" }))),
        FetchHttpClient.layer,
        BreakerStore.layerMemory
      )
    ),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
