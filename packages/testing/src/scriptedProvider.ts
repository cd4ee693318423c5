/** A key set provider that responds by a script in virtual time, and caches over it. */
import { KeelsonError } from "@keelson/core"
import { Egress, JwksCache, type JwksOptions, JwksRegistry } from "@keelson/jwks"
import { Context, Effect, Layer, type Scope } from "effect"
import { type ImportKey, KeyImport } from "../../jwks/src/internal/keys/importKey.ts"

export const issuer = "https://idp.example"
export const url = "https://idp.example/jwks"

/** The ids of a provider in a registry. */
export const ids = (tenantId: string, providerId: string): JwksOptions.Names => ({ tenantId, providerId })

/** A published key of valid form, identified by its `kid` and material. */
export const jwk = (kid: string | undefined, members: Readonly<Record<string, unknown>> = {}) => ({
  kty: "OKP",
  crv: "Ed25519",
  x: Buffer.from((kid ?? "none").padEnd(32, ".").slice(0, 32)).toString("base64url"),
  alg: "EdDSA",
  use: "sig",
  ...(kid === undefined ? undefined : { kid }),
  ...members
})

/** A document with these keys. */
export const jwks = (...kids: ReadonlyArray<string>): string => JSON.stringify({ keys: kids.map((kid) => jwk(kid)) })

/** The header of a token signed by one of them. */
export const header = (kid?: string) => ({ alg: "EdDSA", ...(kid === undefined ? undefined : { kid }) })

interface Reply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** What the provider does with a request. */
export type Answer = (request: Egress.EgressRequest) => Effect.Effect<Reply, KeelsonError.NetworkError>

export interface Provider {
  /** Every request so far, in order. */
  readonly requests: ReadonlyArray<Egress.EgressRequest>
  /** When each request arrived, in milliseconds of the monotonic clock. */
  readonly times: ReadonlyArray<number>
  /** How many requests are running, and how many were interrupted. */
  readonly underWay: () => number
  readonly interrupted: () => number
  /** Sets how it responds from now on. */
  answer: Answer
}

/** Responds with a document. */
export const documentOf = (body: string, headers: Readonly<Record<string, string>> = {}): Answer => () =>
  Effect.succeed({ status: 200, body, headers })

/** Responds with keys. */
export const keysOf = (...kids: ReadonlyArray<string>): Answer => documentOf(jwks(...kids))

/** Responds with a document, or with 304 if the client has it. */
export const revalidating = (
  body: string,
  etag: string,
  headers: Readonly<Record<string, string>> = {}
): Answer =>
(request) =>
  Effect.succeed(
    request.headers?.["if-none-match"] === etag
      ? { status: 304, headers: { etag, ...headers } }
      : { status: 200, body, headers: { etag, ...headers } }
  )

export const statusOf = (status: number, headers: Readonly<Record<string, string>> = {}): Answer => () =>
  Effect.succeed({ status, headers })

/** Fails as if no server were listening. */
export const down: Answer = () =>
  Effect.fail(new KeelsonError.NetworkError({ code: "NETWORK_ERROR", message: "The connection was refused" }))

/** Never responds. */
export const hanging: Answer = () => Effect.never

/** Responds by the requested URL; other URLs are down. */
export const byUrl = (answers: Readonly<Record<string, Answer>>): Answer => (request) =>
  (answers[String(request.url)] ?? down)(request)

/** A provider, and an egress that reaches it. */
export const makeProvider = (
  answer: Answer
): { readonly provider: Provider; readonly egress: Layer.Layer<Egress.Egress> } => {
  const requests: Array<Egress.EgressRequest> = []
  const times: Array<number> = []
  let underWay = 0
  let interrupted = 0
  const provider: Provider = { requests, times, underWay: () => underWay, interrupted: () => interrupted, answer }
  const get = (request: Egress.EgressRequest): Effect.Effect<Egress.EgressResponse, KeelsonError.NetworkError> =>
    Effect.clockWith((clock) => {
      requests.push(request)
      times.push(Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000)
      underWay++
      return provider.answer(request)
    }).pipe(
      Effect.map(({ body = "", headers = {}, status = 200 }) => ({
        status,
        headers,
        body: new TextEncoder().encode(body),
        url: new URL(request.url)
      })),
      Effect.onInterrupt(() => Effect.sync(() => interrupted++)),
      Effect.ensuring(Effect.sync(() => underWay--))
    )
  const egress = Layer.succeed(Egress.Egress, { check: (to) => Effect.succeed(new URL(to)), get })
  return { provider, egress }
}

/** Imports keys without WebCrypto, since virtual time does not wait for its threads. */
const importKey: ImportKey = (key, alg) =>
  Effect.succeed<CryptoKey>({
    type: "public",
    extractable: false,
    usages: ["verify"],
    algorithm: { name: `${alg} ${key.kid}` }
  })

/** Imports keys without threads in the effect that this is provided to. */
export const virtualImport: Layer.Layer<never> = Layer.succeed(KeyImport, importKey)

/** A cache in the scope, over a scripted provider. */
export const cacheOf = (
  answer: Answer,
  options: Partial<JwksOptions.Options> = {},
  more: Layer.Layer<never> = Layer.empty
): Effect.Effect<
  { readonly cache: JwksCache.JwksCache["Service"]; readonly provider: Provider },
  KeelsonError.ConfigurationError | KeelsonError.NetworkError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { egress, provider } = makeProvider(answer)
    const layer = Layer.provide(JwksCache.layer({ issuer, url, ...options }), [egress, virtualImport, more])
    const context = yield* Layer.build(layer)
    return { cache: Context.get(context, JwksCache.JwksCache), provider }
  })

/** A registry in the scope, over a provider that responds at all URLs. */
export const registryOf = (answer: Answer, more: Layer.Layer<never> = Layer.empty) =>
  Effect.gen(function*() {
    const { egress, provider } = makeProvider(answer)
    const context = yield* Layer.build(Layer.provide(JwksRegistry.layer, [egress, virtualImport, more]))
    return { registry: Context.get(context, JwksRegistry.JwksRegistry), provider }
  })

/** The same, but checking a URL yields a few times, so that other fibers run. */
export const steppingRegistryOf = (answer: Answer) =>
  Effect.gen(function*() {
    const made = makeProvider(answer)
    const { get } = Context.get(yield* Layer.build(made.egress), Egress.Egress)
    const steps = Effect.repeat(Effect.yieldNow, { times: 5 })
    const egress = Layer.succeed(Egress.Egress, { check: (to) => Effect.as(steps, new URL(to)), get })
    const context = yield* Layer.build(Layer.provide(JwksRegistry.layer, [egress, virtualImport]))
    return { registry: Context.get(context, JwksRegistry.JwksRegistry), provider: made.provider }
  })
