/**
 * Verification of tokens that are not in the cache: keys, signature, and the checks of their claims.
 */
import * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { Registered } from "../../Claims.ts"
import type * as TokenError from "../../TokenError.ts"
import type { Validated } from "../../TokenValidator.ts"
import { checkClaims, checkTimes, validityWindow } from "./checks.ts"
import { makeHeaderParser, type ParsedToken, parseToken } from "./compactJws.ts"
import { isKeyOf } from "./issuers.ts"
import {
  issuerUnserved,
  issuerUntrusted,
  keyNotFound,
  keyOfIssuer,
  keysChanged,
  keysUnavailable,
  signatureInvalid
} from "./reasons.ts"
import type { Rules } from "./rules.ts"
import { findVerifyingKey, type VerifySignature } from "./signature.ts"
import { own } from "./strictJson.ts"
import { isUsable, type KeyNames, type StillRejected, type TokenCache, type VerifiedToken } from "./tokenCache.ts"

type Reason = TokenError.Reason

/** The policy, keys and functions that tokens are verified with. */
export interface VerifierConfig<C> {
  readonly rules: Rules
  readonly keys: KeySource.KeySource["Service"]
  readonly verifySignature: VerifySignature
  readonly decodeClaims: (members: unknown) => Result.Result<C, Reason>
}

const lookupReason = (error: KeySource.LookupError): Reason => {
  switch (error._tag) {
    case "JwksKeyNotFound":
      return keyNotFound(error.reason)
    case "JwksUnavailable":
      return keysUnavailable(error)
    case "JwksNotRegistered":
      return issuerUnserved
  }
}

/** Looks up the keys to try, four at most, of the token's own issuer. A key that states its issuer has to agree (R3). */
export const findKeys = (
  { keys }: Pick<VerifierConfig<unknown>, "keys">,
  { header, issuer: { keysOf }, members, registered: { iss } }: KeyNames,
  keyUse?: Rules["keyUse"]
): Effect.Effect<ReadonlyArray<KeySource.Candidate>, Reason> =>
  Effect.matchEffect(keys.find(keysOf, keyUse === undefined ? header : { ...header, use: keyUse }), {
    onFailure: (error) => Effect.fail(lookupReason(error)),
    onSuccess: (candidates) => {
      const issuers = { iss, keysOf, tid: own(members, "tid") }
      const fitting = candidates.every(({ issuer }) => issuer === undefined)
        ? candidates
        : candidates.filter(({ issuer }) => issuer === undefined || isKeyOf(issuer, issuers))
      if (fitting.length === 0) return Effect.fail(keyOfIssuer(candidates[0]?.issuer ?? ""))
      // An application's own source may not enforce the limit.
      return fitting.length > KeySource.maxCandidates
        ? Effect.fail(keyNotFound("ambiguous"))
        : Effect.succeed(fitting)
    }
  })

/** Measured: the bytes of an entry without its claims, and of each of its scopes. */
const entryBytes = 512
const scopeBytes = 48

/** Estimated bytes of an entry in memory; `size` is that of the claims. */
export const entrySize = (size: number, { scopes }: Registered): number =>
  entryBytes + size + scopeBytes * scopes.length

/** The result of a verification: the verified token, or the reason to reject it. */
export type VerificationResult<C> = Result.Result<VerifiedToken<Validated<C>>, Reason>

/** A result, with the trust in each key that was tried. It is no longer current once that trust is withdrawn. */
interface Verification<C> {
  readonly result: VerificationResult<C>
  readonly trusts: ReadonlyArray<KeySource.KeyTrust>
}

const rejectedWithoutKeys = (reason: Reason): Verification<never> => ({ result: Result.fail(reason), trusts: [] })

/** A token that is not in the cache. */
export interface UncachedToken {
  readonly text: string
  /** Its key in the cache; `undefined` for a token that must not be cached. */
  readonly hash: string | undefined
  readonly skipExpiry: boolean
}

/** A verification whose signature is checked. */
interface Started {
  readonly token: UncachedToken
  readonly parsed: ParsedToken
  readonly candidates: ReadonlyArray<KeySource.Candidate>
  readonly clock: Clock.Clock
  /** The number of invalidations before it. */
  readonly epoch: number
}

/** How often a verification is repeated because keys changed meanwhile, before it fails with `KeysUnavailable`. */
const maxAttempts = 3

/** Verifies tokens. Concurrent callers with the same token share one signature check. */
export class Verifier<C> {
  readonly #config: VerifierConfig<C>
  readonly #cache: TokenCache<Validated<C>> | undefined
  readonly #parseHeader = makeHeaderParser()
  readonly #inFlight = new Map<string, Promise<Verification<C>>>()
  /** Incremented by `invalidate`. */
  #epoch = 0

  constructor(config: VerifierConfig<C>, cache: TokenCache<Validated<C>> | undefined) {
    this.#config = config
    this.#cache = cache
  }

  verify(token: UncachedToken, clock: Clock.Clock, attempt = 1): Effect.Effect<VerificationResult<C>> {
    return Effect.flatMap(this.#joinOrStart(token, clock), (verification) => {
      const { result } = verification
      if (isCurrent(verification, token, clock)) return Effect.succeed(result)
      // A key was replaced, or the token expired, during the verification: the result is obsolete.
      return attempt < maxAttempts
        ? this.verify(token, clock, attempt + 1)
        : Effect.succeed(Result.fail(keysChanged))
    })
  }

  /** Empties the cache. The results of running verifications are not cached. */
  invalidate(): void {
    this.#epoch++
    this.#inFlight.clear()
    this.#cache?.clear()
  }

  #joinOrStart(token: UncachedToken, clock: Clock.Clock): Effect.Effect<Verification<C>> {
    const shared = this.#inFlightOf(token)
    if (shared !== undefined) return Effect.promise(() => shared)
    const { hash } = token
    // The keys of this token were not available a moment ago. They are looked up again, without parsing the token again.
    const names = hash === undefined ? undefined : this.#cache?.keyNames(hash)
    if (names !== undefined) {
      return Effect.matchEffect(findKeys(this.#config, names, this.#config.rules.keyUse), {
        onFailure: (reason) => Effect.succeed(rejectedWithoutKeys(reason)),
        onSuccess: (candidates) => this.#parseThen(token, clock, () => Effect.succeed(candidates))
      })
    }
    return this.#parseThen(
      token,
      clock,
      (parsed) =>
        Effect.tapError(findKeys(this.#config, parsed, this.#config.rules.keyUse), () =>
          Effect.sync(() => {
            if (hash !== undefined) this.#cache?.setKeyNames(hash, parsed)
          }))
    )
  }
  #parseThen(
    token: UncachedToken,
    clock: Clock.Clock,
    candidatesOf: (parsed: ParsedToken) => Effect.Effect<ReadonlyArray<KeySource.Candidate>, Reason>
  ): Effect.Effect<Verification<C>> {
    const parsed = parseToken(token.text, this.#config.rules, this.#parseHeader)
    if (Result.isFailure(parsed)) {
      const { asksForTenants } = this.#config.rules
      // Any other reason depends on nothing but the token and the policy.
      if (token.hash !== undefined && !(asksForTenants && parsed.failure === issuerUntrusted)) {
        this.#cache?.reject(token.hash, parsed.failure, [], clock, always)
      }
      return Effect.succeed(rejectedWithoutKeys(parsed.failure))
    }
    return Effect.matchEffect(candidatesOf(parsed.success), {
      onFailure: (reason) => Effect.succeed(rejectedWithoutKeys(reason)),
      onSuccess: (candidates) => {
        // Another caller with the same token may have got its keys first.
        const shared = this.#inFlightOf(token)
        if (shared !== undefined) return Effect.promise(() => shared)
        const verification = this.#verify(token, parsed.success, candidates, clock)
        if (!(verification instanceof Promise)) return Effect.succeed(verification)
        const started = this.#start(token, verification)
        return Effect.promise(() => started)
      }
    })
  }
  #inFlightOf({ hash }: UncachedToken): Promise<Verification<C>> | undefined {
    return hash === undefined ? undefined : this.#inFlight.get(hash)
  }
  /** Interrupting a caller does not stop it: a signature check can't be interrupted, and others may have joined. */
  #start({ hash }: UncachedToken, verification: Promise<Verification<C>>): Promise<Verification<C>> {
    if (hash !== undefined) this.#inFlight.set(hash, verification)
    return verification
  }

  #verify(
    token: UncachedToken,
    parsed: ParsedToken,
    candidates: ReadonlyArray<KeySource.Candidate>,
    clock: Clock.Clock
  ): Verification<C> | Promise<Verification<C>> {
    const started: Started = { token, parsed, candidates, clock, epoch: this.#epoch }
    const index = findVerifyingKey(this.#config.verifySignature, parsed, candidates)
    return typeof index === "number" ? this.#settle(started, index) : this.#settleLater(started, index)
  }

  async #settleLater(started: Started, index: Promise<number>): Promise<Verification<C>> {
    try {
      return this.#settle(started, await index)
    } finally {
      const { epoch, token: { hash } } = started
      if (hash !== undefined && epoch === this.#epoch) this.#inFlight.delete(hash)
    }
  }

  /** The result for the key that verifies the signature. It is cached unless the cache was invalidated meanwhile. */
  #settle(
    { candidates, clock, epoch, parsed, token: { hash, skipExpiry } }: Started,
    index: number
  ): Verification<C> {
    const trusts = [...new Set(candidates.map(({ trust }) => trust))]
    const key = candidates[index]
    const result = key === undefined
      ? Result.fail(signatureInvalid)
      : this.#checkClaims(parsed, key.trust, { place: index + 1, candidates: candidates.length }, clock, skipExpiry)
    if (hash !== undefined && epoch === this.#epoch) this.#store(hash, { result, trusts }, parsed, clock)
    return { result, trusts }
  }

  /** Checks and decodes the claims of a token whose signature is valid. A result of `skipExpiry` is never cached. */
  #checkClaims(
    parsed: ParsedToken,
    trust: KeySource.KeyTrust,
    key: VerifiedToken<unknown>["key"],
    clock: Clock.Clock,
    skipExpiry: boolean
  ): VerificationResult<C> {
    const { decodeClaims, rules } = this.#config
    const { header, members, registered } = parsed
    const wall = clock.currentTimeMillisUnsafe()
    const reason = checkClaims(parsed, rules, wall, skipExpiry)
    if (reason !== undefined) return Result.fail(reason)
    return Result.map(decodeClaims(members), (claims) => {
      const value: Validated<C> = Object.freeze({ claims, registered })
      const window = validityWindow(registered, rules)
      const remaining = Duration.millis(Math.max(0, window.ends - wall))
      return {
        exit: Exit.succeed(value),
        value,
        registered,
        members,
        alg: header.alg,
        trust,
        issuer: parsed.issuer,
        key,
        window,
        endsAt: clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(remaining),
        size: entrySize(parsed.size, registered)
      }
    })
  }

  #store(
    hash: string,
    { result, trusts }: Verification<C>,
    { registered }: ParsedToken,
    clock: Clock.Clock
  ): void {
    if (Result.isSuccess(result)) this.#cache?.set(hash, result.success)
    else {
      const { failure } = result
      const { rules } = this.#config
      const timesReason = checkTimes(registered, rules, clock.currentTimeMillisUnsafe())
      const isStillRejected: StillRejected = checkedBeforeTimes.has(failure._tag)
        ? always
        : (now) => checkTimes(registered, rules, now) === timesReason
      this.#cache?.reject(hash, failure, trusts, clock, isStillRejected)
    }
  }
}

/** The reasons of checks made before those of times; all other reasons depend on the time. */
const checkedBeforeTimes: ReadonlySet<Reason["_tag"]> = new Set(["SignatureInvalid", "AudienceMismatch"])
const always: StillRejected = () => true

/** Whether a result still holds: the keys that were tried are trusted, and an accepted token is within its window. */
const isCurrent = <C>(
  { result, trusts }: Verification<C>,
  { skipExpiry }: UncachedToken,
  clock: Clock.Clock
): boolean => {
  if (Result.isFailure(result)) return trusts.every((trust) => trust.holds(clock))
  return skipExpiry ? result.success.trust.holds(clock) : isUsable(result.success, clock)
}
