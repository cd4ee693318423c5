import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import { CurrentDeadline } from "../../Deadline.ts"
import type { FailureClass } from "./failureClass.ts"
import type { Gate } from "./gate.ts"
import { hints } from "./hints.ts"
import { askedBy, classOfHttp } from "./httpHints.ts"

/** How a failure that asks to wait is recognized. */
export interface Recognition<E> {
  readonly failureClass?: ((error: E) => FailureClass) | undefined
  readonly retryAfter?: ((error: E, now: number) => Duration.Duration | undefined) | undefined
}

/** Runs an effect when the gate is open, and closes it if the effect fails with a request to wait. */
export const throttledCall = <A, E, R, G>(
  self: Effect.Effect<A, E, R>,
  gate: Gate<G>,
  { failureClass = classOfHttp, retryAfter = askedBy }: Recognition<E> = {}
): Effect.Effect<A, E | G, R> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const watched = Effect.catchCause(self, (cause) => {
      const error = Cause.findErrorOption(cause)
      if (error._tag === "Some" && failureClass(error.value) === "throttled") {
        const asked = retryAfter(error.value, clock.currentTimeMillisUnsafe())
        if (asked !== undefined) gate.pause(asked, clock.monotonicTimeNanosUnsafe())
      }
      return Effect.failCause(cause)
    })
    return gate.isClosed(clock.monotonicTimeNanosUnsafe())
      ? Effect.andThen(gate.pass(fiber.getRef(CurrentDeadline)), watched)
      : watched
  })

/** Closes the gate if a response asks to wait. A response below 400 reports a limit, and asks for nothing. */
export const noteResponse = <G>(
  response: HttpClientResponse.HttpClientResponse,
  gate: Gate<G>,
  clock: Clock.Clock
): void => {
  if (response.status < 400) return
  const { delay } = hints(response, clock.currentTimeMillisUnsafe())
  if (delay !== undefined) gate.pause(delay, clock.monotonicTimeNanosUnsafe())
}

/** A client whose requests are sent when the gate is open. It does not see redirects and retries below it. */
export const throttledHttp = <E, R, G>(
  self: HttpClient.HttpClient.With<E, R>,
  gate: Gate<G>
): HttpClient.HttpClient.With<E | G, R> =>
  HttpClient.makeWith<E, R, E | G, R>(
    (request) =>
      Effect.withFiber((fiber) => {
        const clock = fiber.getRef(Clock.Clock)
        return Effect.map(throttledCall(self.postprocess(request), gate), (response) => {
          noteResponse(response, gate, clock)
          return response
        })
      }),
    self.preprocess
  )
