/** Memory of a provider: the heap in use after garbage collection, divided by the number of providers. */
import { Egress, JwksRegistry } from "@keelson/jwks"
import { Context, Effect, Layer, type Scope } from "effect"
import buildGetJwks from "get-jwks"
import { createRemoteJWKSet, customFetch, importJWK } from "jose"
import { JwksClient } from "jwks-rsa"
import { setTimeout } from "node:timers/promises"
import { parse } from "../../../jwks/src/internal/keys/keySet.ts"
import type { Finding } from "../figures.ts"
import { alg, document, header, kid } from "./origin.ts"

const group = "memory of a provider"
const hour = 3_600_000
const issuerOf = (index: number): string => `https://idp${index}.example`
const urlOf = (index: number): string => `${issuerOf(index)}/jwks.json`
const headers = { "content-type": "application/jwk-set+json", "cache-control": "max-age=3600", etag: "\"1\"" }

/** Returns a new copy of the text for each response, as a network would. */
const bytes = new TextEncoder().encode(document)
const fetched = () => Promise.resolve(new Response(bytes, { headers }))
const body = (): string => new TextDecoder().decode(bytes)

const egress = Layer.succeed(Egress.Egress, {
  check: (url) => Effect.sync(() => new URL(url)),
  get: ({ url }) =>
    Effect.sync(() => ({ status: 200, headers: { ...headers }, body: bytes.slice(), url: new URL(url) }))
})

type Build = (providers: number) => Effect.Effect<unknown, unknown, Scope.Scope>

const collected = async (): Promise<number> => {
  // Lets pending work end before the collection.
  await setTimeout(20)
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** The heap once a collection frees no more: what ten thousand closed providers held takes several. */
const used = Effect.promise(async () => {
  let before = await collected()
  for (let steady = 0; steady < 3;) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const now = await collected()
    steady = before - now < 4096 ? steady + 1 : 0
    before = now
  }
  return before
})

/** KiB per item for the given number of items, which are referenced until the heap is measured. */
const weigh = Effect.fnUntraced(function*(build: Build, providers: number) {
  const before = yield* used
  const held = yield* build(providers)
  const after = yield* used
  return held === undefined ? Number.NaN : (after - before) / providers / 1024
}, Effect.scoped)

const forEach = <E, R>(providers: number, f: (index: number) => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(Array.from({ length: providers }, (_, index) => index), f, { concurrency: 64 })

const registryOf = Effect.fnUntraced(function*(providers: number) {
  const context = yield* Layer.build(Layer.provide(JwksRegistry.layer, egress))
  const registry = Context.get(context, JwksRegistry.JwksRegistry)
  yield* forEach(
    providers,
    (index) =>
      registry.put({ tenantId: "bench", providerId: `p${index}` }, { issuer: issuerOf(index), url: urlOf(index) }, {
        ifAbsent: true
      })
  )
  const isReady = Effect.map(registry.statuses(), (all) => all.every(({ status }) => status.state === "Ready"))
  yield* Effect.repeat(Effect.delay(isReady, "20 millis"), { until: (ready) => ready })
  return registry
})

/** Keys are fetched and never looked up. */
const idle: Build = registryOf

/** Each provider's key is looked up once. */
const asked: Build = (providers) =>
  Effect.tap(
    registryOf(providers),
    (registry) =>
      forEach(providers, (index) => registry.resolve({ tenantId: "bench", providerId: `p${index}` }, header))
  )

/** The keys alone, imported as a provider imports them. */
const keys: Build = (providers) =>
  forEach(providers, () =>
    parse(body(), {
      generation: 1,
      importKey: (key) =>
        Effect.map(
          Effect.promise(() => importJWK({ ...key.material }, alg, { extractable: false })),
          (made) => {
            if (!("type" in made)) throw new Error("not a key of WebCrypto")
            return made
          }
        )
    }))

const jose: Build = (providers) =>
  forEach(providers, (index) => {
    const getKey = createRemoteJWKSet(new URL(urlOf(index)), { cacheMaxAge: hour, [customFetch]: fetched })
    return Effect.as(Effect.promise(() => getKey(header)), getKey)
  })

const jwksRsa: Build = (providers) =>
  forEach(providers, (index) => {
    const client = new JwksClient({
      jwksUri: urlOf(index),
      cacheMaxAge: hour,
      fetcher: async () => JSON.parse(body())
    })
    return Effect.as(Effect.promise(() => client.getSigningKey(kid)), client)
  })

/** One client for all issuers, as get-jwks intends. It uses the global `fetch`. */
const getJwks: Build = (providers) =>
  Effect.gen(function*() {
    const own = globalThis.fetch
    globalThis.fetch = fetched
    yield* Effect.addFinalizer(() => Effect.sync(() => void (globalThis.fetch = own)))
    const client = buildGetJwks({ max: providers, ttl: hour, jwksPath: "/jwks.json" })
    yield* forEach(providers, (index) => Effect.promise(() => client.getJwk({ domain: issuerOf(index), alg, kid })))
    return client
  })

const weighed = Effect.fnUntraced(function*(build: Build, providers: number) {
  yield* weigh(build, 100)
  return yield* weigh(build, providers)
})

export const memory: Effect.Effect<ReadonlyArray<Finding>, unknown> = Effect.gen(function*() {
  const own = yield* weighed(keys, 1000)
  const finding = (what: string, value: number, limit?: number): Finding => ({
    group,
    what,
    value,
    unit: "KiB",
    ...(limit === undefined ? undefined : { aim: { is: "at most", value: limit } })
  })
  return [
    finding("its keys alone", own),
    finding("1,000 idle, beyond their keys", (yield* weighed(idle, 1000)) - own, 6),
    finding("10,000 idle, beyond their keys", (yield* weighed(idle, 10_000)) - own),
    finding("1,000 asked once, beyond their keys", (yield* weighed(asked, 1000)) - own, 9),
    finding("jose, 1,000 asked once, with their keys", yield* weighed(jose, 1000)),
    finding("jwks-rsa, 1,000 asked once, with their keys", yield* weighed(jwksRsa, 1000)),
    finding("get-jwks, one for 1,000 asked once, with their keys", yield* weighed(getJwks, 1000))
  ]
})
