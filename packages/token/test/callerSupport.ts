/** A scripted exchange of callers' tokens, and guards over an API in memory. */
import { KeelsonError } from "@keelson/core"
import { Duration, Effect, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { CallerGuard, type TokenSource } from "../src/index.ts"

export const api = "https://api.example"

/** A caller whose token ends an hour after the epoch of the test clock, unless stated otherwise. */
export const callerOf = (sub: string | undefined, exp = 3_600, iss = "https://idp.example"): CallerGuard.Caller => ({
  registered: { iss, sub, exp }
})

export const tokenOf = (text: string) => Redacted.make(`at-${text}`)

/** The token that the n-th exchange of a subject's token returns. */
export const issuedFor = (subjectToken: string, number: number, { audience, scope }: TokenSource.Grant = {}): string =>
  [`for(${subjectToken})`, `n(${number})`, scope && `scope(${scope})`, audience && `aud(${audience})`]
    .filter((part) => part !== undefined).join(".").replaceAll(" ", "+")

/** The response to the n-th exchange. */
export type Answer = (
  subjectToken: string,
  grant: TokenSource.Grant,
  number: number
) => Effect.Effect<TokenSource.TokenResponse, unknown>

export const living = (lifetime: Duration.Input | undefined): Answer => (subjectToken, grant, number) =>
  Effect.succeed({
    accessToken: Redacted.make(issuedFor(subjectToken, number, grant)),
    expiresIn: lifetime === undefined ? undefined : Duration.fromInputUnsafe(lifetime)
  })

/** Rejects as an authorization server does. */
export const rejecting: Answer = () =>
  Effect.fail(
    new KeelsonError.AuthenticationError({
      code: "SUBJECT_TOKEN_REJECTED",
      details: { error: "invalid_grant", status: 400 }
    })
  )

/** Fails as if there were no server. */
export const down: Answer = () => Effect.fail(new KeelsonError.NetworkError({ code: "NETWORK_ERROR" }))

export interface Exchange {
  /** The subject tokens of the exchanges so far. */
  readonly asked: ReadonlyArray<string>
  answer: Answer
  readonly source: TokenSource.SubjectSource
}

export const makeExchange = (answer: Answer = living("10 minutes")): Exchange => {
  const asked: Array<string> = []
  const exchange: Exchange = {
    asked,
    answer,
    source: {
      acquireFor: (token, grant) =>
        Effect.suspend(() => {
          const text = Redacted.value(token)
          return exchange.answer(text, grant, asked.push(text))
        }),
      isRetryable: (error) => error instanceof KeelsonError.NetworkError
    }
  }
  return exchange
}

/** A guard over an API that responds with the token that it received, by default with status 200. */
export const guardOver = (
  exchange: Exchange,
  { name = "api", origins = [api], source = exchange.source, ...options }: Partial<CallerGuard.Options> = {},
  statusOf: (token: string) => number = () => 200
) =>
  Effect.provideService(
    CallerGuard.make({ name, origins, source, ...options }),
    HttpClient.HttpClient,
    HttpClient.make((request) => {
      const token = (request.headers["authorization"] ?? "").replace("Bearer ", "")
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(token, { status: statusOf(token) })))
    })
  )

/** The token that a request of the client carries. */
export const sentBy = (client: CallerGuard.CallerClient) => Effect.flatMap(client.get("/"), ({ text }) => text)
