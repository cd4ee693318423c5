import * as KeelsonError from "@keelson/core/KeelsonError"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Predicate from "effect/Predicate"
import type * as JwksOptions from "../../JwksOptions.ts"
import { operatorFields } from "../registry/operatorFields.ts"

/** More than any registration has. */
const maxBodySize = ByteSize.kibibytes(16)

const invalid = (expected: string) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `Invalid registration: the body has to be ${expected}`,
    details: { path: "", expected }
  })

const isBody = (json: unknown): json is JwksOptions.Options => Predicate.isObject(json) && !Array.isArray(json)

/**
 * The body of a registration, whose members the registry checks.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) for what is not a JSON object, and with `AuthorizationError`
 * (`FORBIDDEN`) for one that sets what is the operator's.
 */
export const readRegistration = Effect.fnUntraced(function*(
  request: HttpServerRequest.HttpServerRequest
): Effect.fn.Return<JwksOptions.Options, KeelsonError.ConfigurationError | KeelsonError.AuthorizationError> {
  const text = yield* Effect.mapError(
    Effect.provideService(request.text, HttpIncomingMessage.MaxBodySize, maxBodySize),
    () => invalid("at most 16 KiB of text")
  )
  const json = yield* Effect.try({ try: (): unknown => JSON.parse(text), catch: () => invalid("JSON") })
  if (!isBody(json)) return yield* Effect.fail(invalid("an object"))
  const field = operatorFields.find((name) => Object.hasOwn(json, name))
  if (field === undefined) return json
  return yield* Effect.fail(
    new KeelsonError.AuthorizationError({
      code: "FORBIDDEN",
      message: `A registration does not set ${field}: it is the operator's to set`,
      details: { path: field }
    })
  )
})
