/**
 * Prints, as JSON, the source files of the three packages whose functions run during a validation: of a token seen for
 * the first time, and of the same token once more. Runs in a process of its own, over the sources.
 */
import * as Egress from "@keelson/jwks/Egress"
import * as KeySource from "@keelson/jwks/KeySource"
import * as StaticKeys from "@keelson/jwks/StaticKeys"
import * as Claims from "@keelson/token/Claims"
import * as TokenValidator from "@keelson/token/TokenValidator"
import * as ValidationPolicy from "@keelson/token/ValidationPolicy"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { Session } from "node:inspector/promises"

const issuer = "https://idp.example"
const { privateKey, publicKey } = await generateKeyPair("ES256")
const jwk = { ...await exportJWK(publicKey), kid: "one", alg: "ES256", use: "sig" }

const sign = (jti: string): Promise<string> =>
  new SignJWT({ sub: "user", client_id: "client", jti })
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: "one" })
    .setIssuer(issuer)
    .setAudience("api")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey)

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: ["api"], algorithms: ["ES256"] })

/** An egress that answers with the key set, without a network. */
const egress = Layer.succeed(Egress.Egress, {
  check: (url) => Effect.succeed(new URL(url)),
  get: ({ url }) =>
    Effect.succeed({
      status: 200,
      headers: { "content-type": "application/jwk-set+json" },
      body: new TextEncoder().encode(JSON.stringify({ keys: [jwk] })),
      url: new URL(url)
    })
})

const sources = {
  staticKeys: StaticKeys.layer({ issuers: [issuer], keys: [{ algorithm: "ES256", jwk }] }),
  jwks: Layer.provide(KeySource.layerJwks({ issuer, url: `${issuer}/jwks` }), egress)
}

const session = new Session()
session.connect()
await session.post("Profiler.enable")
await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false })

const passed = async (): Promise<ReadonlyArray<string>> => {
  const { result } = await session.post("Profiler.takePreciseCoverage")
  return result.flatMap(({ functions, url }) => {
    const file = /packages\/((?:core|jwks|token)\/src\/.*)$/.exec(url)?.[1]
    const runs = functions.some(({ ranges }) => (ranges[0]?.count ?? 0) > 0)
    return file !== undefined && runs ? [file] : []
  }).sort()
}

const measure = <E>(keys: Layer.Layer<KeySource.KeySource, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const { validate } = yield* TokenValidator.make("app/Tokens", { claims: Claims.AccessToken, policy })
    const token = yield* Effect.promise(() => sign("one"))
    // Has the key set fetched and the key imported.
    yield* validate(yield* Effect.promise(() => sign("other")))
    yield* Effect.promise(passed)
    yield* validate(token)
    const cold = yield* Effect.promise(passed)
    yield* validate(token)
    return { cold, remembered: yield* Effect.promise(passed) }
  })).pipe(Effect.provide(keys))

const results = {
  staticKeys: await Effect.runPromise(measure(sources.staticKeys)),
  jwks: await Effect.runPromise(measure(sources.jwks))
}
console.log(JSON.stringify(results))
