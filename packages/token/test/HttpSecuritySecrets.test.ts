import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { JwksError } from "@keelson/jwks"
import { recording, spanText } from "@keelson/testing/observe"
import { goodClaims, keysOf, pairOf, sign } from "@keelson/testing/tokens"
import { Effect, Exit, Layer, Tracer } from "effect"
import { HttpMiddleware } from "effect/http"
import { inspect } from "node:util"
import { HttpSecurity } from "../src/index.ts"
import { tokenWith } from "./HttpSecuritySuite.ts"
import {
  asHttpApi,
  asRoutes,
  bearer,
  keysDown,
  type Received,
  serve,
  tokensOf,
  type Variant,
  variants
} from "./protectedServer.ts"

const kid = "kid-that-nobody-may-see"
const subject = "subject-that-nobody-may-see"
const jti = "jti-that-nobody-may-see"
const cookie = { name: "__Host-token", origins: ["https://app.example"] }

/** What must not leak: names, whole tokens, and each segment of them. */
const secretsOf = (tokens: ReadonlyArray<string>) => [
  kid,
  subject,
  jti,
  ...tokens.flatMap((token) => [token, ...token.split(".").slice(1)]).filter((part) => part.length > 8)
]

/** Every way to send a token, valid and invalid. */
const sendAll = (
  send: (line: string, ...headers: ReadonlyArray<string>) => Effect.Effect<Received, Error>,
  tokens: ReadonlyArray<string>
) =>
  Effect.forEach(tokens, (token) =>
    Effect.all([
      send("GET /me", bearer(token)),
      send("POST /reports", bearer(token)),
      send("GET /admin", bearer(token)),
      send("GET /missing", bearer(token)),
      send("GET /me", bearer(token), bearer(token)),
      send("GET /me", `Authorization: ${token}`),
      send("GET /me", `Authorization: Bearer ${token} ${token}`),
      send("GET /me", `Authorization: DPoP ${token}`, `DPoP: ${token}`),
      send("GET /me", `Proxy-Authorization: Bearer ${token}`),
      send("GET /me", `Cookie: ${cookie.name}=${token}`),
      send("POST /me", `Cookie: ${cookie.name}=${token}`),
      send(`GET /me?access_token=${token}`),
      send(`GET /me?a=b&access%5Ftoken=${token}&access_token=${token}`),
      send(`POST /me?ACCESS_TOKEN=${token}&access_token=${token}`),
      send(`GET /missing?access_token=${token}&id_token=${token}`),
      send(`HEAD /me?access_token=${token}`),
      send("GET /me", bearer(token), `Referer: https://app.example/?access_token=${token}`)
    ]))

const tokensFor = Effect.gen(function*() {
  const pair = yield* pairOf("ES256", kid)
  const claims = { ...(yield* goodClaims), sub: subject, jti }
  const good = yield* sign(pair, claims)
  return {
    pair,
    tokens: [
      good,
      yield* sign(pair, { ...claims, exp: 1_000_000_000 }),
      yield* sign(yield* pairOf("ES256", `${kid}-unknown`), claims),
      `${good.slice(0, -30)}${"B".repeat(30)}`,
      good.replace(".", ".x")
    ]
  }
})

/**
 * A tracer that records each span when it ends, with the redaction in context: every attribute, and the whole cause of a
 * failure. Exporters do not get the success value of an effect.
 */
const writingTracer = (written: Array<{ readonly kind: string; readonly text: string }>) =>
  Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      return Object.assign(span, {
        end: (time: bigint, exit: Exit.Exit<unknown, unknown>) => {
          const failure = Exit.isFailure(exit) ? exit.cause : undefined
          const { attributes, events, kind, name } = span
          written.push({ kind, text: inspect([name, attributes, events, failure], { depth: 12 }) })
          end(time, exit)
        }
      })
    }
  })

/** Everything that leaves the process except the requests with tokens: logs, spans with every header, metrics, responses. */
const everything = Effect.fnUntraced(function*(variant: Variant, isDown: boolean) {
  const { lines, record } = recording()
  const spans: Array<{ readonly kind: string; readonly text: string }> = []
  const { pair, tokens } = yield* tokensFor
  const keys = isDown ? keysDown(new JwksError.JwksUnavailable()) : keysOf([pair])
  const around = HttpSecurity.layerRedaction().pipe(
    Layer.provideMerge(Layer.succeed(HttpMiddleware.TracerHeaderFilter, () => true))
  )
  const received = yield* record(Effect.withTracer(
    Effect.gen(function*() {
      const { send } = yield* serve(
        variant,
        tokensOf(keys),
        { queryParameter: "access_token", cookie },
        around
      )
      const answers = yield* sendAll(send, tokens)
      return { answers: answers.flat(), metrics: yield* PrometheusEndpoint.format }
    }),
    writingTracer(spans)
  )).pipe(Effect.provide(Metrics.layerIsolated))
  return { ...received, lines, secrets: secretsOf(tokens), spans }
})

describe("HttpSecurity", () => {
  for (const [name, variant] of variants) {
    for (const isDown of [false, true]) {
      const keys = isDown ? "are unavailable" : "are available"
      it.live(`[R21] [T5] [K-27] no token, kid or subject leaves ${name} in a log, span, metric or response, where keys ${keys}`, () =>
        Effect.gen(function*() {
          const { answers, lines, metrics, secrets, spans } = yield* everything(variant, isDown)
          const texts = [
            ...lines,
            ...spans.map(({ text }) => text),
            metrics,
            ...answers.flatMap(({ headers, text }) => [inspect(headers), text])
          ]
          for (const text of texts) {
            for (const secret of secrets) assert.notInclude(text, secret)
          }
          // The searched text contains everything that it should.
          assert.strictEqual(spans.filter(({ kind }) => kind === "server").length, answers.length)
          assert.isAtLeast(answers.filter(({ status }) => status === (isDown ? 503 : 200)).length, isDown ? 10 : 3)
          const shown = texts.join("\n")
          for (const part of ["access_token=REDACTED", "Request rejected", "keelson.error_code", "<redacted>"]) {
            assert.include(shown, part)
          }
        }))
    }
  }

  it.live("[R7] without layerRedaction a server's span has the whole URL, which is why tokens in it need that layer", () =>
    Effect.gen(function*() {
      const { record, spans } = recording()
      const token = yield* tokenWith()
      yield* record(Effect.gen(function*() {
        const { send } = yield* serve(asRoutes, tokensOf(keysOf([yield* pairOf("ES256")])))
        yield* send(`GET /me?access_token=${token}`)
      }))
      assert.include(spans.map(spanText).join("\n"), token)
    }))

  it.live("adds the validator's code to the span, and tells the caller less", () =>
    Effect.gen(function*() {
      const { lines, record, spans } = recording()
      const token = yield* tokenWith({ aud: "another" })
      const { text } = yield* record(Effect.gen(function*() {
        const { send } = yield* serve(asHttpApi, tokensOf(keysOf([yield* pairOf("ES256")])))
        return yield* send("GET /me", bearer(token))
      }))
      const server = spans.find(({ kind }) => kind === "server")
      assert.strictEqual(server?.attributes.get("keelson.error_code"), "JWT-005")
      assert.isTrue(lines.some((line) => line.includes("Request rejected") && line.includes("JWT-005")))
      assert.notInclude(text, "JWT-005")
      assert.notInclude(text.toLowerCase(), "audience")
    }))
})
