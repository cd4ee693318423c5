/** The compared lookups of one issuer's key, each in its best configuration and caching keys for an hour. */
import { JwksCache, JwksRegistry, KeySource } from "@keelson/jwks"
import { Context, Effect, Layer, type Scope } from "effect"
import buildGetJwks from "get-jwks"
import { createRemoteJWKSet } from "jose"
import { JwksClient } from "jwks-rsa"
import { createPublicKey, type KeyObject } from "node:crypto"
import { alg, egress, header, isRight, kid, type Origin } from "./origin.ts"

/** Looks up a key. */
export interface Lookup {
  /** The lookup as an effect. */
  readonly find: () => Effect.Effect<unknown, unknown>
  /** The lookup as another library's promise. */
  readonly bare: (() => Promise<unknown>) | undefined
  /** Whether the lookup returns the right key. */
  readonly isRight: Effect.Effect<boolean, unknown>
}

/** `make` returns a lookup in a new, empty cache. */
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

/** Uses `getJwk`, since `getPublicKey` converts the key to PEM each time. */
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
