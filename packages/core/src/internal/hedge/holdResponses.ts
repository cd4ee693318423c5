import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { CurrentExecution } from "../retry/execution.ts"
import { discard } from "../retry/httpAttempt.ts"

/**
 * A client for below a breaker or other parts that finish after the response has arrived. If a hedged execution is interrupted
 * meanwhile, its outcome is the interruption, and nobody would release the response.
 */
export const holdResponses = <E, R>(self: HttpClient.HttpClient.With<E, R>): HttpClient.HttpClient.With<E, R> =>
  HttpClient.makeWith<E, R, E, R>(
    (request) =>
      Effect.flatMap(self.postprocess(request), (response) =>
        Effect.withFiber((fiber) => {
          const execution = fiber.getRef(CurrentExecution)
          if (execution !== undefined) execution.release = discard(response)
          return Effect.succeed(response)
        })),
    self.preprocess
  )
