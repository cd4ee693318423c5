import type * as KeySource from "@keelson/jwks/KeySource"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Reason } from "../../TokenError.ts"
import type { Validated } from "../../TokenValidator.ts"
import { makeHeaderReader } from "./joseHeader.ts"
import { type Parsed, parseToken } from "./parseToken.ts"
import { keysUnsettled, signatureInvalid } from "./reasons.ts"
import { timeProblem } from "./timeChecks.ts"
import { type Entry, isUsable, type StillRefused, type TokenCache } from "./tokenCache.ts"
import { findKeys, judge, type Verifier, type VerifyingKey, verifyingKey } from "./verifyToken.ts"

/** What became of a token. */
export type Outcome<C> = Result.Result<Entry<Validated<C>>, Reason>

/** The same, with the trust in each of the keys that were tried for it. */
interface Verdict<C> {
  readonly outcome: Outcome<C>
  readonly trusts: ReadonlyArray<KeySource.KeyTrust>
}

/** What no key was needed for. */
const withoutKeys = (reason: Reason): Verdict<never> => ({ outcome: Result.fail(reason), trusts: [] })

/** A token that is not remembered. */
export interface UncachedToken {
  readonly text: string
  /** Under which it is remembered; `undefined` for one that is not to be. */
  readonly hash: string | undefined
  readonly skipExpiry: boolean
}

/** How often keys may change while a signature is verified with them, before the token can't be judged now. */
const maxRounds = 3

/** Judges tokens that are not remembered: one signature check for all who send the same one at the same time. */
export class Judge<C> {
  readonly #verifier: Verifier<C>
  readonly #cache: TokenCache<Validated<C>> | undefined
  readonly #readHeader = makeHeaderReader()
  readonly #underWay = new Map<string, Promise<Verdict<C>>>()
  /** Grows when everything is forgotten. */
  #epoch = 0

  constructor(verifier: Verifier<C>, cache: TokenCache<Validated<C>> | undefined) {
    this.#verifier = verifier
    this.#cache = cache
  }

  judge(token: UncachedToken, clock: Clock.Clock, round = 1): Effect.Effect<Outcome<C>> {
    return Effect.flatMap(this.#joinOrStart(token, clock), (verdict) => {
      const { outcome } = verdict
      if (isSettled(verdict, token, clock)) return Effect.succeed(outcome)
      // The keys were replaced while they were verified with, or its time came: nothing is known of the token any more.
      return round < maxRounds ? this.judge(token, clock, round + 1) : Effect.succeed(Result.fail(keysUnsettled))
    })
  }

  /** Forgets what is remembered, and what is being found out. */
  forget(): void {
    this.#epoch++
    this.#underWay.clear()
    this.#cache?.clear()
  }

  #joinOrStart(token: UncachedToken, clock: Clock.Clock): Effect.Effect<Verdict<C>> {
    const joined = this.#running(token)
    if (joined !== undefined) return Effect.promise(() => joined)
    const parsed = parseToken(token.text, this.#verifier.rules, this.#readHeader)
    if (Result.isFailure(parsed)) return Effect.succeed(withoutKeys(parsed.failure))
    return Effect.matchEffect(findKeys(this.#verifier, parsed.success), {
      onFailure: (reason) => Effect.succeed(withoutKeys(reason)),
      // Somebody with the same token may have been faster to find its keys.
      onSuccess: (keys) =>
        Effect.promise(() =>
          this.#running(token) ?? this.#start(token, this.#verify(token, parsed.success, keys, clock))
        )
    })
  }
  #running({ hash }: UncachedToken): Promise<Verdict<C>> | undefined {
    return hash === undefined ? undefined : this.#underWay.get(hash)
  }
  /** It goes on whoever waits for it: a signature check can't be interrupted, and others may have joined. */
  #start({ hash }: UncachedToken, running: Promise<Verdict<C>>): Promise<Verdict<C>> {
    if (hash !== undefined) this.#underWay.set(hash, running)
    return running
  }

  async #verify(
    { hash, skipExpiry }: UncachedToken,
    parsed: Parsed,
    candidates: ReadonlyArray<KeySource.Candidate>,
    clock: Clock.Clock
  ): Promise<Verdict<C>> {
    const epoch = this.#epoch
    const trusts = [...new Set(candidates.map(({ trust }) => trust))]
    try {
      const place = await verifyingKey(this.#verifier, parsed, candidates)
      const key = candidates[place]
      const outcome = key === undefined
        ? Result.fail(signatureInvalid)
        : judge(this.#verifier, parsed, verifying(key, place, candidates), clock, skipExpiry)
      // What everybody was told to forget meanwhile is not remembered.
      if (hash !== undefined && epoch === this.#epoch) this.#remember(hash, { outcome, trusts }, parsed, clock)
      return { outcome, trusts }
    } finally {
      if (hash !== undefined && epoch === this.#epoch) this.#underWay.delete(hash)
    }
  }
  #remember(
    hash: string,
    { outcome, trusts }: Verdict<C>,
    { registered }: Parsed,
    clock: Clock.Clock
  ): void {
    if (Result.isSuccess(outcome)) this.#cache?.set(hash, outcome.success)
    else {
      const { failure } = outcome
      const { rules } = this.#verifier
      const atFirst = timeProblem(registered, rules, clock.currentTimeMillisUnsafe())
      const isStillSo: StillRefused = beforeTime.has(failure._tag)
        ? always
        : (now) => timeProblem(registered, rules, now) === atFirst
      this.#cache?.refuse(hash, failure, trusts, clock, isStillSo)
    }
  }
}

const verifying = (
  { trust }: KeySource.Candidate,
  index: number,
  { length: candidates }: ReadonlyArray<KeySource.Candidate>
): VerifyingKey => ({ trust, place: index + 1, candidates })

/** What is looked at before time; the reasons of all else depend on it. */
const beforeTime: ReadonlySet<Reason["_tag"]> = new Set(["SignatureInvalid", "AudienceMismatch"])
const always: StillRefused = () => true

/** Whether what was found out still holds: the keys that were tried, and for a token that is good its time. */
const isSettled = <C>({ outcome, trusts }: Verdict<C>, { skipExpiry }: UncachedToken, clock: Clock.Clock): boolean => {
  if (Result.isFailure(outcome)) return trusts.every((trust) => trust.holds(clock))
  return skipExpiry ? outcome.success.trust.holds(clock) : isUsable(outcome.success, clock)
}
