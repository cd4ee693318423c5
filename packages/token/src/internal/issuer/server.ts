import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { answer, broken, endpointPaths, type IssuerState } from "./endpoints.ts"

/** A body that breaks off: a server cannot refuse a connection that it has accepted. */
const brokenResponse = HttpServerResponse.stream(Stream.fail("The test issuer is down"), {
  contentType: "application/json",
  contentLength: 1000
})

const notFound = HttpServerResponse.empty({ status: 404 })

/** The issuer as the handler of a server. */
export const makeHandler = (state: IssuerState) => {
  const paths = endpointPaths(state.issuer)
  return Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { pathname } = new URL(request.url, state.issuer)
    const endpoint = paths.get(pathname)
    if (endpoint === undefined) return notFound
    const body = endpoint === "token" ? yield* request.text : ""
    const response = yield* answer(state, endpoint, {
      method: request.method,
      path: pathname,
      authorization: request.headers["authorization"],
      body
    })
    return response === broken
      ? brokenResponse
      : HttpServerResponse.text(response.body, { status: response.status, headers: response.headers })
  })
}
