import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { EndpointExit, HttpCallOptions } from "../../Endpoints.ts"
import * as InvalidConfig from "../../unstable/InvalidConfig.ts"
import { classify } from "../breaker/outcome.ts"
import { isGood, mayHedge, release } from "../hedge/hedgeHttp.ts"
import type { Gate } from "../retry/gate.ts"
import { type HttpCall, prepareHttp, statusError } from "../retry/httpAttempt.ts"
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

/** A client each of whose requests is a call for `run`, at the base URL of the endpoint that has it. */
export const wrapEndpoints = <E, R, E2>(
  self: HttpClient.HttpClient.With<E, R>,
  entries: ReadonlyArray<ListedEndpoint>,
  policy: { readonly statuses: ReadonlyArray<number> },
  options: HttpCallOptions<E | HttpClientError.HttpClientError> & { readonly server: string },
  gates: ReadonlyMap<string, Gate<unknown> | undefined>,
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
        /** The last request that was prepared; `undefined` until then. */
        let sent: HttpClientRequest.HttpClientRequest | undefined
        return run({
          to: ({ id }) => {
            const base = bases.get(id)!
            const at = Effect.flatMap(request, (made) => {
              sent = made
              return moved(made, base, ordered)
            })
            const { attempt, loop } = prepareHttp<Failure, R>(client, at, policy, options, fiber, gates.get(id), call)
            return { attempt, loop: { ...loop, obeysOuter: true } }
          },
          classify: options.classify ?? classify,
          failover: options.failover,
          failureOf: statusError,
          discard: (exit: EndpointExit<Response, Failure>) => release(exit),
          hedge: {
            when: () => sent !== undefined && mayHedge(sent, { allowUnsafe: options.hedgeUnsafe }),
            accept: isGood,
            discard: release
          },
          limits: options
        })
      }),
    self.preprocess
  )
}
