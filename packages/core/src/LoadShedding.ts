/**
 * Sheds the load that an HTTP server cannot take: requests over an adaptive limit are answered with 503 and `Retry-After`,
 * those of the lowest priority first.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { AdaptiveLimit, Priority, Sample } from "./AdaptiveLimit.ts"
import type { LimitExceeded } from "./internal/limit/limitExceeded.ts"
import { classify } from "./internal/limit/sample.ts"
import * as ProblemResponse from "./ProblemResponse.ts"

/** The options of `middleware`. Every one may be left out. */
export interface Options {
  /** The priority of a request. Take it from what a caller cannot choose freely, such as its route. Default normal. */
  readonly priority?: ((request: HttpServerRequest.HttpServerRequest) => Priority) | undefined
  /**
   * Which requests are always served and not measured: health checks, and long streams. Default those to `/health`,
   * `/healthz`, `/livez`, `/readyz` and `/metrics`.
   */
  readonly exempt?: ((request: HttpServerRequest.HttpServerRequest) => boolean) | undefined
}

const probes: ReadonlySet<string> = new Set(["/health", "/healthz", "/livez", "/readyz", "/metrics"])

const isProbe = ({ url }: HttpServerRequest.HttpServerRequest): boolean => probes.has(url.split("?", 1)[0]!)

type AppExit = Exit.Exit<HttpServerResponse.HttpServerResponse, unknown>

/** How a request counts for the capacity of this server. A 429 is ignored: it is a rate limit, and no lack of capacity. */
const sampleOf = (exit: AppExit): Sample => {
  if (Exit.isFailure(exit)) return classify(exit)
  const { status } = exit.value
  if (status === 503 || status === 504) return "dropped"
  return status >= 500 || status === 429 ? "ignored" : "success"
}

/**
 * An HTTP middleware that runs requests under an adaptive limit. Give the limit a queue (`maxQueued`): requests of a
 * higher priority leave it first, and displace lower ones if it is full.
 *
 * A request over the limit is answered with the problem of `LIMIT_EXCEEDED`: 503 with the limit's `retryAfter`. Latency is
 * measured until the handler returns the response; sending the body is not measured.
 *
 * **Example** (Shedding reports before orders)
 *
 * ```ts import.meta.vitest
 * import * as AdaptiveLimit from "@keelson/core/AdaptiveLimit"
 * import * as LoadShedding from "@keelson/core/LoadShedding"
 * import * as Effect from "effect/Effect"
 * import * as HttpServerRequest from "effect/http/HttpServerRequest"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 *
 * const program = Effect.gen(function*() {
 *   const limit = yield* AdaptiveLimit.make("shop", { minLimit: 1, initialLimit: 1 })
 *   const shed = LoadShedding.middleware(limit, {
 *     priority: ({ url }) => url.startsWith("/reports") ? "low" : "normal"
 *   })
 *   const app = shed(Effect.succeed(HttpServerResponse.empty()))
 *   const request = HttpServerRequest.fromWeb(new Request("https://shop.example/reports"))
 *   const response = Effect.provideService(app, HttpServerRequest.HttpServerRequest, request)
 *   const { headers, status } = yield* limit.execute(Effect.orDie(response))
 *   return [status, headers["retry-after"]]
 * }).pipe(Effect.scoped)
 *
 * await Effect.runPromise(program) // => [503, "1"]
 * ```
 */
export const middleware = (limit: AdaptiveLimit, { exempt = isProbe, priority }: Options = {}) => {
  let last: { readonly error: LimitExceeded; readonly response: HttpServerResponse.HttpServerResponse } | undefined
  const responseOf = (error: LimitExceeded): HttpServerResponse.HttpServerResponse => {
    if (last?.error !== error) last = { error, response: ProblemResponse.make(error) }
    return last.response
  }
  return <E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) => {
      const request = Context.get(context, HttpServerRequest.HttpServerRequest)
      if (exempt(request)) return app
      const limited = limit.execute(Effect.exit(app), {
        classify: (exit) => Exit.isFailure(exit) ? classify(exit) : sampleOf(exit.value),
        priority: priority?.(request)
      })
      // The exit of the application passes as it is: its error may be the rejection of a limit further down.
      return Effect.matchEffect(limited, {
        onFailure: (error) => Effect.succeed(responseOf(error)),
        onSuccess: (exit): Effect.Effect<HttpServerResponse.HttpServerResponse, E> => exit
      })
    })
}
