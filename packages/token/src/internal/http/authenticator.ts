import * as Configuration from "@keelson/core/Configuration"
import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import * as HttpSecurityOptions from "../../HttpSecurityOptions.ts"
import type { Principal, ServiceClass } from "../../Principal.ts"
import type { TokenValidator } from "../../TokenValidator.ts"
import { checkRedaction } from "./redaction.ts"
import { otherOrigin, requestInvalid, tokenMissing, tokenRejected } from "./rejections.ts"
import type { RequestToken } from "./requestToken.ts"

/** Options of `HttpSecurity.layer`, `HttpSecurity.middleware` and `BearerAuthentication.make`. */
export interface Settings<V, P, C> extends HttpSecurityOptions.Options {
  /** The tag of the validator of the tokens. Required. */
  readonly validator: Context.Key<V, TokenValidator<C>>
  /** The tag of the principal, which is provided to what is protected. Required. */
  readonly principal: ServiceClass<P, string, C>
}

/** Authenticates callers by the tokens of their requests. */
export interface Authenticator<C> {
  readonly options: HttpSecurityOptions.HttpSecurityOptions
  readonly authenticate: (token: RequestToken) => Effect.Effect<Principal<C>, HttpSecurityError>
}

/**
 * Fails with an error, after logging its code and adding it to the current span: callers see less than operators. The log
 * level is `Debug`, since anybody can cause it.
 */
export const reject = (
  error: HttpSecurityError,
  code: ErrorCode.ErrorCode = error.code
): Effect.Effect<never, HttpSecurityError> => {
  const { id } = ErrorCode.codeInfo[code]
  return Effect.logDebug("Request rejected").pipe(
    Effect.annotateLogs({ error_code: id }),
    Effect.andThen(Effect.annotateCurrentSpan("keelson.error_code", id)),
    Effect.andThen(Effect.fail(error))
  )
}

/** Makes an authenticator. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeAuthenticator = Effect.fnUntraced(function*<V, P, C>(
  { principal, validator: tag, ...input }: Settings<V, P, C>
): Effect.fn.Return<Authenticator<C>, KeelsonError.ConfigurationError, V> {
  const options = yield* Configuration.decode(HttpSecurityOptions.HttpSecurityOptions)(input)
  yield* checkRedaction(options.queryParameter)
  const validator = yield* tag
  const authenticate: Authenticator<C>["authenticate"] = (token) => {
    switch (token._tag) {
      case "None":
        return reject(tokenMissing(options))
      case "Invalid":
        return reject(requestInvalid(options, token.problem))
      case "OtherOrigin":
        return reject(otherOrigin(options))
      case "Token":
        return Effect.matchEffect(validator.validate(token.text), {
          onFailure: (error) => reject(tokenRejected(options, error), error.code),
          onSuccess: (validated) => Effect.succeed(principal.fromValidated(validated, options))
        })
    }
  }
  return { options, authenticate }
})
