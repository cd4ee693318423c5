/** One key of one issuer, looked up: what is compared, each configured at its best and keeping keys for an hour. */
import { JwksCache, JwksRegistry, KeySource } from "@keelson/jwks"
import { Context, Effect, Layer, type Scope } from "effect"
import buildGetJwks from "get-jwks"
import { createRemoteJWKSet } from "jose"
import { JwksClient } from "jwks-rsa"
import { createPublicKey, type KeyObject } from "node:crypto"
import { alg, egress, header, isRight, kid, type Origin } from "./origin.ts"

/** Looks a key up. */
export interface Lookup {
  /** As an application that is written with Effect has to. */
  readonly find: () => Effect.Effect<unknown, unknown>
  /** The promise of a peer, as it is. */
  readonly bare: (() => Promise<unknown>) | undefined
  /** Whether the right key is found. */
  readonly isRight: Effect.Effect<boolean, unknown>
}

/** `make` gives a lookup over a cache of its own, which has fetched nothing yet. */
export interface Contestant {
  readonly name: string
  readonly make: (origin: Origin) => Effect.Effect<Lookup, never, Scope.Scope>
}

const issuer = "https://idp.example"
const hour = 3_600_000

const candidates = (find: () => Effect.Effect<ReadonlyArray<KeySource.Candidate>, unknown>): Lookup => ({
  find,
  bare: undefined,
  isRight: Effect.flatMap(find(), ([first]) => Effect.promise(async () => first !== undefined && isRight(first.key)))
})

const promised = <A>(bare: () => Promise<A>, keyOf: (found: A) => CryptoKey | KeyObject): Lookup => ({
  find: () => Effect.promise(bare),
  bare,
  isRight: Effect.tryPromise(async () => isRight(keyOf(await bare())))
})

const options = (origin: Origin) => ({ issuer, url: origin.url, prefetch: false })

const built = <A, E>(layer: Layer.Layer<A, E>): Effect.Effect<Context.Context<A>, never, Scope.Scope> =>
  Effect.orDie(Layer.build(layer))

export const cache: Contestant = {
  name: "JwksCache.find",
  make: (origin) =>
    Effect.map(built(Layer.provide(JwksCache.layer(options(origin)), egress)), (context) => {
      const { find } = Context.get(context, JwksCache.JwksCache)
      return candidates(() => find(header))
    })
}

const keySource: Contestant = {
  name: "KeySource.find",
  make: (origin) =>
    Effect.map(built(Layer.provide(KeySource.layerJwks(options(origin)), egress)), (context) => {
      const { find } = Context.get(context, KeySource.KeySource)
      return candidates(() => find(issuer, header))
    })
}

const registry: Contestant = {
  name: "JwksRegistry.layerKeySource",
  make: (origin) =>
    Effect.gen(function*() {
      const context = yield* built(Layer.provide(JwksRegistry.layer, egress))
      const service = Context.get(context, JwksRegistry.JwksRegistry)
      yield* Effect.orDie(service.put({ tenantId: "bench", providerId: "idp" }, options(origin), { ifAbsent: true }))
      const { find } = service.keySource("bench")
      return candidates(() => find(issuer, header))
    })
}

export const keelson: ReadonlyArray<Contestant> = [cache, keySource, registry]

const jose: Contestant = {
  name: "jose",
  make: ({ url }) =>
    Effect.sync(() => {
      const getKey = createRemoteJWKSet(new URL(url), { cacheMaxAge: hour })
      return promised(() => getKey(header), (key) => key)
    })
}

const jwksRsa: Contestant = {
  name: "jwks-rsa",
  make: ({ url }) =>
    Effect.sync(() => {
      const client = new JwksClient({ jwksUri: url, cache: true, cacheMaxAge: hour })
      return promised(() => client.getSigningKey(kid), (key) => createPublicKey(key.getPublicKey()))
    })
}

/** `getJwk`: its other way, `getPublicKey`, makes a PEM of the key with each call. */
const getJwks: Contestant = {
  name: "get-jwks",
  make: ({ domain }) =>
    Effect.sync(() => {
      const keys = buildGetJwks({ ttl: hour, jwksPath: "/jwks.json" })
      return promised(
        () => keys.getJwk({ domain, alg, kid }),
        (key) => createPublicKey({ key, format: "jwk" })
      )
    })
}

export const peers: ReadonlyArray<Contestant> = [jose, jwksRsa, getJwks]
