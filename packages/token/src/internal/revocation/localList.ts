import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import type { Identity } from "../../Revocation.ts"
import { type Kind, kinds, type RevocationEntry, revokes } from "./entry.ts"
import { ExpiryQueue } from "./expiryQueue.ts"

export interface ListLimits {
  readonly maxEntries: number
  readonly maxBytes: number
}

/** A stored entry. Revoking the same again extends it. */
interface StoredEntry {
  issuedUntil: number
  ends: Instant.Instant
}

/** The location of an entry. */
interface Place {
  readonly issuer: string
  readonly kind: Kind
  readonly id: string
  readonly entry: StoredEntry
}

type Lists = Readonly<Record<Kind, Map<string, StoredEntry>>>

/** Estimated bytes of an entry without its strings. */
const overhead = 256

const sizeOf = ({ id, issuer }: Pick<Place, "id" | "issuer">): number => overhead + 2 * (issuer.length + id.length)

/**
 * The revocations of this process. An entry is kept until it has expired on both clocks, so that a wall clock that is
 * temporarily ahead expires none early. An expired entry revokes nothing, and is deleted when another is added.
 */
export class LocalList {
  readonly #limits: ListLimits
  readonly #issuers = new Map<string, Lists>()
  readonly #expiries = new ExpiryQueue<Place>()
  #entries = 0
  #bytes = 0

  constructor(limits: ListLimits) {
    this.#limits = limits
  }

  /** The number of entries that are not expired. */
  entries(clock: Clock.Clock): number {
    this.#deleteExpired(clock)
    return this.#entries
  }

  /** Whether one of the entries revokes a token. */
  has(token: Identity, clock: Clock.Clock): boolean {
    const lists = this.#issuers.get(token.iss)
    return lists !== undefined && kinds.some((kind) => {
      const id = token[kind]
      const entry = id === undefined ? undefined : lists[kind].get(id)
      return entry !== undefined && revokes(entry.issuedUntil, token) && !Instant.hasComeOnBoth(entry.ends, clock)
    })
  }

  /** Adds an entry; returns `false` where the list is full. It never deletes an entry before its end. */
  add({ id, issuedUntil, issuer, kind, lifetime }: RevocationEntry, clock: Clock.Clock): boolean {
    if (lifetime <= 0) return true
    this.#deleteExpired(clock)
    const ends = Instant.after(Instant.now(clock), lifetime)
    const existing = this.#issuers.get(issuer)?.[kind].get(id)
    if (existing !== undefined) {
      const isExpired = Instant.hasComeOnBoth(existing.ends, clock)
      existing.issuedUntil = isExpired ? issuedUntil : Math.max(existing.issuedUntil, issuedUntil)
      existing.ends = isExpired ? ends : laterOnEach(existing.ends, ends)
      return true
    }
    const entry: StoredEntry = { issuedUntil, ends }
    const place: Place = { issuer, kind, id, entry }
    const size = sizeOf(place)
    if (this.#entries >= this.#limits.maxEntries || this.#bytes + size > this.#limits.maxBytes) return false
    this.#listsOf(issuer)[kind].set(id, entry)
    this.#expiries.push(millis(ends), place)
    this.#entries++
    this.#bytes += size
    return true
  }

  #listsOf(issuer: string): Lists {
    const existing = this.#issuers.get(issuer)
    if (existing !== undefined) return existing
    const lists: Lists = { jti: new Map(), sid: new Map(), sub: new Map() }
    this.#issuers.set(issuer, lists)
    return lists
  }
  #deleteExpired(clock: Clock.Clock): void {
    const now = Instant.now(clock)
    this.#expiries.removeExpired(
      millis(now),
      ({ entry: { ends } }) => nextCheck(ends, now),
      (place) => this.#delete(place)
    )
  }
  #delete(place: Place): void {
    const lists = this.#issuers.get(place.issuer)
    lists?.[place.kind].delete(place.id)
    if (lists !== undefined && kinds.every((kind) => lists[kind].size === 0)) this.#issuers.delete(place.issuer)
    this.#entries--
    this.#bytes -= sizeOf(place)
  }
}

const laterOnEach = (a: Instant.Instant, b: Instant.Instant): Instant.Instant => ({
  monotonic: a.monotonic < b.monotonic ? b.monotonic : a.monotonic,
  wall: Math.max(a.wall, b.wall)
})

/** The monotonic milliseconds of an instant. The wall clock jumps, which would break the order of the queue. */
const millis = ({ monotonic }: Instant.Instant): number => Number(monotonic) / 1_000_000

/** Upper bound, in milliseconds, until the next check of an entry that is expired on the monotonic clock alone. */
const maxCheckDelay = 60_000

/** The millisecond at which to check whether an instant has come on both clocks; not after now, where it has. */
const nextCheck = (instant: Instant.Instant, now: Instant.Instant): number =>
  Math.max(millis(instant), millis(now) + Math.min(Math.max(0, instant.wall - now.wall), maxCheckDelay))
