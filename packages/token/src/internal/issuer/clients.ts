/** The clients that reach a test issuer in memory. */
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Egress from "@keelson/jwks/Egress"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Endpoint } from "../../testing/TestIssuer.ts"
import { answer, broken, endpointPaths, type IssuerState } from "./endpoints.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Any URL that is not one of the metadata is that of the key set, so that an application keeps the URL that it has. */
const endpointOf = (paths: ReadonlyMap<string, Endpoint>, url: URL): Endpoint =>
  paths.get(url.pathname) === "metadata" ? "metadata" : "keys"

/** An egress that only reaches the issuer. */
export const makeEgress = (state: IssuerState): Egress.Egress["Service"] => {
  const paths = endpointPaths(state.issuer)
  return {
    check: (url) => Effect.sync(() => new URL(url)),
    get: ({ url: to }) =>
      Effect.suspend(() => {
        const url = new URL(to)
        const request = { method: "GET", path: url.pathname, authorization: undefined, body: "" }
        return Effect.flatMap(answer(state, endpointOf(paths, url), request), (response) =>
          response === broken
            ? Effect.fail(
              new KeelsonError.NetworkError({ code: "NETWORK_ERROR", message: "The test issuer is down" })
            )
            : Effect.succeed({ ...response, body: encoder.encode(response.body), url }))
      })
  }
}

/** A client whose every request is one to the token endpoint, unless it is one for metadata. */
export const makeHttpClient = (state: IssuerState): HttpClient.HttpClient => {
  const paths = endpointPaths(state.issuer)
  return HttpClient.make((request, url) => {
    const { body, headers, method } = request
    const received = {
      method,
      path: url.pathname,
      authorization: headers["authorization"],
      body: body._tag === "Uint8Array" ? decoder.decode(body.body) : ""
    }
    const endpoint = paths.get(url.pathname) === "metadata" ? "metadata" : "token"
    return Effect.flatMap(answer(state, endpoint, received), (response) =>
      response === broken
        ? Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, description: "The test issuer is down" })
          })
        )
        : Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(response.body, { status: response.status, headers: response.headers })
          )
        ))
  })
}
