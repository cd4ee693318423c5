import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import * as HttpSecurityOptions from "../../HttpSecurityOptions.ts"
import type { Principal, ServiceClass } from "../../Principal.ts"
import type { TokenValidator } from "../../TokenValidator.ts"
import type { Found } from "./found.ts"
import { checkRedaction } from "./redaction.ts"
import { otherOrigin, requestInvalid, tokenMissing, tokenRefused } from "./refusals.ts"

/** Who is let in, and how tokens are sent. */
export interface Settings<V, P, C> extends HttpSecurityOptions.Options {
  /** Who validates the tokens. */
  readonly validator: Context.Key<V, TokenValidator<C>>
  /** Who calls, which is provided to what is protected. */
  readonly principal: ServiceClass<P, string, C>
}

/** Settings that were checked, and what they let in. */
export interface Admission<C> {
  readonly options: HttpSecurityOptions.HttpSecurityOptions
  /** Who calls, by what the request has of a token. */
  readonly admit: (found: Found) => Effect.Effect<Principal<C>, HttpSecurityError>
}

/**
 * Refuses, and leaves the code where operators look: the callers are told less. It is logged as `Debug`, since everybody
 * can cause it.
 */
export const refuse = (
  error: HttpSecurityError,
  code: ErrorCode.ErrorCode = error.code
): Effect.Effect<never, HttpSecurityError> => {
  const { id } = ErrorCode.codeInfo[code]
  return Effect.logDebug("A request was refused").pipe(
    Effect.annotateLogs({ error_code: id }),
    Effect.andThen(Effect.annotateCurrentSpan("keelson.error_code", id)),
    Effect.andThen(Effect.fail(error))
  )
}

/** An admission by settings. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeAdmission = Effect.fnUntraced(function*<V, P, C>(
  { principal, validator: tag, ...input }: Settings<V, P, C>
): Effect.fn.Return<Admission<C>, KeelsonError.ConfigurationError, V> {
  const options = yield* HttpSecurityOptions.decode(input)
  yield* checkRedaction(options.queryParameter)
  const validator = yield* tag
  const admit: Admission<C>["admit"] = (found) => {
    switch (found._tag) {
      case "None":
        return refuse(tokenMissing(options))
      case "Invalid":
        return refuse(requestInvalid(options, found.problem))
      case "OtherOrigin":
        return refuse(otherOrigin(options))
      case "Token":
        return Effect.matchEffect(validator.validate(found.text), {
          onFailure: (error) => refuse(tokenRefused(options, error), error.code),
          onSuccess: (validated) => Effect.succeed(principal.fromValidated(validated, options))
        })
    }
  }
  return { options, admit }
})
