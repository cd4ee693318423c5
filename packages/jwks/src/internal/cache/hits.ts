import { hasCome, type Instant, now, offset } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Exit from "effect/Exit"
import type { ImportedKey, KeySet } from "../../KeySet.ts"
import type { Candidate, JoseHeader, KeyTrust } from "../keys/candidate.ts"
import { identify } from "../keys/keyIdentity.ts"
import { select } from "../keys/keySelection.ts"
import type { CachedKeySet } from "./lifecycle.ts"
import type { ProviderState } from "./providerState.ts"
import type { SharedFetch } from "./sharedFetch.ts"

/** The candidates of a header, as an effect that is made once: a hit allocates nothing. */
export type Found = Exit.Exit<ReadonlyArray<Candidate>>

/** Clocks that diverge by more milliseconds than this tell of a suspended machine, or of a wall clock that was set. */
const divergenceLimit = 30_000

const candidates = (
  { trust }: CachedKeySet,
  { alg }: JoseHeader,
  keys: ReadonlyArray<ImportedKey>
): ReadonlyArray<Candidate> | undefined => {
  const found: Array<Candidate> = []
  for (const candidate of keys) {
    const key = candidate.imported.get(alg)
    if (key === undefined) return undefined
    identify(key, candidate, alg)
    found.push({ kid: candidate.kid, alg, key, issuer: candidate.issuer, trust })
  }
  return found
}

/** Answers from memory. What was found is kept until the keys change, and is no more than the keys allow. */
export class Hits {
  #memo: Map<string, Map<string | undefined, Found>> | undefined
  #memoOf: KeyTrust | undefined
  #staleTold: CachedKeySet | undefined
  protected readonly engine: ProviderState
  protected readonly flight: SharedFetch

  constructor(engine: ProviderState, flight: SharedFetch) {
    this.engine = engine
    this.flight = flight
  }

  /** The candidates, where memory has them: counts a hit, and never waits. */
  hit(header: JoseHeader, clock: Clock.Clock): Found | undefined {
    const at = now(clock)
    const held = this.#trusted(at)
    if (held === undefined) return undefined
    const known = this.#memoOf === held.trust ? this.#memo?.get(header.alg)?.get(header.kid) : undefined
    const found = known ?? this.#firstHit(held, header)
    if (found !== undefined) this.#served(held, at, clock)
    return found
  }

  /** The whole set, where it is trusted: counts a hit. */
  set(clock: Clock.Clock): KeySet | undefined {
    const at = now(clock)
    const held = this.#trusted(at)
    if (held !== undefined) this.#served(held, at, clock)
    return held?.set
  }

  /** Keeps the candidates of a header; `undefined` where one of their keys is not imported for its algorithm. */
  remember(held: CachedKeySet, header: JoseHeader, keys: ReadonlyArray<ImportedKey>): Found | undefined {
    const found = candidates(held, header, keys)
    if (found === undefined) return undefined
    if (this.#memo === undefined || this.#memoOf !== held.trust) {
      this.#memo = new Map()
      this.#memoOf = held.trust
    }
    const byKid = this.#memo.get(header.alg) ?? new Map<string | undefined, Found>()
    this.#memo.set(header.alg, byKid)
    const exit = Exit.succeed(found)
    byKid.set(header.kid, exit)
    return exit
  }

  #firstHit(held: CachedKeySet, header: JoseHeader): Found | undefined {
    const selection = select(held.set, header)
    return selection._tag === "Found" ? this.remember(held, header, selection.keys) : undefined
  }
  #trusted({ monotonic, wall }: Instant): CachedKeySet | undefined {
    const { held } = this.engine.state
    return held === undefined || monotonic >= held.staleUntil.monotonic || wall >= held.staleUntil.wall
      ? undefined
      : held
  }
  #served(held: CachedKeySet, at: Instant, clock: Clock.Clock): void {
    const { monotonic, wall } = at
    this.engine.noteLookup()
    this.engine.counts.hits++
    if (monotonic >= held.expiresAt.monotonic || wall >= held.expiresAt.wall) this.#servedStale(held)
    const isDue = monotonic >= held.refreshAt.monotonic || wall >= held.refreshAt.wall
    if (isDue || offset(at) - held.offset > divergenceLimit) this.#catchUp(held, clock)
  }
  #servedStale(held: CachedKeySet): void {
    this.engine.counts.stale++
    if (this.#staleTold === held) return
    this.#staleTold = held
    this.engine.publish({ _tag: "StaleServed" })
  }
  /** The refresh fiber may not have run, as on a machine that was suspended: a reader has the fetch made, and goes on. */
  #catchUp(held: CachedKeySet, clock: Clock.Clock): void {
    if (this.flight.isUnderWay()) return
    const { retryAt } = this.engine.state
    if (retryAt !== undefined && !hasCome(retryAt, clock)) return
    this.flight.start({ cause: hasCome(held.refreshAt, clock) ? "due" : "clock", noCache: false })
  }
}
