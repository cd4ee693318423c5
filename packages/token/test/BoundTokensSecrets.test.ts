import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { recording } from "@keelson/testing/observe"
import { Cause, Effect, Exit, Option, Redacted, type Tracer } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { inspect } from "node:util"
import { ClientAuth, DpopKey, HttpSecurity, OAuthClient, type TokenGuard, TokenProvider } from "../src/index.ts"
import { guardOver, origin, type Reply, scripted } from "./guardSupport.ts"
import { clientSecret, oauthServer } from "./oauthServer.ts"
import { nonceChallenge } from "./proofs.ts"

const token = "SecretToken0123456789"
const nonce = "SecretNonce0123456789"

const failing =
  (make: (request: HttpClientRequest.HttpClientRequest) => HttpClientError.HttpClientErrorReason): Reply => (request) =>
    Effect.fail(new HttpClientError.HttpClientError({ reason: make(request) }))

const replies: ReadonlyArray<Reply> = [
  () => Effect.succeed(new Response(null, { headers: { "dpop-nonce": nonce } })),
  () => Effect.succeed(new Response(null, { status: 401, headers: nonceChallenge(nonce) })),
  () => Effect.succeed(new Response(null, { status: 401 })),
  () => Effect.succeed(new Response(null, { status: 503 })),
  () => Effect.succeed(new Response(null, { status: 307, headers: { location: "https://elsewhere.example/" } })),
  failing((request) => new HttpClientError.TransportError({ request, cause: new Error("socket hang up") })),
  failing((request) => new HttpClientError.InvalidUrlError({ request })),
  failing((request) => new HttpClientError.EncodeError({ request })),
  () => Effect.die(new Error("a bug"))
]

/** A span as it is exported: without the value of a success, which is the response itself. */
const shown = ({ attributes, events, name, status }: Tracer.NativeSpan): string =>
  inspect(
    [name, attributes, events, status._tag === "Ended" && Exit.isFailure(status.exit) ? status.exit : undefined],
    {
      depth: 12
    }
  )

const textsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (error === undefined) return []
  const texts = [inspect(error, { depth: 10 }), JSON.stringify(error), Cause.pretty(Cause.fail(error))]
  if (!HttpClientError.isHttpClientError(error)) texts.push(JSON.stringify(Problem.encode(error)))
  return error instanceof Error ? [...texts, `${error.message} ${error.stack}`, inspect(error.cause)] : texts
}

describe("Secrets of bound tokens", () => {
  it.live("[R21] [T5] [K-23] errors, logs, spans and metrics of a guard contain no token, proof, key or nonce", () => {
    const { lines, record, spans } = recording()
    return record(Effect.gen(function*() {
      const api = scripted((request, number) => (replies[number % replies.length] ?? replies[0]!)(request, number))
      const output: Array<string> = []
      const source = Effect.succeed({ accessToken: Redacted.make(token), tokenType: "DPoP" as const })
      const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } as const
      for (const resilience of [undefined, { retry }]) {
        const guard: TokenGuard.TokenGuard = yield* guardOver(api, { source, dpop: "required", resilience })
        for (let i = 0; i < 40; i++) {
          const request = i % 2 === 0 ? HttpClientRequest.get(`${origin}/a`) : HttpClientRequest.put(`${origin}/b`)
          output.push(...textsOf(yield* Effect.exit(guard.execute(request))))
          const sent = yield* Effect.exit(guard.send("rows", request))
          if (Exit.isSuccess(sent)) output.push(...textsOf(Exit.fail(sent.value.error)))
        }
        output.push(
          inspect(guard, { depth: 10 }),
          JSON.stringify(guard),
          inspect(yield* guard.provider.status, { depth: 10 })
        )
      }
      output.push(yield* PrometheusEndpoint.format)
      const proofs = api.received.flatMap(({ headers }) => headers["dpop"] ?? [])
      assert.isAbove(proofs.length, 50)
      assert.isAbove(output.length, 50)
      assert.isAbove(spans.length, 50)
      const all = [...output, ...lines, ...spans.map(shown)].join("\n")
      for (const secret of [token, nonce, "CryptoKey", ...proofs]) assert.notInclude(all, secret)
      // The spans have the headers, though, as the application asks for.
      assert.match(all, /http\.request\.header\.dpop/)
      assert.match(all, /http\.response\.header\.dpop-nonce/)
    })).pipe(
      Effect.provideService(HttpClient.TracerHeaderFilter, () => true),
      Effect.scoped,
      Effect.provide(Metrics.layerIsolated)
    )
  })

  it.live("[R21] [K-23] with layerRedaction, a response that the application logs does not show the proof of its request", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      const api = scripted(() => Effect.succeed(new Response(null, { headers: { "dpop-nonce": nonce } })))
      const source = Effect.succeed({ accessToken: Redacted.make(token), tokenType: "DPoP" as const })
      const guard = yield* guardOver(api, { source, dpop: "required" })
      yield* Effect.log(yield* guard.get("/"))
      assert.lengthOf(lines.filter((line) => line.includes("HttpClientResponse")), 1)
      for (const secret of [token, api.received[0]?.headers["dpop"] ?? ""]) assert.notInclude(lines.join(), secret)
    })).pipe(Effect.scoped, Effect.provide(HttpSecurity.layerRedaction()))
  })

  it.live("[R21] [T5] [K-23] errors, logs and spans of token requests contain no token, proof or nonce", () => {
    const { lines, record, spans } = recording()
    return record(Effect.gen(function*() {
      const server = yield* oauthServer({ needsNonce: true })
      const key = yield* DpopKey.generate()
      const output: Array<string> = []
      const source = OAuthClient.clientCredentials({
        issuer: server.issuer,
        clientId: "basic:client",
        auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
        allowLocalhost: true
      })
      const provider = yield* TokenProvider.make({ name: "api", source }).pipe(
        Effect.provideService(DpopKey.CurrentDpopKey, key)
      )
      const { value } = yield* provider.get
      server.fault = (response, number) => {
        if (number % 2 === 0) response.destroy()
        else response.writeHead(400, { "dpop-nonce": nonce }).end("{\"error\":\"invalid_dpop_proof\"}")
        return true
      }
      for (let i = 0; i < 6; i++) output.push(...textsOf(yield* Effect.exit(provider.refresh)))
      output.push(yield* PrometheusEndpoint.format, inspect(yield* provider.status, { depth: 10 }))
      const proofs = server.requests.flatMap(({ headers }) => headers["dpop"] ?? [])
      assert.isAbove(proofs.length, 6)
      const all = [...output, ...lines, ...spans.map(shown)].join("\n")
      for (const secret of [Redacted.value(value), nonce, ...proofs]) assert.notInclude(all, secret)
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })
})
