import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import type { Revocation } from "../../Revocation.ts"
import { type Code, codeOf, type Reason, type TokenError } from "../../TokenError.ts"
import type { Validated, ValidateOptions } from "../../TokenValidator.ts"
import { accessTokenProblem, callProblem } from "./callChecks.ts"
import { Judge, type UncachedToken } from "./judge.ts"
import type { HashText } from "./platform.ts"
import { failWith, issuerUnserved, revocationUnavailable, revoked } from "./reasons.ts"
import { textOf, type Token } from "./textOf.ts"
import { type Entry, TokenCache } from "./tokenCache.ts"
import type { Verifier } from "./verifyToken.ts"

/** What a validation is made of. */
export interface Parts<C> extends Verifier<C> {
  /** What its metrics and spans call it. */
  readonly id: string
  readonly hash: HashText | undefined
  readonly revocation: Revocation["Service"] | undefined
}

type Checked<C> = Entry<Validated<C>>

/** Plain fields, read when metrics are. */
interface Counts {
  accepted: number
  hits: number
  misses: number
  readonly refused: Map<Code, number>
}

const noOptions: ValidateOptions = {}

/** Which key it was, by its place alone: its name is the token's. */
const logKey = ({ key: { candidates, place } }: Checked<unknown>): Effect.Effect<void> =>
  Effect.logDebug(`A token was verified by key ${place} of ${candidates} that fit it`)

/** Validating tokens by one policy. */
export class Validation<C> {
  readonly parts: Parts<C>
  readonly cache: TokenCache<Validated<C>> | undefined
  readonly counts: Counts = { accepted: 0, hits: 0, misses: 0, refused: new Map() }
  readonly #judge: Judge<C>
  readonly #needsOptions: boolean
  #hasWarned = false

  constructor(parts: Parts<C>) {
    const { cacheBytes, cacheEntries, nonce, profile } = parts.rules.policy
    this.parts = parts
    this.cache = cacheEntries === 0 || parts.hash === undefined
      ? undefined
      : new TokenCache({ maxEntries: cacheEntries, maxBytes: cacheBytes })
    this.#judge = new Judge(parts, this.cache)
    this.#needsOptions = profile === "idToken" && nonce === "required"
  }

  /** By the policy alone. A token that is remembered costs its hash, and no promise, span or allocation. */
  validate(token: Token): Effect.Effect<Validated<C>, TokenError> {
    if (this.#needsOptions) return this.validateWith(token, noOptions)
    return Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const text = textOf(token)
      const hash = this.#hashOf(text)
      return this.#hit(hash, clock) ??
        Effect.flatMap(this.#miss({ text, hash, skipExpiry: false }, fiber), (entry) => this.#admit(entry))
    })
  }

  /** By the policy, and by what the call asks for. */
  validateWith(token: Token, options: ValidateOptions): Effect.Effect<Validated<C>, TokenError> {
    return Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const text = textOf(token)
      const skipExpiry = options.skipExpiry === true
      const hash = skipExpiry ? undefined : this.#hashOf(text)
      const known = this.#known(hash, clock)
      const checked = known === undefined ? this.#miss({ text, hash, skipExpiry }, fiber) : Effect.succeed(known)
      return Effect.flatMap(checked, (entry) => {
        const admitted = this.#admitTo(entry, options)
        return skipExpiry && clock.currentTimeMillisUnsafe() >= entry.window.ends
          ? Effect.tap(
            admitted,
            () => Effect.logWarning(`${this.parts.id} accepted a token past its end, as the call asked`)
          )
          : admitted
      })
    })
  }

  /** Forgets every token. */
  readonly invalidate: Effect.Effect<void> = Effect.sync(() => this.#judge.forget())

  #hashOf(text: string): string | undefined {
    const { hash, rules } = this.parts
    return this.cache === undefined || text.length > rules.policy.maxLength ? undefined : hash?.(text)
  }
  #known(hash: string | undefined, clock: Clock.Clock): Checked<C> | undefined {
    const entry = hash === undefined ? undefined : this.cache?.get(hash, clock)
    if (entry !== undefined) this.counts.hits++
    return entry
  }
  #hit(hash: string | undefined, clock: Clock.Clock): Effect.Effect<Validated<C>, TokenError> | undefined {
    const entry = this.#known(hash, clock)
    return entry === undefined ? undefined : this.#admit(entry)
  }
  #miss(token: UncachedToken, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<Checked<C>, TokenError> {
    this.counts.misses++
    const clock = fiber.getRef(Clock.Clock)
    const known = token.hash === undefined ? undefined : this.cache?.refusal(token.hash, clock)
    if (known !== undefined) return this.#refuse(known)
    const judged = Effect.flatMap(this.#judge.judge(token, clock), (outcome) => {
      if (Result.isFailure(outcome)) return this.#refused(outcome.failure)
      const entry = outcome.success
      return entry.key.candidates > 1 ? Effect.as(logKey(entry), entry) : Effect.succeed(entry)
    })
    // Nobody sees the spans of Effect's own tracer, and one takes as long as parsing a token.
    return fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer ? judged : this.#traced(judged)
  }
  /** A tracer is given how an effect ended: it gets to see that there is an entry, and not what is in it. */
  #traced(judged: Effect.Effect<Checked<C>, TokenError>): Effect.Effect<Checked<C>, TokenError> {
    const hidden = Effect.withSpan(Effect.map(judged, (entry) => () => entry), "TokenValidator.validate", {
      attributes: { validator: this.parts.id },
      captureStackTrace: false
    })
    return Effect.map(hidden, (reveal) => reveal())
  }
  #refused(reason: Reason): Effect.Effect<never, TokenError> {
    const refused = this.#refuse(reason)
    if (reason !== issuerUnserved || this.#hasWarned) return refused
    this.#hasWarned = true
    return Effect.andThen(
      Effect.logWarning(`The key source of ${this.parts.id} does not serve an issuer that its policy trusts`),
      refused
    )
  }

  /** What may have changed since the signature was verified, and is not in the token: whether it was revoked. */
  #admit(entry: Checked<C>): Effect.Effect<Validated<C>, TokenError> {
    const { revocation } = this.parts
    return revocation === undefined
      ? this.#accept(entry)
      : Effect.matchEffect(revocation.isRevoked(entry.registered), {
        onFailure: () => this.#refuse(revocationUnavailable),
        onSuccess: (isRevoked) => isRevoked ? this.#refuse(revoked) : this.#accept(entry)
      })
  }
  #admitTo(entry: Checked<C>, options: ValidateOptions): Effect.Effect<Validated<C>, TokenError> {
    const problem = callProblem(entry, options, this.parts.rules)
    if (problem !== undefined) return this.#refuse(problem)
    if (options.accessToken === undefined) return this.#admit(entry)
    return Effect.flatMap(
      accessTokenProblem(entry, options.accessToken),
      (problem) => problem === undefined ? this.#admit(entry) : this.#refuse(problem)
    )
  }
  #accept({ exit }: Checked<C>): Effect.Effect<Validated<C>> {
    this.counts.accepted++
    return exit
  }
  #refuse(reason: Reason): Effect.Effect<never, TokenError> {
    const code = codeOf(reason)
    this.counts.refused.set(code, (this.counts.refused.get(code) ?? 0) + 1)
    return failWith(reason)
  }
}
