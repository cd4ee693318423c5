import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Predicate from "effect/Predicate"
import type * as JwksOptions from "../../JwksOptions.ts"
import { operatorFields } from "../registry/operatorFields.ts"

/** Upper bound of the body size, larger than any valid registration. */
const maxBodySize = ByteSize.kibibytes(16)

const invalid = (expected: string) =>
  InvalidConfig.option("", expected, { message: `Invalid registration: the body must be ${expected}` })

const isBody = (json: unknown): json is JwksOptions.Options => Predicate.isObject(json) && !Array.isArray(json)

/**
 * Reads the body of a registration. The registry checks its members.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if the body is not a JSON object, and with `AuthorizationError`
 * (`FORBIDDEN`) if the body sets an option that only the operator may set.
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
      message: `A registration must not set ${field}: only the operator may`,
      details: { path: field }
    })
  )
})
