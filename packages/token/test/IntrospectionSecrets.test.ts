import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { hanging, keyOrigin, redirecting, resetting, sending } from "@keelson/testing/keyOrigin"
import { metric, recording, spanText } from "@keelson/testing/observe"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Cause, Context, Effect, Exit, Layer, Redacted } from "effect"
import { inspect } from "node:util"
import * as Explain from "../src/Explain.ts"
import { ClientAuth, type Introspection } from "../src/index.ts"
import {
  clientSecret,
  introspected,
  keySourceOf,
  makeEndpoint,
  OpaqueTokens,
  policy,
  signedOptions
} from "./introspectionSupport.ts"

type Handle = Parameters<typeof keyOrigin>[0]

/** Values that only the requests themselves, and the result of an accepted token, may contain. */
const secrets = {
  token: "SecretTokenOfTheCaller0123456789",
  client: clientSecret,
  subject: "SecretSubject0123456789",
  error: "SecretError0123456789",
  garbage: "SecretGarbage0123456789",
  query: "SecretQuery0123456789",
  location: "SecretLocation0123456789"
}

const answer =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Handle => (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(
      typeof body === "string" ? body : JSON.stringify(body)
    )
  }
const good = { active: true, iss: policy.issuers[0], aud: "api", exp: 4_000_000_000, sub: secrets.subject }

const answers: ReadonlyArray<Handle> = [
  answer(200, good),
  answer(200, { ...good, aud: secrets.garbage }),
  answer(200, { ...good, iss: `https://${secrets.garbage}.example` }),
  answer(200, { ...good, exp: secrets.garbage }),
  answer(200, { ...good, token_type: secrets.garbage }),
  answer(200, { active: secrets.garbage }),
  answer(200, `{"${secrets.garbage}":1,"${secrets.garbage}":2}`),
  answer(200, { active: false, username: secrets.subject }),
  answer(400, { error: secrets.error, error_description: `${secrets.token} is ${secrets.garbage}` }),
  answer(401, { error: "invalid_client" }, { "www-authenticate": `Basic realm="${secrets.garbage}"` }),
  answer(503, { message: secrets.garbage }, { "retry-after": "1" }),
  sending(`<html>${secrets.garbage} ${secrets.token}`),
  redirecting(`https://elsewhere.example/${secrets.location}?token=${secrets.token}`),
  resetting
]

describe("Introspection", () => {
  it.live("[R21] [K-23] neither the token, the client's secret nor anything of an answer leaves in logs, spans, metrics or errors", () =>
    Effect.gen(function*() {
      const { lines, record, spans } = recording()
      const texts: Array<string> = []
      const pair = yield* pairOf("ES256")
      const keys = yield* keySourceOf(keysOf([pair]))
      const run = Effect.fnUntraced(function*(handle: Handle, more: Partial<Introspection.Options> = {}) {
        const origin = yield* keyOrigin(handle)
        const { client: _, ...server } = makeEndpoint(() => Effect.never)
        const tokens = yield* introspected({ ...server, client: Layer.empty }, {
          endpoint: `http://127.0.0.1:${origin.port}/introspect?key=${secrets.query}`,
          allowLocalhost: true,
          requestTimeout: "300 millis",
          resilience: { retry: { maxAttempts: 2, initialDelay: "1 millis" } },
          ...more
        })
        for (const token of [secrets.token, Redacted.make(secrets.token)]) {
          const exit = yield* Effect.exit(tokens.validate(token))
          if (Exit.isSuccess(exit)) continue
          texts.push(Cause.pretty(exit.cause), inspect(exit, { depth: 12 }), String(Cause.squash(exit.cause)))
          texts.push(JSON.stringify(Problem.encode(Cause.squash(exit.cause))), JSON.stringify(exit))
        }
        const explanation = yield* Effect.provideContext(
          Explain.explain(OpaqueTokens, secrets.token, { introspect: true }),
          Context.make(OpaqueTokens, tokens)
        )
        texts.push(Explain.render(explanation), JSON.stringify(explanation))
      })
      yield* record(
        Effect.gen(function*() {
          for (const handle of answers) yield* run(handle)
          yield* run(hanging)
          for (const handle of answers) yield* run(handle, signedOptions(keys))
          yield* run(answer(200, good), { auth: ClientAuth.secretBasic(Effect.fail(secrets.client)) })
          yield* run(answer(200, good), { auth: ClientAuth.secretPost(Redacted.make(secrets.client)) })
          texts.push(yield* PrometheusEndpoint.format)
        }).pipe(Effect.scoped)
      ).pipe(Effect.provide(Metrics.layerIsolated))
      const all = [...texts, ...lines, ...spans.map(spanText)]
      for (const text of all) {
        for (const [name, secret] of Object.entries(secrets)) assert.notInclude(text, secret, name)
        assert.notInclude(text, Buffer.from(`api-client:${secrets.client}`).toString("base64"))
      }
      // The searched text contains everything that it should.
      assert.isTrue(lines.some((line) => line.includes("Tokens cannot be introspected") && line.includes("refused")))
      assert.isTrue(spans.some(({ name }) => name === "TokenHttpClient.request"))
      assert.isTrue(texts.some((text) => text.includes("keelson_introspections_total")))
      assert.isTrue(texts.some((text) => text.includes("IntrospectionUnavailable")))
    }).pipe(Effect.scoped))

  it.live("[K-23] counts answers, outages, limited tokens and rejections from the cache", () =>
    Effect.gen(function*() {
      const origin = yield* keyOrigin(answer(200, good))
      const tokens = yield* introspected({ ...makeEndpoint(() => Effect.never), client: Layer.empty }, {
        endpoint: `http://127.0.0.1:${origin.port}/introspect`,
        allowLocalhost: true,
        newTokensPerSecond: 1,
        newTokensBurst: 3,
        resilience: { retry: { maxAttempts: 1 } }
      })
      const validate = (token: string) => Effect.exit(tokens.validate(token))
      yield* validate("a")
      yield* validate("a")
      origin.answer = answer(200, { active: false })
      yield* validate("b")
      yield* validate("b")
      origin.answer = answer(503, {})
      yield* validate("c")
      yield* validate("d")
      const counts = []
      for (const result of ["active", "inactive", "unavailable", "limited"]) {
        counts.push(yield* metric("introspections_total", `validator="test/OpaqueTokens",result="${result}"`))
      }
      assert.deepStrictEqual(counts, [1, 1, 1, 1])
      const labels = "validator=\"test/OpaqueTokens\""
      assert.strictEqual(yield* metric("token_cache_hits_total", labels), 1)
      assert.strictEqual(yield* metric("token_cache_rejections_total", labels), 1)
      assert.strictEqual(yield* metric("introspection_duration_seconds_count", labels), 3)
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))
})
