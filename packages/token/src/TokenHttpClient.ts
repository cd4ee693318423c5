/**
 * The HTTP client of token requests: one of their own, never the application's, so that nothing that an application adds to
 * its requests, such as an `Authorization`, is sent to an authorization server.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"

/** The platform's `fetch`, whatever `Fetch` the application has. Building it has no effect. */
const platform = (): HttpClient.HttpClient =>
  HttpClient.transformResponse(
    Effect.runSync(Effect.provide(Effect.service(HttpClient.HttpClient), FetchHttpClient.layer)),
    Effect.provideService(FetchHttpClient.Fetch, (input, init) => globalThis.fetch(input, init))
  )

/** The client that token requests are sent with. Default: the platform's `fetch`. */
export const TokenHttpClient = Context.Reference<HttpClient.HttpClient>("@keelson/token/TokenHttpClient", {
  defaultValue: platform
})

/**
 * Another client for token requests, for a proxy, own certificate authorities or client certificates. It must neither follow
 * redirects nor repeat requests.
 */
export const layer = <E, R>(client: Layer.Layer<HttpClient.HttpClient, E, R>): Layer.Layer<never, E, R> =>
  Layer.effect(TokenHttpClient, HttpClient.HttpClient).pipe(Layer.provide(client))
