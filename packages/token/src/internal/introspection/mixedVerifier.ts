/**
 * Opaque tokens and JWTs side by side: JWTs are verified here, all others are introspected.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"
import type { Validated } from "../../TokenValidator.ts"
import { TokenCache, type VerifiedToken } from "../validation/tokenCache.ts"
import type { TokenVerifier } from "../validation/validator.ts"
import {
  type UncachedToken,
  type VerificationResult,
  Verifier,
  type VerifierConfig
} from "../validation/verification.ts"
import { isJwtShaped } from "./tokenForm.ts"

/** Verifies JWTs with one verifier, and all other tokens with another one. */
export const mixedVerifier = <C>(jwts: TokenVerifier<C>, others: TokenVerifier<C>): TokenVerifier<C> => ({
  verify: (token, clock) => (isJwtShaped(token.text) ? jwts : others).verify(token, clock),
  invalidate: () => {
    jwts.invalidate()
    others.invalidate()
  }
})

/**
 * The reasons for JWTs that cannot be judged here: of a form, an algorithm, a type, an issuer or a key that the policy does not
 * know. A JWT whose signature was checked is judged here, whatever the result.
 */
const undecided: ReadonlySet<TokenError.Reason["_tag"]> = new Set([
  "TokenMalformed",
  "AlgorithmUnsupported",
  "TypeMismatch",
  "IssuerUntrusted",
  "KeyNotFound"
])

/** Keeps verified tokens in the validator's cache, and rejections apart: the validator must not see those. */
class SeparateRejections<A> extends TokenCache<A> {
  readonly #verified: TokenCache<A>
  constructor(verified: TokenCache<A>) {
    super({ maxEntries: 1, maxBytes: 1 })
    this.#verified = verified
  }
  override set(hash: string, verified: VerifiedToken<A>): void {
    this.#verified.set(hash, verified)
  }
}

/** Verifies JWTs here, and introspects those that cannot be judged here. */
export class FallbackVerifier<C> implements TokenVerifier<C> {
  readonly #jwts: Verifier<C>
  readonly #rejections: TokenCache<Validated<C>> | undefined
  readonly #others: TokenVerifier<C>

  constructor(config: VerifierConfig<C>, cache: TokenCache<Validated<C>> | undefined, others: TokenVerifier<C>) {
    this.#rejections = cache === undefined ? undefined : new SeparateRejections(cache)
    this.#jwts = new Verifier(config, this.#rejections)
    this.#others = others
  }

  readonly verify = (token: UncachedToken, clock: Clock.Clock): Effect.Effect<VerificationResult<C>> => {
    if (!isJwtShaped(token.text)) return this.#others.verify(token, clock)
    const rejection = token.hash === undefined ? undefined : this.#rejections?.rejection(token.hash, clock)
    const judged = rejection === undefined ? this.#jwts.verify(token, clock) : Effect.succeed(Result.fail(rejection))
    return Effect.flatMap(judged, (result) =>
      Result.isFailure(result) && undecided.has(result.failure._tag)
        ? this.#others.verify(token, clock)
        : Effect.succeed(result))
  }

  readonly invalidate = (): void => {
    this.#jwts.invalidate()
    this.#others.invalidate()
  }
}
