/**
 * An audit entry for every request of an `HttpRouter`, and a correlation id that its logs, spans, entry and response have in common.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import { clientAddress, networkOf } from "@keelson/core/unstable/Networks"
import { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import type * as IpNetwork from "effect/net/IpNetwork"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { AuditLog } from "./AuditLog.ts"
import * as CorrelationId from "./CorrelationId.ts"
import { CurrentDraft, type Facts, RequestDraft } from "./internal/http/requestDraft.ts"

export type { Facts } from "./internal/http/requestDraft.ts"

/** Options of `layer`. Every one may be left out. */
export interface Options {
  /**
   * The addresses from which proxies connect, or their networks in CIDR notation. `X-Forwarded-For` is read, from the right, in
   * requests from these alone. Without it, the address is that of the request. From 1 to 64 addresses or networks. Default none.
   */
  readonly proxies?: ReadonlyArray<string> | undefined
  /** Whether the start, the completion and the failure of requests are logged. Default true. */
  readonly logRequests?: boolean | undefined
}

const Network = Schema.String.check(
  Schema.makeFilter((text: string) => networkOf(text) !== undefined, {
    expected: "an address, or a network in CIDR notation without host bits"
  })
)
const expectedProxies = "a list of 1 to 64 addresses or networks"

const Settings = Schema.Struct({
  proxies: Schema.optionalKey(
    Schema.Array(Network).check(
      Schema.isMinLength(1, { expected: expectedProxies }),
      Schema.isMaxLength(64, { expected: expectedProxies })
    )
  ),
  logRequests: Field.defaulted(Schema.Boolean, true)
})

/** Adds what the handler knows to the entry of the current request: user, bucket, object key, cache status. Has no effect outside of a request. */
export const annotate = (facts: Facts): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    fiber.getRef(CurrentDraft)?.annotate(facts)
    return Effect.void
  })

const addressOf = (
  request: HttpServerRequest.HttpServerRequest,
  networks: ReadonlyArray<IpNetwork.IpNetwork>
): string | undefined => {
  const peer = networks.length === 0 ? request.remoteAddress : request.peerAddress
  return clientAddress(Option.getOrUndefined(peer), request.headers["x-forwarded-for"], networks)
}

/** The response, whose streamed body counts its bytes. */
const counted = (
  response: HttpServerResponse.HttpServerResponse,
  draft: RequestDraft
): HttpServerResponse.HttpServerResponse => {
  const { body } = response
  if (body._tag !== "Stream") return response
  draft.streamed = 0
  const stream = Stream.map(body.stream, (bytes) => {
    draft.streamed = (draft.streamed ?? 0) + bytes.byteLength
    return bytes
  })
  const replaced = HttpServerResponse.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
  return HttpServerResponse.setHeaders(replaced, response.headers)
}

const logCompletion = (draft: RequestDraft, status: number, duration: Duration.Duration, isCut: boolean) => {
  const level = status >= 500 ? "Error" : isCut ? "Warn" : "Info"
  const message = status >= 500 ? "Request failed" : isCut ? "Request aborted" : "Request completed"
  return Effect.annotateLogs(Effect.logWithLevel(level)(message), {
    correlation_id: draft.correlationId,
    http_status: status,
    duration_ms: Duration.toMillis(duration)
  })
}

/** The response to a request, also to one that failed. */
const responseOf = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  if (Exit.isFailure(exit)) return Effect.map(HttpServerError.causeResponse(exit.cause), ([response]) => response)
  return Effect.succeed(HttpServerResponse.isHttpServerResponse(exit.value) ? exit.value : HttpServerResponse.empty())
}

type App<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** Makes the function that wraps the handling of a request. */
const makeAudited = Effect.fnUntraced(function*(options: Options) {
  const { logRequests, proxies = [] } = yield* Configuration.decode(Settings)(options)
  const networks = proxies.flatMap((text) => networkOf(text) ?? [])
  const log = yield* AuditLog

  return <E, R>(app: App<E, R>): App<E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.contextWith((context: Context.Context<R | HttpServerRequest.HttpServerRequest>) => {
      const request = Context.get(context, HttpServerRequest.HttpServerRequest)
      const clock = Context.get(context, Clock.Clock)
      const began = clock.monotonicTimeNanosUnsafe()
      const correlationId = CorrelationId.fromHeader(request.headers[CorrelationId.header])
      const draft = new RequestDraft(request, addressOf(request, networks), correlationId)
      // Also for the responses to failures, which are made outside of this middleware.
      HttpEffect.appendPreResponseHandlerUnsafe(
        context,
        (_, response) => Effect.succeed(HttpServerResponse.setHeader(response, CorrelationId.header, correlationId))
      )
      let handled: Exit.Exit<HttpServerResponse.HttpServerResponse, E> | undefined
      const finish = (sent: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
        const duration = Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
        return Effect.flatMap(responseOf(handled ?? sent), (response) => {
          const isCut = handled !== undefined && Exit.isSuccess(handled) ? Exit.isFailure(sent) : response.status === 499
          const entry = log.record(draft.entry(response, duration, isCut))
          return logRequests
            ? Effect.andThen(entry, logCompletion(draft, response.status, duration, isCut))
            : entry
        })
      }
      const audited = app.pipe(
        Effect.map((response) => counted(response, draft)),
        Effect.onExit((exit) => {
          handled = exit
          return Effect.void
        }),
        Effect.provideService(CurrentDraft, draft),
        Effect.provideService(RequestObserver, draft),
        Effect.provideService(CorrelationId.CorrelationId, correlationId),
        Effect.annotateLogs("correlation_id", correlationId),
        Effect.annotateSpans("correlation_id", correlationId)
      )
      const started = Effect.andThen(
        Effect.ignore(Effect.annotateCurrentSpan("correlation_id", correlationId)),
        logRequests ? Effect.annotateLogs(Effect.logDebug("Request started"), { correlation_id: correlationId }) : Effect.void
      )
      // The scope of a request closes once its response was sent, streams included, or could not be.
      const scope = Context.getOrUndefined(context, Scope.Scope)
      return scope === undefined
        ? Effect.onExit(Effect.andThen(started, audited), finish)
        : Effect.andThen(Effect.andThen(Scope.addFinalizerExit(scope, finish), started), audited)
    })
})

/**
 * Records one entry in the `AuditLog` for every request of a router, also for one without a route, one that fails, and one whose
 * client goes away. It is recorded once the response was sent, with the bytes that were.
 *
 * The entry has the subject that `HttpSecurity` of `@keelson/token` found, and the code of its error if it rejected the caller.
 * Handlers add more with `annotate`. Logs and spans of the request are annotated with `correlation_id`, and its response has the
 * header `X-Correlation-ID`.
 *
 * **Example** (A router with an audit log)
 *
 * ```ts import.meta.vitest
 * import { AuditLog, AuditMiddleware } from "@keelson/audit"
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * const lines: Array<string> = []
 * const log = AuditLog.layer({
 *   sinks: [{
 *     name: "memory",
 *     write: (records) => Effect.sync(() => { lines.push(...records.map(({ line }) => line)) }),
 *     flush: Effect.void
 *   }]
 * })
 * const routes = HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello"))
 * const app = Layer.provide(Layer.merge(routes, AuditMiddleware.layer()), log)
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(app, { disableLogger: true })
 * const response = await handler(new Request("http://localhost/hello", { headers: { "x-correlation-id": "order-1" } }))
 * await response.text()
 * await dispose()
 * JSON.parse(lines[0] ?? "").correlation_id // => "order-1"
 * ```
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, KeelsonError.ConfigurationError, AuditLog | HttpRouter.HttpRouter> =>
  HttpRouter.middleware(Effect.map(makeAudited(options), (audited) => (app) => audited(app)), { global: true })
