import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import * as HttpSecurityOptions from "../../HttpSecurityOptions.ts"
import type { Principal, ServiceClass } from "../../Principal.ts"
import type { TokenValidator } from "../../TokenValidator.ts"
import { CurrentResource } from "./currentResource.ts"
import { observerOf } from "./observer.ts"
import { checkRedaction } from "./redaction.ts"
import { Rejector } from "./rejector.ts"
import type { RequestToken } from "./requestToken.ts"
import { broaderScopes } from "./scopeHierarchy.ts"

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
  readonly rejector: Rejector
  readonly authenticate: (token: RequestToken) => Effect.Effect<Principal<C>, HttpSecurityError>
}

/** Makes an authenticator. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeAuthenticator = Effect.fnUntraced(function*<V, P, C>(
  { principal, validator: tag, ...input }: Settings<V, P, C>
): Effect.fn.Return<Authenticator<C>, KeelsonError.ConfigurationError, V> {
  const { header, ...others } = yield* Configuration.decode(HttpSecurityOptions.HttpSecurityOptions)(input)
  const options = header === undefined ? others : { ...others, header: header.toLowerCase() }
  yield* checkRedaction(options)
  const validator = yield* tag
  const space = { ...(yield* CurrentResource), ...options, broader: broaderScopes(options.implies) }
  const rejector = new Rejector(space, observerOf(validator))
  const authenticate: Authenticator<C>["authenticate"] = (token) => {
    switch (token._tag) {
      case "None":
        return rejector.tokenMissing
      case "Invalid":
        return rejector.requestInvalid(token.problem)
      case "OtherOrigin":
        return rejector.otherOrigin
      case "Token":
        return Effect.matchEffect(validator.validate(token.text), {
          onFailure: (error) => rejector.tokenRejected(error, token.text),
          onSuccess: (validated) => Effect.succeed(principal.fromValidated(validated, rejector))
        })
    }
  }
  return { options, authenticate, rejector }
})
