import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import type { Identity } from "../../Revocation.ts"
import { type Entry, isMeant, type Kind, kinds } from "./entry.ts"
import { ExpiryQueue } from "./expiryQueue.ts"

export interface ListLimits {
  readonly maxEntries: number
  readonly maxBytes: number
}

/** An entry on the list; a later revocation of the same extends it. */
interface HeldEntry {
  issuedUntil: number
  ends: Instant.Instant
}

/** Where an entry is. */
interface Place {
  readonly issuer: string
  readonly kind: Kind
  readonly id: string
  readonly held: HeldEntry
}

type Lists = Readonly<Record<Kind, Map<string, HeldEntry>>>

/** About what an entry takes in memory beside its texts. */
const overhead = 256

const sizeOf = ({ id, issuer }: Pick<Place, "id" | "issuer">): number => overhead + 2 * (issuer.length + id.length)

/**
 * What was revoked in this process. An entry stays until its end has come on both clocks: a wall clock that is ahead for a
 * while ends none before its time. One that is past its end means nothing any more, and goes when something is added.
 */
export class LocalList {
  readonly #limits: ListLimits
  readonly #issuers = new Map<string, Lists>()
  readonly #endings = new ExpiryQueue<Place>()
  #entries = 0
  #bytes = 0

  constructor(limits: ListLimits) {
    this.#limits = limits
  }

  /** How many there are, once those that have ended are gone. */
  entries(clock: Clock.Clock): number {
    this.#forgetEnded(clock)
    return this.#entries
  }

  /** Whether one of the entries means a token. */
  has(token: Identity, clock: Clock.Clock): boolean {
    const lists = this.#issuers.get(token.iss)
    return lists !== undefined && kinds.some((kind) => {
      const id = token[kind]
      const held = id === undefined ? undefined : lists[kind].get(id)
      return held !== undefined && isMeant(held.issuedUntil, token) && !Instant.hasComeOnBoth(held.ends, clock)
    })
  }

  /** Adds an entry; `false` where there is no room. None goes before its end to make any. */
  add({ id, issuedUntil, issuer, kind, life }: Entry, clock: Clock.Clock): boolean {
    if (life <= 0) return true
    this.#forgetEnded(clock)
    const ends = Instant.after(Instant.now(clock), life)
    const known = this.#issuers.get(issuer)?.[kind].get(id)
    if (known !== undefined) {
      const isOver = Instant.hasComeOnBoth(known.ends, clock)
      known.issuedUntil = isOver ? issuedUntil : Math.max(known.issuedUntil, issuedUntil)
      known.ends = isOver ? ends : laterOnEach(known.ends, ends)
      return true
    }
    const held: HeldEntry = { issuedUntil, ends }
    const place: Place = { issuer, kind, id, held }
    const size = sizeOf(place)
    if (this.#entries >= this.#limits.maxEntries || this.#bytes + size > this.#limits.maxBytes) return false
    this.#listsOf(issuer)[kind].set(id, held)
    this.#endings.push(millis(ends), place)
    this.#entries++
    this.#bytes += size
    return true
  }

  #listsOf(issuer: string): Lists {
    const known = this.#issuers.get(issuer)
    if (known !== undefined) return known
    const lists: Lists = { jti: new Map(), sid: new Map(), sub: new Map() }
    this.#issuers.set(issuer, lists)
    return lists
  }
  #forgetEnded(clock: Clock.Clock): void {
    const now = Instant.now(clock)
    this.#endings.takeUntil(millis(now), ({ held: { ends } }) => lookAgain(ends, now), (place) => this.#forget(place))
  }
  #forget(place: Place): void {
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

/** The monotonic milliseconds of a moment: those of the wall clock jump, and what was looked for by them would be lost. */
const millis = ({ monotonic }: Instant.Instant): number => Number(monotonic) / 1_000_000

/** The most milliseconds until an entry is looked at again whose end has come on the monotonic clock alone. */
const patience = 60_000

/** When to look whether a moment has come on both clocks: now, where it has. */
const lookAgain = (moment: Instant.Instant, now: Instant.Instant): number =>
  Math.max(millis(moment), millis(now) + Math.min(Math.max(0, moment.wall - now.wall), patience))
