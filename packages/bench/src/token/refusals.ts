/**
 * What a refused request costs beside one with a good remembered token, on every path by which an application uses a
 * validator, as CPU time of all threads. Every call gets a new string, as from a socket.
 */
import { KeySource } from "@keelson/jwks"
import { BearerAuthentication, Claims, HttpSecurity, Principal, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Context, Effect, Layer, Logger, Schema, type Scope } from "effect"
import {
  HttpClientRequest,
  HttpEffect,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import type { Loop } from "../contestant.ts"
import type { Finding } from "../figures.ts"
import { egress, originOf } from "../jwks/origin.ts"
import { each, measure, processor, spread } from "../measure.ts"
import { damagedOf } from "./forgeries.ts"
import {
  audience,
  claimsOf,
  headerOf,
  issuer,
  jwkOf,
  type Members,
  poolOf as tokensOf,
  type Signer,
  signerOf,
  tokenOf
} from "./issuer.ts"

const group = "a refused request beside one with a good remembered token"

/** Few enough tokens for the caches of verified and of rejected tokens. */
const few = 100
/** More tokens than those caches hold. */
const many = 2048
/** Calls in one run of a fiber, so that starting it costs little. */
const batch = 64

class Tokens extends TokenValidator.Service<Tokens>()("bench/Tokens", { claims: Claims.AccessToken }) {}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("bench/Caller") {}
class Authenticated extends HttpSecurity.Service<Authenticated, Caller>()("bench/Authenticated") {}

const settings = { validator: Tokens, principal: Caller, realm: "bench" }

/** One request with a token, or without one. Succeeds with whether it was accepted. */
type Send = (token: string | undefined) => Effect.Effect<boolean>

const accepted = (outcome: Effect.Effect<unknown, unknown>): Effect.Effect<boolean> =>
  Effect.match(outcome, { onFailure: () => false, onSuccess: () => true })

const validate = Effect.map(Tokens, ({ validate }): Send => (token) => accepted(validate(token ?? "")))

const bearer = Effect.map(BearerAuthentication.make(settings), ({ authenticate }): Send => (token) => {
  const rawHeaders = ["Host", "api.example", "Accept", "application/json"]
  if (token !== undefined) rawHeaders.push("Authorization", `Bearer ${token}`)
  return accepted(authenticate({ method: "GET", url: "/who", rawHeaders }))
})

/** Sends requests to an application without a socket. */
const sendTo = (
  app: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    unknown,
    Scope.Scope | HttpServerRequest.HttpServerRequest
  >
): Send => {
  let status = 0
  const handled = HttpEffect.toHandled(app, (_, response) =>
    Effect.sync(() => {
      status = response.status
    }))
  return (token) => {
    const request = HttpClientRequest.get("http://api.example/who", {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` }
    })
    return Effect.map(
      Effect.provideService(handled, HttpServerRequest.HttpServerRequest, HttpServerRequest.fromClientRequest(request)),
      () => status === 200
    )
  }
}

const Who = Schema.Struct({ client: Schema.String, subject: Schema.String })

const who = Effect.map(Caller, ({ claims }) => ({ client: claims.client_id, subject: claims.sub }))

const routes = HttpRouter.add("GET", "/who", Effect.flatMap(who, (body) => HttpServerResponse.json(body))).pipe(
  Layer.provide(HttpSecurity.middleware(settings).layer)
)

const Api = HttpApi.make("bench").add(
  HttpApiGroup.make("who").add(HttpApiEndpoint.get("who", "/who", { success: Who }))
    .middleware(Authenticated)
)

const api = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(HttpApiBuilder.group(Api, "who", (endpoints) => endpoints.handle("who", () => who))),
  Layer.provide(HttpSecurity.layer(Authenticated, settings))
)

const paths = [
  { path: "validate", make: validate, hasMissing: false },
  { path: "BearerAuthentication", make: bearer, hasMissing: true },
  { path: "HttpSecurity, routes", make: Effect.map(HttpRouter.toHttpEffect(routes), sendTo), hasMissing: true },
  { path: "HttpSecurity, HttpApi", make: Effect.map(HttpRouter.toHttpEffect(api), sendTo), hasMissing: true }
] as const

interface Stage {
  readonly what: string
  /** Encoded, so that each call reads a new string. `undefined` for requests without a token. */
  readonly tokens: ReadonlyArray<Buffer> | undefined
  readonly isAccepted: boolean
  readonly atMost: number | undefined
  /** The key source does not answer. */
  readonly isDown: boolean
}

const stagesOf = (signer: Signer): ReadonlyArray<Stage> => {
  const changed = (members: Members, header: Members = {}, size = few): ReadonlyArray<string> =>
    Array.from(
      { length: size },
      (_, index) => tokenOf(signer, { ...claimsOf(index), ...members }, { ...headerOf(signer), ...header })
    )
  const good = tokensOf(signer, few)
  const stage = (
    what: string,
    tokens: ReadonlyArray<string> | undefined,
    { atMost, isAccepted = false, isDown = false }: Partial<Stage> = { atMost: 1.5 }
  ): Stage => ({ what, tokens: tokens?.map((token) => Buffer.from(token)), isAccepted, atMost, isDown })
  return [
    stage("accepted, seen before", good, { isAccepted: true }),
    stage("not a token", good.map((_, index) => `not-a-token-${index}`)),
    stage("two parts", good.map((token) => token.slice(0, token.lastIndexOf(".")))),
    stage("algorithm", changed({}, { alg: "HS256" })),
    stage("type", changed({}, { typ: "JWT" })),
    stage("issuer", changed({ iss: "https://other.example" })),
    stage("a claim of another type", changed({ exp: "tomorrow" })),
    stage("expired, seen before", changed({ iat: 1_600_000_000, exp: 1_600_003_600 })),
    stage("audience, seen before", changed({ aud: "https://other.example" })),
    stage("bad signature, seen before", damagedOf(good)),
    stage("unknown key", changed({}, { kid: "unknown" }), { atMost: 3 }),
    stage("good, its issuer is down", good, { atMost: 3, isDown: true }),
    // Each must be parsed, which a good remembered token is not.
    stage("issuer, never seen before", changed({ iss: "https://other.example" }, {}, many), {}),
    stage("unknown key, never seen before", changed({}, { kid: "unknown" }, many), {}),
    stage("no token", undefined, { atMost: 0.6 })
  ]
}

const cycle = (tokens: ReadonlyArray<Buffer> | undefined): () => string | undefined => {
  if (tokens === undefined) return () => undefined
  let at = 0
  return () => tokens[at++ % tokens.length]?.toString("latin1")
}

const loopOf = (name: string, send: Send, { isAccepted, tokens }: Stage): Loop => {
  const next = cycle(tokens)
  return async (times) => {
    let wrong = 0
    for (let left = times; left > 0; left -= batch) {
      let size = Math.min(batch, left)
      const calls = Effect.whileLoop({
        while: () => size-- > 0,
        body: () => send(next()),
        step: (one) => {
          if (one !== isAccepted) wrong++
        }
      })
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await Effect.runPromise(calls)
    }
    if (wrong > 0) throw new Error(`${name}: ${wrong} of ${times} calls had another outcome`)
  }
}

/** A validator with a key set at a URL, in a separate context. */
const contextOf = (signer: Signer, url: string) => {
  const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: [signer.alg] })
  const keys = Layer.provide(
    KeySource.layerJwks({
      issuer,
      url,
      prefetch: false,
      negativeCacheTtl: "1 hour",
      maxFailureDelay: "1 hour",
      failureDelay: "1 hour"
    }),
    egress
  )
  return Layer.build(Layer.merge(Layer.provide(Tokens.layer(policy), keys), HttpServer.layerServices))
}

export const refusals: Effect.Effect<ReadonlyArray<Finding>, unknown, Scope.Scope> = Effect.gen(function*() {
  const signer = signerOf("RS256")
  const origin = yield* originOf(JSON.stringify({ keys: [jwkOf(signer)] }))
  const up = yield* contextOf(signer, origin.url)
  // Nothing listens there. The warning about it would be in the midst of the progress.
  const down = yield* Effect.provide(contextOf(signer, "http://127.0.0.1:9/jwks.json"), Logger.layer([]))
  yield* Effect.ignore(Context.get(down, Tokens).validate(tokenOf(signer, claimsOf(0))))
  const stages = stagesOf(signer)
  const measured: Array<{ readonly path: string; readonly stage: Stage; readonly loop: Loop }> = []
  for (const { hasMissing, make, path } of paths) {
    const sends = { up: yield* Effect.provide(make, up), down: yield* Effect.provide(make, down) }
    for (const stage of stages) {
      if (stage.tokens === undefined && !hasMissing) continue
      const name = `${path}: ${stage.what}`
      measured.push({ path, stage, loop: loopOf(name, stage.isDown ? sends.down : sends.up, stage) })
    }
  }
  // Keys are fetched and caches filled before the number of calls in a sample is chosen.
  for (const { loop } of measured) yield* Effect.promise(async () => await loop(2 * few))
  const times = yield* Effect.promise(() =>
    measure(measured.map(({ loop }) => loop), { sampleMillis: 10, warmUpMillis: 250, stopwatch: processor })
  )
  const found = measured.map((one, index) => ({ ...one, times: times[index] ?? [] }))
  return found.map(({ path, stage, times }): Finding => {
    const good = found.find((other) => other.path === path && other.stage.isAccepted)?.times ?? []
    return stage.isAccepted
      ? { group, what: `${path}: ${stage.what}`, value: spread(times).median / 1000, unit: "µs" }
      : {
        group,
        what: `${path}: ${stage.what}`,
        value: spread(each(times, good, (one, other) => one / other)).median,
        unit: "",
        ...(stage.atMost === undefined ? {} : { aim: { is: "at most", value: stage.atMost } as const })
      }
  })
})
