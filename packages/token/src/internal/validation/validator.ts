/**
 * A validator: the cache of verified tokens, the checks made on every use of a token, and its metrics.
 */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Revocation } from "../../Revocation.ts"
import type * as TokenError from "../../TokenError.ts"
import type { TokenValidator, Validated, ValidateOptions } from "../../TokenValidator.ts"
import { checkCall, checkHash } from "./checks.ts"
import type { HashText } from "./platform.ts"
import { reasonCodes, type RequestRejection, requestRejections, validationCodes } from "./reasonCodes.ts"
import { failWith, issuerUnserved, revocationUnavailable, revoked } from "./reasons.ts"
import type { Rules } from "./rules.ts"
import type { JsonObject } from "./strictJson.ts"
import { TokenCache, type VerifiedToken } from "./tokenCache.ts"
import { type UncachedToken, type VerificationResult, Verifier, type VerifierConfig } from "./verification.ts"

/** A token as callers pass it. */
export type TokenInput = string | Redacted.Redacted

/** The text of a token; empty for a value that is not text at all, and for a wiped `Redacted`. */
export const tokenText = (token: TokenInput): string => {
  try {
    const text: unknown = Redacted.isRedacted(token) ? Redacted.value(token) : token
    return Predicate.isString(text) ? text : ""
  } catch {
    return ""
  }
}

/** Verifies tokens that are not in the cache. Concurrent callers with the same token share one verification. */
export interface TokenVerifier<C> {
  readonly verify: (token: UncachedToken, clock: Clock.Clock) => Effect.Effect<VerificationResult<C>>
  /** Drops what was cached: no running verification fills the cache afterwards. */
  readonly invalidate: () => void
}

/** Makes a verifier for a cache that it fills: none where the policy has none. */
export type MakeVerifier<C> = (cache: TokenCache<Validated<C>> | undefined) => TokenVerifier<C>

/** A validator's introspection of tokens at the authorization server (RFC 7662). All but `handles` is for `Explain`. */
export interface TokenIntrospection {
  /** Whether a token is introspected, rather than verified here. */
  readonly handles: (text: string) => boolean
  /** The rules for introspected tokens. */
  readonly rules: Rules
  readonly checkForm: (text: string) => Result.Result<void, TokenError.Reason>
  readonly ask: (text: string) => Effect.Effect<Result.Result<JsonObject, TokenError.Reason>>
  readonly checkTokenType: (members: JsonObject) => TokenError.Reason | undefined
  readonly findIssuer: (iss: string) => Result.Result<unknown, TokenError.Reason>
}

/** What a validator consists of. */
export interface ValidatorConfig<C> extends VerifierConfig<C> {
  /** Its name in metrics, spans and logs. */
  readonly id: string
  readonly hash: HashText | undefined
  readonly revocation: Revocation["Service"] | undefined
  /** How it introspects tokens, if it does. */
  readonly introspection?: TokenIntrospection | undefined
}

type Cached<C> = VerifiedToken<Validated<C>>

const noOptions: ValidateOptions = {}

/** Logs which key it was by its place alone: the key's id comes from the token. */
const logKey = ({ key: { candidates, place } }: Cached<unknown>): Effect.Effect<void> =>
  Effect.logDebug(`Token verified by key ${place} of ${candidates} candidates`)

/** The hashes of what a call gives: of the access token, then of the code. */
const checkHashes = (
  token: Cached<unknown>,
  accessToken: TokenInput | undefined,
  code: TokenInput | undefined
): Effect.Effect<TokenError.Reason | undefined> => {
  const ofCode = code === undefined
    ? Effect.undefined
    : Effect.suspend(() => checkHash(token.alg, token, "c_hash", tokenText(code)))
  return accessToken === undefined ? ofCode : Effect.flatMap(
    checkHash(token.alg, token, "at_hash", tokenText(accessToken)),
    (reason) => reason === undefined ? ofCode : Effect.succeed(reason)
  )
}

/** Validates tokens by one policy. */
export class Validator<C> implements TokenValidator<C> {
  readonly #config: ValidatorConfig<C>
  readonly #cache: TokenCache<Validated<C>> | undefined
  readonly #verifier: TokenVerifier<C>
  readonly #requiresNonce: boolean
  /** Plain fields, read when metrics are. */
  readonly #counts = {
    accepted: 0,
    hits: 0,
    misses: 0,
    /** Those of the misses that were rejected from the cache of rejected tokens. */
    rejectionHits: 0,
    rejected: new Map<TokenError.Code, number>(),
    requests: new Map<RequestRejection, number>()
  }
  #hasWarned = false

  constructor(config: ValidatorConfig<C>, makeVerifier: MakeVerifier<C> = (cache) => new Verifier(config, cache)) {
    const { cacheBytes, cacheEntries, nonce, profile } = config.rules.policy
    this.#config = config
    this.#cache = cacheEntries === 0 || config.hash === undefined
      ? undefined
      : new TokenCache({ maxEntries: cacheEntries, maxBytes: cacheBytes })
    this.#verifier = makeVerifier(this.#cache)
    this.#requiresNonce = profile === "idToken" && nonce === "required"
  }

  /** What a validator consists of, for `Explain`; `undefined` for one that this class did not make. */
  static configOf(validator: object): ValidatorConfig<unknown> | undefined {
    return #config in validator ? validator.#config : undefined
  }

  /** A cached token costs its hash, and no promise, span or allocation. */
  readonly validate = (token: TokenInput): Effect.Effect<Validated<C>, TokenError.TokenError> => {
    if (this.#requiresNonce) return this.validateWith(token, noOptions)
    return Effect.withFiber((fiber) => {
      const text = tokenText(token)
      const hash = this.#hashOf(text)
      const cached = this.#lookup(hash, fiber.getRef(Clock.Clock))
      return cached === undefined
        ? Effect.flatMap(this.#verify({ text, hash, skipExpiry: false }, fiber), (verified) => this.#admit(verified))
        : this.#admit(cached)
    })
  }

  readonly validateWith = (
    token: TokenInput,
    options: ValidateOptions
  ): Effect.Effect<Validated<C>, TokenError.TokenError> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const text = tokenText(token)
      // The authorization server answers that an expired token is not active.
      const skipExpiry = options.skipExpiry === true && this.#config.introspection?.handles(text) !== true
      const hash = skipExpiry ? undefined : this.#hashOf(text)
      const cached = this.#lookup(hash, clock)
      const verified = cached === undefined
        ? this.#verify({ text, hash, skipExpiry }, fiber)
        : Effect.succeed(cached)
      return Effect.flatMap(verified, (token) => {
        const admitted = this.#admitTo(token, options)
        return skipExpiry && clock.currentTimeMillisUnsafe() >= token.window.ends
          ? Effect.tap(
            admitted,
            () => Effect.logWarning(`${this.#config.id} accepted an expired token because \`skipExpiry\` was set`)
          )
          : admitted
      })
    })

  readonly invalidate: Effect.Effect<void> = Effect.sync(() => this.#verifier.invalidate())

  /** Registers the metrics for as long as the scope is open. */
  get registerMetrics(): Effect.Effect<void, never, Scope.Scope> {
    const { id } = this.#config
    const counts = this.#counts
    return Effect.all([
      MetricSeries.register("tokenValidations", { validator: id, result: "accepted" }, () => counts.accepted),
      ...Object.values(validationCodes).map((code) =>
        MetricSeries.register(
          "tokenValidations",
          { validator: id, result: ErrorCode.codeInfo[code].id },
          () => counts.rejected.get(code) ?? 0
        )
      ),
      ...requestRejections.map((reason) =>
        MetricSeries.register(
          "requestRejections",
          { validator: id, reason },
          () => counts.requests.get(reason) ?? 0
        )
      ),
      MetricSeries.register("tokenCacheHits", { validator: id }, () => counts.hits),
      MetricSeries.register("tokenCacheMisses", { validator: id }, () => counts.misses),
      MetricSeries.register("tokenCacheRejections", { validator: id }, () => counts.rejectionHits),
      MetricSeries.register("tokenCacheEntries", { validator: id }, () => this.#cache?.entries ?? 0),
      MetricSeries.register("tokenCacheBytes", { validator: id }, () => this.#cache?.bytes ?? 0)
    ], { discard: true })
  }

  /** Counts a rejected request of an API that uses this validator. */
  countRequest(reason: RequestRejection): void {
    const { requests } = this.#counts
    requests.set(reason, (requests.get(reason) ?? 0) + 1)
  }

  #hashOf(text: string): string | undefined {
    const { hash, rules } = this.#config
    return this.#cache === undefined || text.length > rules.policy.maxLength ? undefined : hash?.(text)
  }
  #lookup(hash: string | undefined, clock: Clock.Clock): Cached<C> | undefined {
    const cached = hash === undefined ? undefined : this.#cache?.get(hash, clock)
    if (cached !== undefined) this.#counts.hits++
    return cached
  }
  #verify(token: UncachedToken, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<Cached<C>, TokenError.TokenError> {
    this.#counts.misses++
    const clock = fiber.getRef(Clock.Clock)
    const rejection = token.hash === undefined ? undefined : this.#cache?.rejection(token.hash, clock)
    if (rejection !== undefined) {
      this.#counts.rejectionHits++
      return this.#reject(rejection)
    }
    const verified = Effect.flatMap(this.#verifier.verify(token, clock), (result) => {
      if (Result.isFailure(result)) return this.#rejectUncached(result.failure)
      const { success } = result
      return success.key.candidates > 1 ? Effect.as(logKey(success), success) : Effect.succeed(success)
    })
    // Nothing exports the spans of Effect's native tracer, and a span costs as much as parsing a token.
    return fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer ? verified : this.#traced(verified)
  }
  /** A tracer receives the exit of the effect: the token is hidden from it in a function. */
  #traced(verified: Effect.Effect<Cached<C>, TokenError.TokenError>): Effect.Effect<Cached<C>, TokenError.TokenError> {
    const hidden = Effect.withSpan(Effect.map(verified, (token) => () => token), "TokenValidator.validate", {
      attributes: { validator: this.#config.id },
      captureStackTrace: false
    })
    return Effect.map(hidden, (reveal) => reveal())
  }

  /** The checks that a cached token has to pass too: it may have been revoked since its signature was verified. */
  #admit(token: Cached<C>): Effect.Effect<Validated<C>, TokenError.TokenError> {
    const { revocation } = this.#config
    return revocation === undefined
      ? this.#accept(token)
      : Effect.matchEffect(revocation.isRevoked(token.registered), {
        onFailure: () => this.#reject(revocationUnavailable),
        onSuccess: (isRevoked) => isRevoked ? this.#reject(revoked) : this.#accept(token)
      })
  }
  /** `#admit` with the checks of a call's options. */
  #admitTo(token: Cached<C>, options: ValidateOptions): Effect.Effect<Validated<C>, TokenError.TokenError> {
    const reason = checkCall(token, options, this.#config.rules)
    if (reason !== undefined) return this.#reject(reason)
    const { accessToken, code } = options
    if (accessToken === undefined && code === undefined) return this.#admit(token)
    return Effect.flatMap(
      checkHashes(token, accessToken, code),
      (reason) => reason === undefined ? this.#admit(token) : this.#reject(reason)
    )
  }
  #accept({ exit }: Cached<C>): Effect.Effect<Validated<C>> {
    this.#counts.accepted++
    return exit
  }
  #reject(reason: TokenError.Reason): Effect.Effect<never, TokenError.TokenError> {
    const { rejected } = this.#counts
    const code = reasonCodes[reason._tag]
    rejected.set(code, (rejected.get(code) ?? 0) + 1)
    return failWith(reason)
  }
  #rejectUncached(reason: TokenError.Reason): Effect.Effect<never, TokenError.TokenError> {
    const rejected = this.#reject(reason)
    if (reason !== issuerUnserved || this.#hasWarned) return rejected
    this.#hasWarned = true
    return Effect.andThen(
      Effect.logWarning(`The policy of ${this.#config.id} trusts an issuer that its key source does not serve`),
      rejected
    )
  }
}
