/**
 * Validates JSON Web Tokens: returns typed claims, or fails with the reason to reject the token.
 *
 * Each validator is a service with its own tag, so that an application can have several, each with its policy and claims
 * schema. A validator requires a `KeySource`.
 *
 * @see RFC 7515, 5.2; RFC 7519, 7.2; RFC 8725
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Claims from "./Claims.ts"
import { type ClaimsSchema, makeClaimsDecoder } from "./internal/validation/claims.ts"
import { hashText } from "./internal/validation/platform.ts"
import { compileRules } from "./internal/validation/rules.ts"
import { SignatureVerifier } from "./internal/validation/signature.ts"
import { type MakeVerifier, Validator, type ValidatorConfig } from "./internal/validation/validator.ts"
import type * as Introspection from "./Introspection.ts"
import type { Revocation } from "./Revocation.ts"
import type { TokenError } from "./TokenError.ts"
import * as ValidationPolicy from "./ValidationPolicy.ts"

/** An accepted token. It is frozen, with everything nested in it. */
export interface Validated<C> {
  /** The token's claims, decoded by the claims schema. */
  readonly claims: C
  /** The registered claims, in the same form for all tokens. */
  readonly registered: Claims.Registered
}

/** Options of one call. They can narrow the policy and never widen it. */
export interface ValidateOptions {
  /** An audience that the token must have, in addition to one of the policy's. Default none. */
  readonly audience?: string | undefined
  /** The only one of the policy's issuers to accept. Default none. */
  readonly issuer?: string | undefined
  /** Claims that must be present, in addition to those of the policy. Default none. */
  readonly requiredClaims?: ReadonlyArray<string> | undefined
  /** The `nonce` of the authentication request, which an ID token must contain. Default none. */
  readonly nonce?: string | undefined
  /**
   * The access token issued with an ID token: its hash must equal the ID token's `at_hash`, which must be present. Many issuers
   * leave `at_hash` out of ID tokens from the token endpoint, where it is optional (OpenID Connect Core 1.0, 3.1.3.6). Default none.
   */
  readonly accessToken?: string | Redacted.Redacted | undefined
  /**
   * The authorization code issued with an ID token by the authorization endpoint: its hash must equal the ID token's `c_hash`, which
   * must be present (OpenID Connect Core 1.0, 3.3.2.10 and 3.3.2.11). Default none.
   */
  readonly code?: string | Redacted.Redacted | undefined
  /**
   * Whether to accept a token past its `exp`, for example to end the session that it belongs to. An expired token is logged as
   * a warning, and the result is never cached; all other checks are made. Default false.
   */
  readonly skipExpiry?: boolean | undefined
}

/** A validator of tokens with claims of type `C`. */
export interface TokenValidator<C> {
  /**
   * Validates a token. Fails with `TokenError`, whose `reason` and `code` say why: a 401, or a 503 where keys or revocations
   * are unavailable.
   *
   * A token that was verified before is answered from a cache, for as long as the token is valid and its key trusted.
   */
  readonly validate: (token: string | Redacted.Redacted) => Effect.Effect<Validated<C>, TokenError>
  /** Validates a token with options for this call. */
  readonly validateWith: (
    token: string | Redacted.Redacted,
    options: ValidateOptions
  ) => Effect.Effect<Validated<C>, TokenError>
  /** Empties the cache of verified tokens. */
  readonly invalidate: Effect.Effect<void>
}

/** Options of `Service`. */
export interface ServiceOptions<S extends ClaimsSchema, R = never> {
  /** The schema of the claims, such as `Claims.AccessToken`. Its decoding must not require services. Required. */
  readonly claims: S
  /**
   * The list of revoked tokens, checked on every use of a token: the tag `Revocation.Revocation`, which the validator's layer
   * then requires. Default none.
   */
  readonly revocation?: Effect.Effect<Revocation["Service"], never, R> | undefined
}

/** Options of `make`. */
export interface Options<S extends ClaimsSchema> {
  /** The schema of the claims, such as `Claims.AccessToken`. Its decoding must not require services. Required. */
  readonly claims: S
  /** The policy, which is checked when the validator is made. Required. */
  readonly policy: ValidationPolicy.Options
  /** The list of revoked tokens, checked on every use of a token. Default none. */
  readonly revocation?: Revocation["Service"] | undefined
}

/** The tag of a validator, with its layer. `R` is what the option `revocation` requires. */
export interface ServiceClass<Self, Id extends string, S extends ClaimsSchema, R = never>
  extends Context.ServiceClass<Self, Id, TokenValidator<S["Type"]>>
{
  /** The schema of the claims. */
  readonly claims: S
  /** A validator with a policy. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
  readonly layer: (
    policy: ValidationPolicy.Options
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource | R>
  /**
   * A validator of opaque tokens, which asks an authorization server about each of them: `Introspection.client`. JWTs are
   * introspected too. Fails with `ConfigurationError` (`INVALID_CONFIG`).
   */
  readonly layerIntrospected: <R2 = never>(
    policy: Introspection.Policy,
    introspection: Introspection.Introspection<R2>
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, R | R2>
  /**
   * A validator of opaque tokens and JWTs. A token with the form of a JWT is verified here, by the policy, and never sent to the
   * authorization server unless `rejectedJwts` says so; all others are introspected, and checked by the same policy. Fails with
   * `ConfigurationError` (`INVALID_CONFIG`).
   */
  readonly layerMixed: <R2 = never>(
    policy: ValidationPolicy.Options,
    introspection: Introspection.Introspection<R2>,
    options?: MixedOptions
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource | R | R2>
}

/** Options of `layerMixed`. */
export interface MixedOptions {
  /**
   * What happens to a JWT that the policy cannot judge: of a form, an algorithm, a type, an issuer or a key that it does not know.
   * `reject`: it is rejected. `introspect`: the authorization server is asked about it. A JWT whose signature was checked, or which
   * is expired or for another audience, is never introspected. Default reject.
   */
  readonly rejectedJwts?: "reject" | "introspect" | undefined
}

/**
 * Makes a validator in a scope. Its id is its name in metrics, spans and logs.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = Effect.fnUntraced(function*<S extends ClaimsSchema>(
  id: string,
  { claims, policy, revocation }: Options<S>
): Effect.fn.Return<
  TokenValidator<S["Type"]>,
  KeelsonError.ConfigurationError,
  KeySource.KeySource | Scope.Scope
> {
  return yield* makeValidator<S["Type"]>(
    yield* configOf(id, { claims, policy, revocation }, yield* KeySource.KeySource)
  )
})

const decodePolicy = Configuration.decode(ValidationPolicy.ValidationPolicy)

const configOf = Effect.fnUntraced(function*<S extends ClaimsSchema>(
  id: string,
  { claims, policy, revocation }: Options<S>,
  keys: KeySource.KeySource["Service"]
): Effect.fn.Return<ValidatorConfig<S["Type"]>, KeelsonError.ConfigurationError> {
  return {
    id,
    rules: compileRules(yield* decodePolicy(policy), revocation !== undefined),
    keys,
    verifySignature: yield* SignatureVerifier,
    decodeClaims: makeClaimsDecoder(claims),
    hash: hashText,
    revocation
  }
})

const makeValidator = <C>(
  config: ValidatorConfig<C>,
  makeVerifier?: MakeVerifier<C>
): Effect.Effect<TokenValidator<C>, never, Scope.Scope> => {
  const validator = new Validator(config, makeVerifier)
  return Effect.as(validator.registerMetrics, validator)
}

/** Required by no introspected token. */
const noKeys: KeySource.KeySource["Service"] = { find: () => Effect.succeed([]) }

/** The policy as one for introspected tokens, which have no algorithm. The claims of a profile are those of JWTs. */
const introspectedPolicy = (policy: Introspection.Policy): ValidationPolicy.Options => ({
  ...policy,
  profile: "jwt",
  algorithms: ["RS256"]
})

const noIdTokens = InvalidConfig.option("profile", "accessToken or jwt, since ID tokens are not introspected")

const isForIdTokens = (policy: Introspection.Policy): boolean => "profile" in policy && policy.profile === "idToken"

/** Makes a validator that introspects all tokens; or, with a key source, those that are not JWTs. */
const makeIntrospected = Effect.fnUntraced(function*<S extends ClaimsSchema, R>(
  id: string,
  { claims, policy, revocation }: Omit<Options<S>, "policy"> & { readonly policy: Introspection.Policy },
  introspection: Introspection.Introspection<R>
): Effect.fn.Return<TokenValidator<S["Type"]>, KeelsonError.ConfigurationError, R | Scope.Scope> {
  if (isForIdTokens(policy)) return yield* noIdTokens
  const config = yield* configOf(id, { claims, policy: introspectedPolicy(policy), revocation }, noKeys)
  const parts = { ...config, jwts: undefined, rejectedJwts: "reject" as const }
  const { introspection: own, makeVerifier } = yield* introspection.forValidator<S["Type"]>(parts)
  return yield* makeValidator<S["Type"]>({ ...config, introspection: own }, makeVerifier)
})

const makeMixed = Effect.fnUntraced(function*<S extends ClaimsSchema, R>(
  id: string,
  { claims, policy, revocation }: Options<S>,
  introspection: Introspection.Introspection<R>,
  { rejectedJwts = "reject" }: MixedOptions
): Effect.fn.Return<
  TokenValidator<S["Type"]>,
  KeelsonError.ConfigurationError,
  KeySource.KeySource | R | Scope.Scope
> {
  if (isForIdTokens(policy)) return yield* noIdTokens
  const config = yield* configOf(id, { claims, policy, revocation }, yield* KeySource.KeySource)
  const rules = compileRules(yield* decodePolicy(introspectedPolicy(policy)), revocation !== undefined)
  const parts = { ...config, rules, jwts: config, rejectedJwts }
  const { introspection: own, makeVerifier } = yield* introspection.forValidator<S["Type"]>(parts)
  return yield* makeValidator<S["Type"]>({ ...config, introspection: own }, makeVerifier)
})

/**
 * Creates the tag of a validator. Its id is its name in metrics, spans and logs.
 *
 * **Example** (Validating an access token)
 *
 * ```ts import.meta.vitest
 * import { StaticKeys } from "@keelson/jwks"
 * import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
 * import { Effect, Layer } from "effect"
 * import { exportJWK, generateKeyPair, SignJWT } from "jose"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 *
 * const { privateKey, publicKey } = await generateKeyPair("ES256")
 * const issuer = "https://idp.example"
 * const keys = StaticKeys.layer({
 *   issuers: [issuer],
 *   keys: [{ algorithm: "ES256", jwk: await exportJWK(publicKey) }]
 * })
 * const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: ["api"], algorithms: ["ES256"] })
 *
 * const token = await new SignJWT({ client_id: "web" })
 *   .setProtectedHeader({ alg: "ES256", typ: "at+jwt" })
 *   .setIssuer(issuer).setAudience("api").setSubject("ada").setJti("1").setIssuedAt().setExpirationTime("5m")
 *   .sign(privateKey)
 *
 * const subject = Tokens.use((tokens) => tokens.validate(token)).pipe(
 *   Effect.map(({ claims }) => claims.sub),
 *   Effect.catchReason("TokenError", "TokenExpired", () => Effect.succeed("sign in again")),
 *   Effect.provide(Layer.provide(Tokens.layer(policy), keys))
 * )
 * await Effect.runPromise(subject) // => "ada"
 * ```
 */
export const Service = <Self>() =>
<const Id extends string, S extends ClaimsSchema, R = never>(
  id: Id,
  { claims, revocation }: ServiceOptions<S, R>
): ServiceClass<Self, Id, S, R> => {
  const list = revocation ?? Effect.undefined
  return class Tag extends Context.Service<Self, TokenValidator<S["Type"]>>()(id) {
    static readonly claims = claims
    static readonly layer = (policy: ValidationPolicy.Options) =>
      Layer.effect(Tag, Effect.flatMap(list, (revocation) => make(id, { claims, policy, revocation })))
    static readonly layerIntrospected = <R2 = never>(
      policy: Introspection.Policy,
      introspection: Introspection.Introspection<R2>
    ) =>
      Layer.effect(
        Tag,
        Effect.flatMap(list, (revocation) => makeIntrospected(id, { claims, policy, revocation }, introspection))
      )
    static readonly layerMixed = <R2 = never>(
      policy: ValidationPolicy.Options,
      introspection: Introspection.Introspection<R2>,
      options: MixedOptions = {}
    ) =>
      Layer.effect(
        Tag,
        Effect.flatMap(list, (revocation) => makeMixed(id, { claims, policy, revocation }, introspection, options))
      )
  }
}
