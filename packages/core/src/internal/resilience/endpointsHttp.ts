import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { EndpointExit, HttpCallOptions } from "../../Endpoints.ts"
import * as InvalidConfig from "../../unstable/InvalidConfig.ts"
import { classify } from "../breaker/outcome.ts"
import { discard, type HttpCall, prepareHttp } from "../retry/httpAttempt.ts"
import { RetryExhausted } from "../retry/retryExhausted.ts"
import { type BaseUrl, inOrder, rebase } from "./baseUrl.ts"
import type { ListedEndpoint } from "./endpointList.ts"
import type { Request } from "./failover.ts"

type Response = HttpClientResponse.HttpClientResponse

/** The base URL of each endpoint by its id. Throws `ConfigurationError` if an endpoint has none. */
const basesOf = (entries: ReadonlyArray<ListedEndpoint>): ReadonlyMap<string, BaseUrl> =>
  new Map(entries.map(({ base, id }, index) => {
    if (base === undefined) throw InvalidConfig.option(`endpoints.${index}`, "an endpoint with a url, for http")
    return [id, base]
  }))

/** The same request at another base URL. */
const moved = (
  request: HttpClientRequest.HttpClientRequest,
  to: BaseUrl,
  bases: ReadonlyArray<BaseUrl>
): Effect.Effect<HttpClientRequest.HttpClientRequest, HttpClientError.HttpClientError> => {
  const url = rebase(request.url, to, bases)
  return url === undefined
    ? Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.InvalidUrlError({ request, description: "The URL is not below a listed endpoint" })
      })
    )
    : Effect.succeed(HttpClientRequest.updateUrl(request, () => url))
}

/** The response that an exit holds, also as the last error of a retry. */
const responseOf = (exit: Exit.Exit<Response, unknown>): Response | undefined => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.squash(exit.cause)
  const last: unknown = error instanceof RetryExhausted ? error.error : error
  return HttpClientError.isHttpClientError(last) ? last.response : undefined
}

const release = (exit: Exit.Exit<Response, unknown>): Effect.Effect<void> => {
  const response = responseOf(exit)
  return response === undefined ? Effect.void : discard(response)
}

/** A client each of whose requests is a call for `run`, at the base URL of the endpoint that has it. */
export const wrapEndpoints = <E, R, E2>(
  self: HttpClient.HttpClient.With<E, R>,
  entries: ReadonlyArray<ListedEndpoint>,
  policy: { readonly statuses: ReadonlyArray<number> },
  options: HttpCallOptions<E | HttpClientError.HttpClientError> & { readonly server: string },
  run: (request: Request<Response, E | HttpClientError.HttpClientError, R>) => Effect.Effect<Response, E2, R>
): HttpClient.HttpClient.With<E2, R> => {
  type Failure = E | HttpClientError.HttpClientError
  // oxlint-disable-next-line no-unsafe-type-assertion -- a client passes on whatever error the preparation of a request has
  const client = self as unknown as HttpClient.HttpClient.With<Failure, R>
  const bases = basesOf(entries)
  const ordered = inOrder(Array.from(bases.values()))
  return HttpClient.makeWith<E, R, E2, R>(
    (request) =>
      Effect.withFiber((fiber) => {
        const call: HttpCall = { key: undefined }
        return run({
          to: ({ id }) => {
            const base = bases.get(id)!
            const at = Effect.flatMap(request, (made) => moved(made, base, ordered))
            const { attempt, loop } = prepareHttp<Failure, R>(client, at, policy, options, fiber, undefined, call)
            return { attempt, loop: { ...loop, obeysOuter: true } }
          },
          classify: options.classify ?? classify,
          failover: options.failover,
          discard: (exit: EndpointExit<Response, Failure>) => release(exit)
        })
      }),
    self.preprocess
  )
}
