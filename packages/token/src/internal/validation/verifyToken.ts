import * as KeySource from "@keelson/jwks/KeySource"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { Reason } from "../../TokenError.ts"
import type { Validated } from "../../TokenValidator.ts"
import { audienceProblem, missingClaim, partyProblem } from "./claimChecks.ts"
import type { Parsed } from "./parseToken.ts"
import { encodeText } from "./platform.ts"
import { issuerUnserved, keyNotFound } from "./reasons.ts"
import type { Rules } from "./rules.ts"
import type { VerifySignature } from "./signature.ts"
import { timeProblem, windowOf } from "./timeChecks.ts"
import type { Entry } from "./tokenCache.ts"

/** What a validator verifies with. */
export interface Verifier<C> {
  readonly rules: Rules
  readonly keys: KeySource.KeySource["Service"]
  readonly verifySignature: VerifySignature
  readonly decodeClaims: (members: unknown) => Result.Result<C, Reason>
}

const reasonOf = (error: KeySource.LookupError): Reason => {
  switch (error._tag) {
    case "JwksKeyNotFound":
      return keyNotFound(error.reason)
    case "JwksUnavailable":
      return { _tag: "KeysUnavailable", retryAfter: error.retryAfter }
    case "JwksNotRegistered":
      return issuerUnserved
  }
}

/**
 * The keys to try, four at most: those of the token's own issuer, never another's. A key that names its issuer has to name this one, or
 * the template that it comes from (R3).
 */
export const findKeys = <C>(
  { keys }: Verifier<C>,
  { header, issuer: { keysOf }, registered: { iss } }: Parsed
): Effect.Effect<ReadonlyArray<KeySource.Candidate>, Reason> =>
  Effect.matchEffect(keys.find(keysOf, header), {
    onFailure: (error) => Effect.fail(reasonOf(error)),
    onSuccess: (found) => {
      const own = found.every(({ issuer }) => issuer === undefined)
        ? found
        : found.filter(({ issuer }) => issuer === undefined || issuer === iss || issuer === keysOf)
      if (own.length === 0) return Effect.fail(keyNotFound("mismatched"))
      // A source of one's own may not know how many are allowed.
      return own.length > KeySource.maxCandidates ? Effect.fail(keyNotFound("ambiguous")) : Effect.succeed(own)
    }
  })

/** Tries keys in their order: the place of the first that verifies the signature; -1 where none does. */
export const verifyingKey = async <C>(
  { verifySignature }: Verifier<C>,
  { header: { alg }, parts, signature }: Parsed,
  candidates: ReadonlyArray<KeySource.Candidate>
): Promise<number> => {
  const signed = encodeText(parts.signed)
  for (const [place, { key }] of candidates.entries()) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- the first that fits is enough
    if (await verifySignature(alg, key, signature, signed)) return place
  }
  return -1
}

/** The key that verified a signature: its place among those that were to be tried, from 1. */
export interface VerifyingKey {
  readonly trust: KeySource.KeyTrust
  readonly place: number
  readonly candidates: number
}

/** Measured: what an entry takes beside its claims, and each of its scopes. */
const entryBytes = 512
const scopeBytes = 48

const sizeOf = ({ registered, size }: Parsed): number => entryBytes + size + scopeBytes * registered.scopes.length

/**
 * What a token with a good signature is worth: what its claims are held against that no call can change, and their shape.
 * `skipExpiry` is an option of a call, whose result is kept nowhere.
 */
export const judge = <C>(
  verifier: Verifier<C>,
  parsed: Parsed,
  { candidates, place, trust }: VerifyingKey,
  clock: Clock.Clock,
  skipExpiry = false
): Result.Result<Entry<Validated<C>>, Reason> => {
  const { rules } = verifier
  const { header, members, registered } = parsed
  const wall = clock.currentTimeMillisUnsafe()
  const problem = audienceProblem(registered, rules) ?? timeProblem(registered, rules, wall, skipExpiry) ??
    missingClaim(members, rules.requiredClaims) ?? partyProblem(members, registered, rules)
  if (problem !== undefined) return Result.fail(problem)
  return Result.map(verifier.decodeClaims(members), (claims) => {
    const value: Validated<C> = Object.freeze({ claims, registered })
    const window = windowOf(registered, rules)
    const left = Duration.millis(Math.max(0, window.ends - wall))
    return {
      exit: Exit.succeed(value),
      value,
      registered,
      members,
      alg: header.alg,
      trust,
      key: { place, candidates },
      window,
      endsAt: clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(left),
      size: sizeOf(parsed)
    }
  })
}
