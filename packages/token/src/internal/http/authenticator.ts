import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpSecurityError } from "../../HttpSecurityError.ts"
import * as HttpSecurityOptions from "../../HttpSecurityOptions.ts"
import type { Principal, ServiceClass } from "../../Principal.ts"
import type { ProofReplays } from "../../ProofReplays.ts"
import type * as TokenError from "../../TokenError.ts"
import type { TokenValidator } from "../../TokenValidator.ts"
import { certificateHeader, dpopOptions } from "../dpop/bindingRules.ts"
import type { Scheme } from "../dpop/confirmation.ts"
import { errorOf } from "../validation/reasons.ts"
import { type Bindings, makeBindings } from "./bindings.ts"
import type { ProtectionSpace } from "./challenge.ts"
import { CurrentResource } from "./currentResource.ts"
import { observerOf } from "./observer.ts"
import { checkRedaction } from "./redaction.ts"
import { Rejector } from "./rejector.ts"
import type { RequestHead } from "./requestHead.ts"
import type { RequestToken } from "./requestToken.ts"
import { broaderScopes } from "./scopeHierarchy.ts"

/** Options of `HttpSecurity.layer`, `HttpSecurity.middleware` and `BearerAuthentication.make`. */
export interface Settings<V, P, C, R = never> extends HttpSecurityOptions.Options {
  /** The tag of the validator of the tokens. Required. */
  readonly validator: Context.Key<V, TokenValidator<C>>
  /** The tag of the principal, which is provided to what is protected. Required. */
  readonly principal: ServiceClass<P, string, C>
  /**
   * The record of used DPoP proofs: the tag `ProofReplays.ProofReplays`, which the layer then requires. An API with several
   * processes needs one that they share. Default a record in the memory of this process, for 200,000 proofs.
   */
  readonly replays?: Effect.Effect<ProofReplays["Service"], never, R> | undefined
}

/** Authenticates callers by the tokens of their requests. */
export interface Authenticator<C> {
  readonly options: HttpSecurityOptions.HttpSecurityOptions
  /** The names, in lower case, of the configured headers that it reads. */
  readonly headers: ReadonlyArray<string>
  /** Rejects callers that used a scheme. */
  readonly rejector: (token: RequestToken) => Rejector
  /** `setNonce` is called with a nonce that the client needs for its next proof. */
  readonly authenticate: (
    token: RequestToken,
    head: RequestHead | undefined,
    setNonce: (nonce: string) => void
  ) => Effect.Effect<Principal<C>, HttpSecurityError>
}

/** The schemes that an API accepts, those that are about a scheme first. */
const schemesOf = ({ rules }: Bindings, used: Scheme): ReadonlyArray<Scheme> => {
  if (rules.dpop === "off") return ["Bearer"]
  if (rules.dpop === "required") return ["DPoP"]
  return used === "DPoP" ? ["DPoP", "Bearer"] : ["Bearer", "DPoP"]
}

/** Makes an authenticator. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const makeAuthenticator = Effect.fnUntraced(function*<V, P, C, R = never>(
  { principal, replays, validator: tag, ...input }: Settings<V, P, C, R>
): Effect.fn.Return<Authenticator<C>, KeelsonError.ConfigurationError, V | R> {
  const { header, ...others } = yield* Configuration.decode(HttpSecurityOptions.HttpSecurityOptions)(input)
  const options = header === undefined ? others : { ...others, header: header.toLowerCase() }
  yield* checkRedaction(options)
  const validator = yield* tag
  const bindings = yield* makeBindings(options, yield* (replays ?? Effect.undefined))
  const observer = observerOf(validator)
  const space = { ...(yield* CurrentResource), ...options, broader: broaderScopes(options.implies) }
  const spaceOf = (scheme: Scheme): ProtectionSpace => ({
    ...space,
    schemes: schemesOf(bindings, scheme),
    algorithms: dpopOptions(options).algorithms
  })
  const rejectors = {
    Bearer: new Rejector(spaceOf("Bearer"), observer),
    DPoP: new Rejector(spaceOf("DPoP"), observer)
  }
  const schemeOf = (token: RequestToken): Scheme =>
    token._tag === "Token" && token.source === "dpop" ? "DPoP" : "Bearer"

  const authenticate: Authenticator<C>["authenticate"] = (token, head, setNonce) => {
    const scheme = schemeOf(token)
    const rejector = rejectors[scheme]
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
          onSuccess: (validated) => {
            let next: string | undefined
            const finish = (reason: TokenError.Reason | undefined): Effect.Effect<Principal<C>, HttpSecurityError> => {
              if (reason !== undefined) return rejector.tokenRejected(errorOf(reason), token.text, next)
              if (next !== undefined) setNonce(next)
              return Effect.succeed(principal.fromValidated(validated, rejector))
            }
            const checked = head === undefined ? undefined : bindings.check(validated.registered.cnf, {
              text: token.text,
              scheme,
              head,
              setNonce: (nonce) => {
                next = nonce
              }
            })
            return Effect.isEffect(checked) ? Effect.flatMap(checked, finish) : finish(checked)
          }
        })
    }
  }
  return {
    options,
    headers: [header, certificateHeader(options)?.name].flatMap((name) => name?.toLowerCase() ?? []),
    authenticate,
    rejector: (token) => rejectors[schemeOf(token)]
  }
})
