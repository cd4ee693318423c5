/**
 * Deadlines across HTTP: a client sends the time that is left, and a server ends the request within it.
 *
 * The header holds a duration and not a time of day, so the clocks of client and server need not agree. The time on the
 * network is not subtracted.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { CurrentDeadline, DeadlineExceeded } from "./Deadline.ts"
import { withoutStack } from "./internal/errors/withoutStack.ts"
import { left, sooner } from "./internal/retry/deadline.ts"
import { readTimeout, writeTimeout } from "./internal/retry/deadlineHeader.ts"
import { interruptAfter } from "./internal/retry/interruptAfter.ts"
import * as ProblemResponse from "./ProblemResponse.ts"
import * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"

/** The options of `client`. */
export interface ClientOptions {
  /**
   * The origins that receive the header, such as `https://billing.example`. Any other origin does not, also after a redirect.
   * Required.
   */
  readonly origins: ReadonlyArray<string>
  /**
   * The name of the header. `grpc-timeout` is written in the form of gRPC, any other in whole milliseconds. Default
   * x-request-timeout-ms.
   */
  readonly header?: string | undefined
  /**
   * Upper bound of the time that is sent. Set it to the attempt timeout, after which the caller no longer waits. From 1
   * milli to 24 hours. Default none.
   */
  readonly maximum?: Field.DurationInput | undefined
}

/** The options of `middleware`. Every one may be left out. */
export interface ServerOptions {
  /**
   * The name of the header. `grpc-timeout` is read in the form of gRPC, any other in whole milliseconds. Default
   * x-request-timeout-ms.
   */
  readonly header?: string | undefined
  /**
   * Upper bound of the time of a request, whatever its header asks for. A request without a readable header may take this long.
   * From 1 milli to 24 hours. Default 30 seconds.
   */
  readonly maximum?: Field.DurationInput | undefined
  /** Whether the response is sent at the deadline itself, before the finalizers of the handler have run. Default false. */
  readonly detach?: boolean | undefined
}

const tokenForm = /^[!#$%&'*+.^_`|~0-9a-z-]{1,64}$/

const header = Field.defaulted(
  Schema.String.check(
    Schema.makeFilter((name: string) => tokenForm.test(name), {
      expected: "the name of a header in lower case, of 1 to 64 characters"
    })
  ),
  "x-request-timeout-ms"
)

const origin = Schema.String.check(
  Schema.makeFilter((text: string) => URL.parse(text)?.origin === text, {
    expected: "an origin such as https://api.example"
  })
)

/** Checked options of `client`. */
export const Client = Schema.Struct({
  origins: Schema.Array(origin).check(Schema.isMinLength(1, { expected: "at least one origin" })),
  header,
  maximum: Schema.optionalKey(Field.duration("1 millis", "24 hours"))
})

/** Checked options of `middleware`. */
export const Server = Schema.Struct({
  header,
  maximum: Field.defaulted(Field.duration("1 millis", "24 hours"), Duration.seconds(30)),
  detach: Field.defaulted(Schema.Boolean, false)
})

const clientOptions = Decoders.maker<ClientOptions, typeof Client>(Client)
const serverOptions = Decoders.maker<ServerOptions, typeof Server>(Server)

/**
 * A client that sends the time left until the current deadline with each request. Without a deadline it sends no header.
 *
 * Put it inside retries, hedges and `followRedirects`, so that each request has the time that is left then. `fetch` that
 * follows redirects itself sends the header to where they lead: provide `FetchHttpClient.RequestInit` with
 * `redirect: "manual"`.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Sending the time that is left)
 *
 * ```ts import.meta.vitest
 * import * as Deadline from "@keelson/core/Deadline"
 * import * as HttpDeadline from "@keelson/core/HttpDeadline"
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as HttpClientResponse from "effect/http/HttpClientResponse"
 *
 * let sent: string | undefined
 * const client = HttpClient.make((request) => {
 *   sent = request.headers["x-request-timeout-ms"]
 *   return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("paid")))
 * }).pipe(HttpDeadline.client({ origins: ["https://billing.example"] }))
 *
 * await Effect.runPromise(Deadline.within(client.get("https://billing.example/invoices"), "2 seconds"))
 * Number(sent) <= 2000 // => true
 * ```
 */
export const client = (options: ClientOptions) => {
  const { header, maximum, origins } = clientOptions(options)
  const most = maximum === undefined ? undefined : Duration.toNanosUnsafe(maximum)
  const allowed = new Set(origins)
  const timed = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
    Effect.withFiber((fiber) => {
      const until = fiber.getRef(CurrentDeadline)
      if (until === undefined || !allowed.has(URL.parse(request.url)?.origin ?? "")) return Effect.succeed(request)
      const time = until - fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
      const sent = most !== undefined && most < time ? most : time
      return Effect.succeed(HttpClientRequest.setHeader(request, header, writeTimeout(header, sent)))
    })
  return <E, R>(self: HttpClient.HttpClient.With<E, R>): HttpClient.HttpClient.With<E, R> =>
    HttpClient.makeWith<E, R, E, R>((request) => self.postprocess(Effect.flatMap(request, timed)), self.preprocess)
}

/**
 * A middleware that sets the current deadline of each request, from its header and up to `maximum`, and answers 504
 * (`TIMEOUT`) if the handler has not responded by then. The handler is interrupted.
 *
 * A header that is malformed, zero or given twice counts as absent. The time of a body that is sent as a stream is not
 * bounded. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A handler that is slower than the caller waits)
 *
 * ```ts import.meta.vitest
 * import * as HttpDeadline from "@keelson/core/HttpDeadline"
 * import * as Effect from "effect/Effect"
 * import * as HttpEffect from "effect/http/HttpEffect"
 *
 * const app = HttpDeadline.middleware({ maximum: "10 seconds" })(Effect.never)
 * const handle = HttpEffect.toWebHandler(app)
 * const headers = { "x-request-timeout-ms": "20" }
 * const response = await handle(new Request("https://billing.example/", { headers }))
 * response.status // => 504
 * ```
 */
export const middleware = (options?: ServerOptions) => {
  const { detach, header, maximum } = serverOptions(options)
  const most = Duration.toNanosUnsafe(maximum)
  return <E, R>(
    self: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      Effect.withFiber((fiber) => {
        const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
        const asked = readTimeout(header, request.headers[header])
        const until = sooner(fiber.getRef(CurrentDeadline), now + (asked === undefined || asked > most ? most : asked))
        const after = left(until, now)
        const late = new LateResponse(after)
        return Effect.catch(
          interruptAfter(Effect.provideService(self, CurrentDeadline, until), after, () => late, detach),
          (error) => error instanceof LateResponse ? Effect.succeed(error.response) : Effect.fail(error)
        )
      }))
}

/** Marks the end of the time, as distinct from an error of the handler. */
class LateResponse {
  readonly #after: Duration.Duration
  constructor(after: Duration.Duration) {
    this.#after = after
  }
  get response(): HttpServerResponse.HttpServerResponse {
    return ProblemResponse.make(withoutStack(() => new DeadlineExceeded({ limit: "call", after: this.#after })))
  }
}
