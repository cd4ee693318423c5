import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Identity, Subject } from "../../Revocation.ts"
import { maxNumericDate } from "../validation/numericDate.ts"

/** The claims by which tokens are revoked. */
export const kinds = ["jti", "sid", "sub"] as const
export type Kind = (typeof kinds)[number]

/** An entry of a list. */
export interface RevocationEntry {
  readonly issuer: string
  readonly kind: Kind
  readonly id: string
  /** The last `iat`, in seconds, of the tokens that it revokes. */
  readonly issuedUntil: number
  /** How long to keep it, in milliseconds from now. Not positive where all tokens that it revokes have expired. */
  readonly lifetime: number
}

/** The maximum clock tolerance of a policy: an entry outlives the tokens that it revokes at every validator. */
const maxTolerance = Duration.toMillis("5 minutes")

const keyOf = (subject: Subject): Pick<RevocationEntry, "id" | "kind"> => {
  if (subject.jti !== undefined) return { kind: "jti", id: subject.jti }
  return subject.sid === undefined ? { kind: "sub", id: subject.sub } : { kind: "sid", id: subject.sid }
}

/**
 * The entry for a revocation made now.
 *
 * It revokes a subject's tokens issued until now plus the tolerance, rounded up to a second: an issuer may round `iat` up, and
 * its clock may be ahead. A session and a token are never renewed, so that all their tokens are revoked.
 */
export const makeEntry = (
  subject: Subject,
  until: DateTime.Utc,
  tolerance: number,
  clock: Clock.Clock
): RevocationEntry => {
  const now = clock.currentTimeMillisUnsafe()
  const { id, kind } = keyOf(subject)
  return {
    issuer: subject.issuer,
    kind,
    id,
    issuedUntil: kind === "sub" ? Math.ceil((now + tolerance) / 1000) : maxNumericDate,
    lifetime: DateTime.toEpochMillis(until) + maxTolerance - now
  }
}

/** Whether an entry of a token's claim revokes the token. A token without `iat` is revoked by every entry. */
export const revokes = (issuedUntil: number, { iat }: Pick<Identity, "iat">): boolean =>
  iat === undefined || iat <= issuedUntil
