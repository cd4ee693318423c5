/** Sources of distinguishable tokens, and guards over scripted clients. */
import { KeelsonError } from "@keelson/core"
import { Duration, Effect, Redacted } from "effect"
import { HttpClient, type HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { TokenGuard, type TokenSource } from "../src/index.ts"

export interface Source {
  readonly source: Effect.Effect<TokenSource.TokenResponse, KeelsonError.NetworkError>
  /** The number of token requests so far. */
  readonly asked: () => number
  isDown: boolean
}

/** Returns `token-1`, `token-2` and so on, each valid for an hour. */
export const makeSource = (prefix = "token", lifetime: Duration.Input = "1 hour"): Source => {
  let asked = 0
  const made: Source = {
    isDown: false,
    asked: () => asked,
    source: Effect.suspend(() => {
      asked++
      return made.isDown
        ? Effect.fail(new KeelsonError.NetworkError({ code: "NETWORK_ERROR" }))
        : Effect.succeed({
          accessToken: Redacted.make(`${prefix}-${asked}`),
          expiresIn: Duration.fromInputUnsafe(lifetime)
        })
    })
  }
  return made
}

/** One request that reached a scripted client. */
interface Received {
  readonly method: string
  readonly url: string
  readonly authorization: string | undefined
  readonly hasBody: boolean
  readonly headers: Readonly<Record<string, string | undefined>>
}

export type Reply = (
  request: HttpClientRequest.HttpClientRequest,
  number: number
) => Effect.Effect<Response, HttpClientError.HttpClientError>

export interface Scripted {
  readonly client: HttpClient.HttpClient
  readonly received: ReadonlyArray<Received>
}

/** A client with scripted responses, without sockets. */
export const scripted = (reply: Reply): Scripted => {
  const received: Array<Received> = []
  const client = HttpClient.make((request, url) => {
    received.push({
      method: request.method,
      url: url.href,
      authorization: request.headers["authorization"],
      hasBody: request.body._tag !== "Empty",
      headers: request.headers
    })
    return Effect.map(reply(request, received.length), (response) => HttpClientResponse.fromWeb(request, response))
  })
  return { client, received }
}

/** Responds with these statuses in turn, then with 200. */
export const statuses = (...list: ReadonlyArray<number>): Reply => (_, number) =>
  Effect.sync(() => new Response(null, { status: list[number - 1] ?? 200 }))

/** The tokens of the received requests. */
export const tokensOf = (received: ReadonlyArray<{ readonly authorization: string | undefined }>) =>
  received.map(({ authorization }) => authorization?.replace("Bearer ", ""))

export const origin = "https://api.example"

/** A guard of one origin over a scripted client. */
export const guardOver = (
  { client }: Scripted,
  { name = "api", origins = [origin], ...options }: Partial<TokenGuard.Options> & Pick<TokenGuard.Options, "source">
) => Effect.provideService(TokenGuard.make({ name, origins, ...options }), HttpClient.HttpClient, client)
