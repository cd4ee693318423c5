import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { recording, spanText } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { ClientAuth, OAuthClient, RefreshTokenStore, TokenHttpClient, TokenProvider } from "../src/index.ts"

const busy = new KeelsonError.NetworkError({ code: "UPSTREAM_UNAVAILABLE", details: { status: 503 } })
const invalid = new KeelsonError.AuthenticationError({ code: "WORKLOAD_TOKEN_INVALID", details: { reason: "empty" } })

/** An identity that fails with these errors in turn, and then has an assertion; the requests of the client that it authenticates. */
const makeClient = (...errors: ReadonlyArray<unknown>) => {
  let reads = 0
  const sent: Array<URLSearchParams> = []
  const assertion = Effect.suspend(() => {
    const error = errors[reads++]
    return error === undefined ? Effect.succeed(Redacted.make("the-assertion")) : Effect.fail(error)
  })
  const options = {
    tokenEndpoint: "https://idp.example/token",
    clientId: "app",
    auth: ClientAuth.clientAssertion(assertion)
  }
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      sent.push(new URLSearchParams(body))
      const answer = { access_token: "good", refresh_token: "next", token_type: "Bearer" }
      return HttpClientResponse.fromWeb(request, Response.json(answer))
    })
  )
  return { options, sent, reads: () => reads, client }
}

const during = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.raceFirst(effect, Effect.andThen(TestClock.adjust("30 seconds"), Effect.never))

const providerOf = ({ client, options }: ReturnType<typeof makeClient>) =>
  Effect.provideService(
    TokenProvider.make({
      name: "idp",
      source: OAuthClient.clientCredentials(options),
      resilience: { retry: { maxAttempts: 3 } }
    }),
    TokenHttpClient.TokenHttpClient,
    client
  )

describe("A client assertion that cannot be had", () => {
  it.effect("[K-39] [C8] for a moment is asked for again by the retry policy of the provider", () =>
    Effect.gen(function*() {
      const client = makeClient(busy, new KeelsonError.NetworkError({ code: "TIMEOUT" }))
      const provider = yield* providerOf(client)
      assert.strictEqual(Redacted.value((yield* during(provider.get)).value), "good")
      assert.deepStrictEqual([client.reads(), client.sent.length], [3, 1])
      assert.strictEqual(client.sent[0]?.get("client_assertion"), "the-assertion")
    }).pipe(Effect.scoped))

  it.effect("[K-39] [C8] for good fails with the error of the platform, and nothing is sent", () =>
    Effect.gen(function*() {
      const client = makeClient(invalid)
      const provider = yield* providerOf(client)
      const error = yield* Effect.flip(during(provider.get))
      assert.deepStrictEqual([error.code, client.reads(), client.sent.length], ["WORKLOAD_TOKEN_INVALID", 1, 0])
    }).pipe(Effect.scoped))

  it.effect("[K-39] [R21] shows no part of a foreign error", () => {
    const { lines, record, spans } = recording()
    return Effect.gen(function*() {
      const client = makeClient({ message: "SecretText0123", code: "TIMEOUT", cause: new Error("SecretText0123") })
      const provider = yield* record(providerOf(client))
      const error = yield* record(Effect.flip(during(provider.get)))
      assert.strictEqual(error.code, "KEY_INVALID")
      const seen = [
        inspect(error, { depth: 12, showHidden: true }),
        JSON.stringify(error),
        ...lines,
        ...spans.map(spanText)
      ]
      assert.notInclude(seen.join("\n"), "SecretText0123")
    }).pipe(Effect.scoped)
  })

  it.effect("[K-39] [R14] leaves a rotating refresh token unused", () =>
    Effect.gen(function*() {
      const { client, options, sent } = makeClient(busy)
      const store = RefreshTokenStore.memory(Redacted.make("first"))
      const { acquire } = OAuthClient.refreshToken({ ...options, store })
      const run = Effect.provideService(acquire, TokenHttpClient.TokenHttpClient, client)
      assert.deepInclude(yield* Effect.flip(run), { code: "UPSTREAM_UNAVAILABLE" })
      yield* run
      assert.deepStrictEqual(sent.map((body) => body.get("refresh_token")), ["first"])
    }))
})
