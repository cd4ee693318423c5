/**
 * The HTTP client of token requests: one of their own, never the application's, so that nothing that an application adds to
 * its requests, such as an `Authorization`, is sent to an authorization server.
 */
import { Context, Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"

/** The platform's `fetch`, whatever `Fetch` the application has. Building it has no effect. */
const platform = (): HttpClient.HttpClient =>
  HttpClient.transformResponse(
    Effect.runSync(Effect.provide(Effect.service(HttpClient.HttpClient), FetchHttpClient.layer)),
    Effect.provideService(FetchHttpClient.Fetch, (input, init) => globalThis.fetch(input, init))
  )

/** The client that token requests are sent with. Default: the platform's `fetch`. */
export const TokenHttp = Context.Reference<HttpClient.HttpClient>("@keelson/token/TokenHttp", {
  defaultValue: platform
})

/**
 * Another client for token requests, for a proxy, own certificate authorities or client certificates. It must neither follow
 * redirects nor repeat requests.
 */
export const layer = <E, R>(client: Layer.Layer<HttpClient.HttpClient, E, R>): Layer.Layer<never, E, R> =>
  Layer.effect(TokenHttp, HttpClient.HttpClient).pipe(Layer.provide(client))
