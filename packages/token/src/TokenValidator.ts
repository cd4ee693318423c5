/**
 * Turns a token into typed claims, or refuses it for one reason.
 *
 * A validator is a tag of its own: an application may have several, each with its policy and its claims schema. It needs
 * nothing but a `KeySource`.
 *
 * @see RFC 7515, 5.2; RFC 7519, 7.2; RFC 8725
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as KeySource from "@keelson/jwks/KeySource"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Claims from "./Claims.ts"
import { type ClaimsSchema, makeClaimsDecoder } from "./internal/validation/claimsDecoder.ts"
import { explainable } from "./internal/validation/explainable.ts"
import { hashText } from "./internal/validation/platform.ts"
import { rulesOf } from "./internal/validation/rules.ts"
import { SignatureVerifier } from "./internal/validation/signature.ts"
import { Validation } from "./internal/validation/validation.ts"
import { countValidations } from "./internal/validation/validationMetrics.ts"
import { Revocation } from "./Revocation.ts"
import type { TokenError } from "./TokenError.ts"
import * as ValidationPolicy from "./ValidationPolicy.ts"

/** A token that was accepted. It is frozen, with all that it holds. */
export interface Validated<C> {
  /** What the claims schema made of the token's claims. */
  readonly claims: C
  /** The registered claims, in one form for all tokens. */
  readonly registered: Claims.Registered
}

/** What one call asks for beyond the policy, which it can narrow and not widen. */
export interface ValidateOptions {
  /** An audience that the token has to have, beside one of the policy's. */
  readonly audience?: string | undefined
  /** The one issuer of the policy's that the token has to be of. */
  readonly issuer?: string | undefined
  /** Claims that have to be there, beside those of the policy. */
  readonly requiredClaims?: ReadonlyArray<string> | undefined
  /** The `nonce` that an ID token has to answer. */
  readonly nonce?: string | undefined
  /** The access token that came with an ID token, whose `at_hash` has to fit it. */
  readonly accessToken?: string | Redacted.Redacted | undefined
  /**
   * Accepts a token past its `exp`, as to end the session of one that ran out. It is logged, and the result is never
   * remembered; everything else is checked. Default false.
   */
  readonly skipExpiry?: boolean | undefined
}

/** A validator of tokens with claims of one type. */
export interface TokenValidator<C> {
  /**
   * Claims of a token that is accepted. Fails with `TokenError`, whose reason and code tell why: a 401, or a 503 where keys
   * or revocations can't be asked now.
   *
   * A token that was verified before is answered from memory, for as long as it and the key that verified it are good.
   */
  readonly validate: (token: string | Redacted.Redacted) => Effect.Effect<Validated<C>, TokenError>
  /** The same, by what one call asks for too. */
  readonly validateWith: (
    token: string | Redacted.Redacted,
    options: ValidateOptions
  ) => Effect.Effect<Validated<C>, TokenError>
  /** Forgets the tokens that were verified: each is verified anew. */
  readonly invalidate: Effect.Effect<void>
}

/** What a tag is made with. */
export interface ServiceOptions<S extends ClaimsSchema> {
  /** The schema of the claims, whose decoding needs nothing else, as `Claims.AccessToken`. */
  readonly claims: S
}

/** A policy that is checked where the layer is built. */
export type Policy = ValidationPolicy.Options | ValidationPolicy.ValidationPolicy

/** The tag of a validator, with its layers. */
export interface ServiceClass<Self, Id extends string, S extends ClaimsSchema>
  extends Context.ServiceClass<Self, Id, TokenValidator<S["Type"]>>
{
  /** The schema of the claims. */
  readonly claims: S
  /** A validator by a policy, over the keys in context. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
  readonly layer: (policy: Policy) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource>
  /** The same, which asks on every use of a token whether it was revoked. */
  readonly layerRevocable: (
    policy: Policy
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource | Revocation>
}

/** A validator by a checked policy, with a list of what is revoked or without. */
const makeFrom = Effect.fnUntraced(function*<S extends ClaimsSchema>(
  id: string,
  claims: S,
  policy: Policy,
  revocation?: Revocation["Service"]
): Effect.fn.Return<
  TokenValidator<S["Type"]>,
  KeelsonError.ConfigurationError,
  KeySource.KeySource | Scope.Scope
> {
  const validation = new Validation<S["Type"]>({
    id,
    rules: rulesOf(yield* ValidationPolicy.decode(policy)),
    keys: yield* KeySource.KeySource,
    verifySignature: yield* SignatureVerifier,
    decodeClaims: makeClaimsDecoder(claims),
    hash: hashText,
    revocation
  })
  yield* countValidations(validation)
  return explainable<TokenValidator<S["Type"]>>(validation, {
    validate: (token) => validation.validate(token),
    validateWith: (token, options) => validation.validateWith(token, options),
    invalidate: validation.invalidate
  })
})

/**
 * A validator in a scope, by a policy and a claims schema. Metrics and spans name it by its id.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = <S extends ClaimsSchema>(
  id: string,
  { claims }: ServiceOptions<S>,
  policy: Policy
): Effect.Effect<TokenValidator<S["Type"]>, KeelsonError.ConfigurationError, KeySource.KeySource | Scope.Scope> =>
  makeFrom(id, claims, policy)

/**
 * The tag of a validator: `class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: MyClaims }) {}`.
 * Metrics and spans name it by its id.
 */
export const Service = <Self>() =>
<const Id extends string, S extends ClaimsSchema>(
  id: Id,
  { claims }: ServiceOptions<S>
): ServiceClass<Self, Id, S> =>
  class Tag extends Context.Service<Self, TokenValidator<S["Type"]>>()(id) {
    static readonly claims = claims
    static readonly layer = (policy: Policy): Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource> =>
      Layer.effect(Tag, makeFrom(id, claims, policy))
    static readonly layerRevocable = (
      policy: Policy
    ): Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource | Revocation> =>
      Layer.effect(Tag, Effect.flatMap(Revocation, (revocation) => makeFrom(id, claims, policy, revocation)))
  }
