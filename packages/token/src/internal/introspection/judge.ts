/**
 * Checks of an active answer, with the rules of the policy: the same as for the claims of a JWT.
 */
import * as Instant from "@keelson/core/unstable/Instant"
import type * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import type * as Clock from "effect/Clock"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"
import type { Validated } from "../../TokenValidator.ts"
import { checkClaims, checkTimes, validityWindow } from "../validation/checks.ts"
import { decodeRegistered } from "../validation/claims.ts"
import { issuerUntrusted, missingMember, typeMismatch } from "../validation/reasons.ts"
import type { Rules, TrustedIssuer } from "../validation/rules.ts"
import { type JsonObject, own } from "../validation/strictJson.ts"
import type { StillRejected, VerifiedToken } from "../validation/tokenCache.ts"
import { entrySize } from "../validation/verification.ts"
import type { Answer } from "./answer.ts"

type Reason = TokenError.Reason

/** What answers are checked against. */
export interface AnswerRules {
  readonly rules: Rules
  /** The only issuer whose tokens the endpoint knows, if it is configured. */
  readonly issuer: string | undefined
  /** The audience of answers that have none. */
  readonly defaultAudience: string | undefined
  /** Whether `token_type` is required; `undefined`: only in answers that get the default audience. */
  readonly requireTokenType: boolean | undefined
  /** The lifetime of an answer, in milliseconds. */
  readonly activeFor: number
}

/** Adds the issuer and the audience that answers may leave out. */
export const withDefaults = (
  members: JsonObject,
  { defaultAudience, issuer, rules: { policy: { audienceClaim } } }: AnswerRules
): JsonObject => {
  const iss = own(members, "iss") === undefined ? issuer : undefined
  const audience = own(members, audienceClaim) === undefined ? defaultAudience : undefined
  if (iss === undefined && audience === undefined) return members
  return {
    ...members,
    ...(iss === undefined ? undefined : { iss }),
    ...(audience === undefined ? undefined : { [audienceClaim]: audience })
  }
}

/** The types of access tokens (RFC 6750, 6.1.1; RFC 9449, 5), in lower case. */
const tokenTypes: ReadonlySet<unknown> = new Set(["bearer", "dpop"])

/**
 * Whether the answer is about an access token. A server may introspect refresh tokens as well, whose answers name no type (RFC
 * 7662, 2.2). A token of the type `DPoP` is bound to a key: without the key's thumbprint anyone could use it as a bearer token.
 */
export const checkTokenType = (
  members: JsonObject,
  { defaultAudience, requireTokenType, rules: { policy: { audienceClaim } } }: AnswerRules
): Reason | undefined => {
  const type = own(members, "token_type")
  if (type === undefined) {
    const isAssumed = defaultAudience !== undefined && own(members, audienceClaim) === undefined
    return requireTokenType ?? isAssumed ? missingMember("token_type") : undefined
  }
  const name = typeof type === "string" ? type.toLowerCase() : undefined
  if (!tokenTypes.has(name)) return typeMismatch
  return name === "dpop" && !Predicate.hasProperty(own(members, "cnf"), "jkt") ? missingMember("cnf") : undefined
}

/** The issuer of an answer: the configured one, which the policy has to trust too. */
export const findIssuer = (iss: string, { issuer, rules }: AnswerRules): Result.Result<TrustedIssuer, Reason> => {
  const trusted = issuer === undefined || issuer === iss ? rules.trustedIssuer(iss) : undefined
  return trusted === undefined ? Result.fail(issuerUntrusted) : Result.succeed(trusted)
}

/** A rejection, and whether it still holds at another time. */
export interface Rejected {
  readonly reason: Reason
  readonly isStillRejected: StillRejected
}

const always: StillRejected = () => true

const rejected = (reason: Reason): Result.Result<never, Rejected> => Result.fail({ reason, isStillRejected: always })

/** Answers have no signature of the token's; the hash function is that of OpenID Connect's default algorithm. */
const alg = "RS256"

/** The trust in an answer that is not signed: that in the connection, which ended. Its lifetime limits it. */
const unsigned: KeySource.KeyTrust = { generation: 0, holds: () => true, staleDeadline: () => undefined }

const onlyKey = { place: 1, candidates: 1 }

/**
 * Checks an active answer, and decodes its claims. The result may be cached until the answer's lifetime ends, counted from the
 * request, or the token expires: without the clock tolerance, since the server can be asked again.
 */
export const judge = <C>(
  { members: received, size }: Extract<Answer, { readonly _tag: "Active" }>,
  answerRules: AnswerRules,
  decodeClaims: (members: unknown) => Result.Result<C, Reason>,
  { requestedAt, trust = unsigned }: {
    readonly requestedAt: Instant.Instant
    readonly trust?: KeySource.KeyTrust | undefined
  },
  clock: Clock.Clock
): Result.Result<VerifiedToken<Validated<C>>, Rejected> => {
  const { activeFor, rules } = answerRules
  const typeReason = checkTokenType(received, answerRules)
  if (typeReason !== undefined) return rejected(typeReason)
  const members = withDefaults(received, answerRules)
  const decoded = decodeRegistered(members, rules)
  if (Result.isFailure(decoded)) return rejected(decoded.failure)
  const registered = decoded.success
  const issuer = findIssuer(registered.iss, answerRules)
  if (Result.isFailure(issuer)) return rejected(issuer.failure)
  const now = clock.currentTimeMillisUnsafe()
  const reason = checkClaims({ members, registered }, rules, now, false)
  if (reason !== undefined) {
    const timesReason = checkTimes(registered, rules, now)
    return Result.fail({ reason, isStillRejected: (at) => checkTimes(registered, rules, at) === timesReason })
  }
  const claims = decodeClaims(members)
  if (Result.isFailure(claims)) return rejected(claims.failure)
  const value: Validated<C> = Object.freeze({ claims: claims.success, registered })
  const window = validityWindow(registered, rules)
  const until = Instant.after(requestedAt, activeFor)
  const ends = Math.min(window.ends, registered.exp * 1000, until.wall)
  const expires = Instant.after(Instant.now(clock), Math.max(0, ends - now))
  return Result.succeed({
    exit: Exit.succeed(value),
    value,
    registered,
    members,
    alg,
    trust,
    issuer: issuer.success,
    key: onlyKey,
    window: { begins: window.begins, ends },
    endsAt: expires.monotonic < until.monotonic ? expires.monotonic : until.monotonic,
    size: entrySize(size, registered)
  })
}
