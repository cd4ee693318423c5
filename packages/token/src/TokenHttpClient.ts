/**
 * The HTTP client of token requests. It is separate from the application's `HttpClient`, so that nothing an application adds to
 * its requests, such as an `Authorization` header, reaches an authorization server.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { UsesMutualTls } from "./internal/mtls/certificateUse.ts"

/** The platform's `fetch`, also if the application replaced `FetchHttpClient.Fetch`. */
const platformClient = (): HttpClient.HttpClient =>
  HttpClient.transformResponse(
    Effect.runSync(Effect.provide(Effect.service(HttpClient.HttpClient), FetchHttpClient.layer)),
    Effect.provideService(FetchHttpClient.Fetch, (input, init) => globalThis.fetch(input, init))
  )

/** The client that sends token requests. Default: the platform's `fetch`. */
export const TokenHttpClient = Context.Reference<HttpClient.HttpClient>("@keelson/token/TokenHttpClient", {
  defaultValue: platformClient
})

/** Options of `layer`. */
export interface Options {
  /**
   * Whether the client has a certificate, so that token requests go to the `mtls_endpoint_aliases` of the metadata (RFC 8705, 5). Default
   * false.
   */
  readonly mutualTls?: boolean | undefined
}

/**
 * Replaces the client of token requests, for a proxy or a private certificate authority; `NodeMutualTls` has client certificates. The client must
 * neither follow redirects nor retry requests.
 *
 * **Example** (Token requests through another client)
 *
 * ```ts import.meta.vitest
 * import { TokenHttpClient } from "@keelson/token"
 * import { Effect, Layer } from "effect"
 * import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
 *
 * const client = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 204 })))
 * )
 * const live = TokenHttpClient.layer(Layer.succeed(HttpClient.HttpClient, client))
 * const program = Effect.flatMap(
 *   TokenHttpClient.TokenHttpClient,
 *   (tokens) => tokens.execute(HttpClientRequest.get("https://idp.example"))
 * )
 *
 * const response = await Effect.runPromise(Effect.provide(program, live))
 * response.status // => 204
 * ```
 */
export const layer = <E, R>(
  client: Layer.Layer<HttpClient.HttpClient, E, R>,
  { mutualTls = false }: Options = {}
): Layer.Layer<never, E, R> =>
  Layer.mergeAll(
    Layer.effect(TokenHttpClient, HttpClient.HttpClient).pipe(Layer.provide(client)),
    Layer.succeed(UsesMutualTls, mutualTls)
  )
