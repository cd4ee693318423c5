import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { maxNumericDate } from "../../Claims.ts"
import type { Identity, Subject } from "../../Revocation.ts"

/** What tokens are revoked by. */
export const kinds = ["jti", "sid", "sub"] as const
export type Kind = (typeof kinds)[number]

/** What is put on a list. */
export interface Entry {
  readonly issuer: string
  readonly kind: Kind
  readonly id: string
  /** The last second of `iat` that it means. */
  readonly issuedUntil: number
  /** How long it is kept, in milliseconds from now: never above zero where all tokens meant have expired. */
  readonly life: number
}

/** The most that a policy may allow: an entry outlives the tokens meant at every validator. */
const maxTolerance = Duration.toMillis("5 minutes")

const named = (subject: Subject): Pick<Entry, "id" | "kind"> => {
  if (subject.jti !== undefined) return { kind: "jti", id: subject.jti }
  return subject.sid === undefined ? { kind: "sub", id: subject.sub } : { kind: "sid", id: subject.sid }
}

/**
 * The entry for what is revoked now.
 *
 * A subject's tokens are meant up to the whole second in which now and the tolerance end: `iat` has seconds, which an
 * issuer may have rounded up, and its clock may be ahead. A session and a token have one life only, so all are meant.
 */
export const entryOf = (subject: Subject, until: DateTime.Utc, tolerance: number, clock: Clock.Clock): Entry => {
  const now = clock.currentTimeMillisUnsafe()
  const { id, kind } = named(subject)
  return {
    issuer: subject.issuer,
    kind,
    id,
    issuedUntil: kind === "sub" ? Math.ceil((now + tolerance) / 1000) : maxNumericDate,
    life: DateTime.toEpochMillis(until) + maxTolerance - now
  }
}

/** Whether an entry means a token of its subject. One that does not say when it was issued is meant by all. */
export const isMeant = (issuedUntil: number, { iat }: Pick<Identity, "iat">): boolean =>
  iat === undefined || iat <= issuedUntil
