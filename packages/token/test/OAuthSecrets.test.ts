import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { hanging, keyOrigin, redirecting, resetting, sending, sendingMebibytes } from "@keelson/testing/keyOrigin"
import { recording, spanText } from "@keelson/testing/observe"
import { Cause, Data, Effect, Exit, Option, Redacted, Stream } from "effect"
import { HttpClient } from "effect/http"
import { generateKeyPair } from "jose"
import { inspect } from "node:util"
import {
  ClientAuth,
  OAuthClient,
  OAuthOptions,
  RefreshTokenStore,
  TokenProvider,
  type TokenSource
} from "../src/index.ts"

type Handle = Parameters<typeof keyOrigin>[0]

/** Values that only the token requests themselves may contain. */
const secrets = {
  client: "SecretOfTheClient0123456789",
  access: "SecretAccess0123456789",
  refresh: "SecretRefresh0123456789",
  next: "SecretNextRefresh0123456789",
  id: "SecretIdToken0123456789",
  query: "SecretQuery0123456789",
  location: "SecretLocation0123456789",
  description: "SecretDescription0123456789",
  error: "SecretError0123456789",
  garbage: "SecretGarbage0123456789",
  custom: "SecretOfTheSource0123456789"
}

const json = { "content-type": "application/json" }
const answer =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Handle => (_, response) => {
    response.writeHead(status, { ...json, ...headers }).end(JSON.stringify(body))
  }
const good = {
  access_token: secrets.access,
  token_type: "Bearer",
  expires_in: 600,
  refresh_token: secrets.next,
  id_token: secrets.id
}

const answers: ReadonlyArray<Handle> = [
  answer(200, good),
  answer(200, { ...good, expires_in: secrets.garbage }),
  answer(200, { ...good, token_type: secrets.garbage }),
  answer(200, { ...good, access_token: `${secrets.access} ` }),
  answer(200, { ...good, expires_in: 1 }),
  answer(400, { error: "invalid_grant", error_description: secrets.description }),
  answer(400, { error: secrets.error, error_description: secrets.description }),
  answer(401, { error: "invalid_client" }, { "www-authenticate": `Basic realm="${secrets.garbage}"` }),
  answer(503, { message: secrets.garbage }),
  answer(429, { message: secrets.garbage }, { "retry-after": "1" }),
  sending(`<html>${secrets.garbage}`),
  redirecting(`https://elsewhere.example/${secrets.location}`),
  sendingMebibytes(1),
  resetting,
  hanging
]

class CustomError extends Data.TaggedError("CustomError")<{ readonly message: string; readonly token: string }> {}

/** All texts of an error. */
const shown = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (error === undefined) return []
  return [
    inspect(error, { depth: 10 }),
    JSON.stringify(error),
    error instanceof Error ? `${error.message} ${error.stack} ${inspect(error.cause, { depth: 10 })}` : "",
    JSON.stringify(Problem.encode(error)),
    Cause.pretty(Cause.fail(error))
  ]
}

const secret = Redacted.make(secrets.client)

/** Sources of every kind, over one server. */
const sourcesAt = Effect.fnUntraced(function*(port: number) {
  const { privateKey } = yield* Effect.promise(() => generateKeyPair("ES256"))
  const options = {
    tokenEndpoint: `http://127.0.0.1:${port}/token?key=${secrets.query}`,
    clientId: "client",
    allowLocalhost: true,
    requestTimeout: "1 minute"
  } as const
  const custom: TokenSource.Input = Effect.fail(new CustomError({ message: secrets.custom, token: secrets.custom }))
  const refresh = (): TokenSource.Input =>
    OAuthClient.refreshToken({
      ...options,
      auth: ClientAuth.secretPost(secret),
      store: RefreshTokenStore.memory(Redacted.make(secrets.refresh))
    })
  return [
    () => OAuthClient.clientCredentials({ ...options, auth: ClientAuth.secretBasic(secret) }),
    () => OAuthClient.clientCredentials({ ...options, auth: ClientAuth.secretPost(secret) }),
    () => OAuthClient.clientCredentials({ ...options, auth: ClientAuth.privateKeyJwt({ key: privateKey, kid: "k" }) }),
    refresh,
    () => custom,
    (): TokenSource.Input => Effect.die(new Error("a bug"))
  ]
})

const retry = { maxAttempts: 2, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } as const

describe("token secrets", () => {
  it.live("[R21] [T5] [S2-22] errors, logs, spans, events, status and metrics contain no secret, whatever the server responds", () => {
    const { lines, record, spans } = recording()
    const assertions: Array<string> = []
    return record(Effect.gen(function*() {
      const script = { answer: hanging }
      const origin = yield* keyOrigin((request, response) => {
        request.setEncoding("utf8").on("data", (chunk: string) => {
          const assertion = new URLSearchParams(chunk).get("client_assertion")
          if (assertion !== null) assertions.push(assertion)
        })
        script.answer(request, response)
      })
      const output: Array<string> = []
      for (const make of yield* sourcesAt(origin.port)) {
        for (const answer of answers) {
          script.answer = answer
          yield* Effect.scoped(Effect.gen(function*() {
            const policy = { escalateAfter: 2 }
            const provider = yield* TokenProvider.make({
              name: "idp",
              source: make(),
              policy,
              resilience: { retry, attemptTimeout: answer === hanging ? "40 millis" : "1 minute" }
            })
            const listening = Stream.runForEach(
              provider.events,
              (event) => Effect.sync(() => output.push(inspect(event, { depth: 10 }), JSON.stringify(event)))
            )
            yield* Effect.forkScoped(listening, { startImmediately: true })
            for (const call of [provider.get, provider.refresh, provider.get]) {
              const exit = yield* Effect.exit(call)
              output.push(...shown(exit), inspect(exit, { depth: 10 }))
              if (exit._tag === "Success") output.push(JSON.stringify(exit.value))
            }
            output.push(inspect(yield* provider.status, { depth: 10 }))
          }))
        }
      }
      output.push(yield* PrometheusEndpoint.format)
      const all = [...output, ...lines, ...spans.map(spanText)]
      assert.isAbove(output.length, 500)
      assert.isAbove(lines.length, 200)
      assert.isAbove(spans.length, 200)
      assert.isAbove(assertions.length, 10)
      const looked = { ...secrets, assertion: assertions[0] ?? "", signature: assertions[0]?.split(".")[2] ?? "" }
      for (const [name, value] of Object.entries(looked)) {
        const forms = [value, Buffer.from(`client:${value}`).toString("base64").slice(0, 40)]
        assert.isEmpty(all.filter((text) => forms.some((form) => text.includes(form))).slice(0, 1), name)
      }
    })).pipe(
      Effect.scoped,
      // An application whose spans contain headers.
      Effect.provideService(HttpClient.TracerHeaderFilter, () => true),
      Effect.provide(Metrics.layerIsolated)
    )
  })

  it.effect("[R21] options and their errors contain neither secret nor key", () =>
    Effect.gen(function*() {
      const options = yield* Configuration.decode(OAuthOptions.OAuthOptions)({
        tokenEndpoint: "https://idp.example/token",
        clientId: "client",
        clientSecret: secrets.client
      })
      const error = yield* Effect.flip(
        Configuration.decode(OAuthOptions.OAuthOptions)({
          clientId: "client",
          clientSecret: [secrets.client],
          privateKey: secrets.garbage
        })
      )
      const key = yield* Effect.flip(ClientAuth.importKey({ text: Redacted.make(secrets.garbage), alg: "ES256" }))
      const texts = [options, error, key].flatMap((one) => [inspect(one, { depth: 10 }), JSON.stringify(one)])
      for (const value of [secrets.client, secrets.garbage]) {
        assert.isEmpty(texts.filter((text) => text.includes(value)))
      }
    }))
})
