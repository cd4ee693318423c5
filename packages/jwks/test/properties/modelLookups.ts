/** The allowed results of the lookups of the model test. */
import { Cause, type Clock, Exit, type Fiber } from "effect"
import { JwksKeyNotFound, JwksUnavailable } from "../../src/JwksError.ts"
import type { KeySet } from "../../src/KeySet.ts"
import type { Candidate, JoseHeader, KeyTrust } from "../../src/KeySource.ts"
import { check, mayFetchUnknown, mayRetry, type Model, type Moment, passed, trusted } from "./model.ts"
import type { Key } from "./modelCommands.ts"
import { materialOf } from "./modelUpstream.ts"

/** A call to the cache. */
export interface Call {
  /** The header; `undefined` for the whole set, or a refresh. */
  readonly header: JoseHeader | undefined
  readonly kind: "find" | "keySet" | "refresh"
  readonly at: Moment
  /** The counts of the model before the call. */
  readonly before: {
    readonly started: number
    readonly failed: number
    readonly epoch: number
    readonly acceptedTooLate: number
  }
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  isInterrupted: boolean
  hasEnded: boolean
}

export const makeCall = (model: Model, kind: Call["kind"], header: JoseHeader | undefined): Call => ({
  header,
  kind,
  at: model.now(),
  before: { started: model.started, failed: model.failed, epoch: model.epoch, acceptedTooLate: model.acceptedTooLate },
  fiber: undefined,
  isInterrupted: false,
  hasEnded: false
})

/** The result for a header by the trusted keys. */
export const selected = (
  keys: ReadonlyArray<Key>,
  { alg, kid }: JoseHeader
): ReadonlyArray<Key> | JwksKeyNotFound["reason"] => {
  const named = kid === undefined ? keys : keys.filter((key) => key.kid === kid)
  if (named.length === 0) return "unknown"
  if (alg !== "EdDSA" && alg !== "Ed25519") return kid === undefined ? "unknown" : "mismatched"
  return named.length > 4 ? "ambiguous" : named
}

const isTooLong = ({ kid }: JoseHeader): boolean => (kid?.length ?? 0) > 256

/** Whether memory has the result, so that a reader never waits. */
export const isInMemory = (model: Model, header: JoseHeader): boolean => {
  const cached = trusted(model)
  const found = cached === undefined ? undefined : selected(cached.keys, header)
  return isTooLong(header) || (found !== undefined && found !== "unknown")
}

/** Whether the cache must fetch for the header's key. */
export const isUnknown = (model: Model, { header, hasEnded, kind }: Call): boolean => {
  const cached = trusted(model)
  return !hasEnded && kind === "find" && header !== undefined && !isTooLong(header) && cached !== undefined &&
    selected(cached.keys, header) === "unknown"
}

/** Whether it waited as long as a lookup may: the deadline of a fetch, and a second. */
const hasWaited = (model: Model, { at }: Call): boolean => passed(at, model.now()) >= 9000

const checkUnavailable = (model: Model, call: Call): void => {
  const cached = trusted(model)
  const { before, header } = call
  if (model.isClosed) return
  const found = cached === undefined || header === undefined ? undefined : selected(cached.keys, header)
  if (cached !== undefined) {
    return check(
      model,
      found === "unknown" && (model.failures > 0 || hasWaited(model, call)),
      `L3: unavailable, while keys are trusted that tell of it (${JSON.stringify(found)})`
    )
  }
  const hasFailed = model.failed > before.failed || model.epoch !== before.epoch ||
    model.acceptedTooLate > before.acceptedTooLate + 1
  check(
    model,
    hasFailed || !mayRetry(model) || hasWaited(model, call),
    "L4: unavailable, and the provider was not asked"
  )
}

const checkNotFound = (model: Model, { before, header }: Call, { reason }: JwksKeyNotFound): void => {
  if (header === undefined) return check(model, false, "S1-27: a key set is not found")
  if (isTooLong(header)) return check(model, reason === "unknown", "S1-27: a key id that is too long is unknown")
  const cached = trusted(model)
  const found = cached === undefined ? undefined : selected(cached.keys, header)
  check(model, found === reason, `L4: not found (${reason}), which is ${JSON.stringify(found)}`)
  if (reason !== "unknown") return
  check(model, model.failures === 0, "L4: not found, and nobody knows since the last fetch failed")
  check(
    model,
    model.started > before.started || !mayFetchUnknown(model),
    "L3: not found, and the provider was not asked"
  )
}

/** Returned trust, with its key in the model. */
export type KnownTrust = Map<KeyTrust, object>

const nameOf = ({ key }: Candidate): string => key.algorithm.name

/** The name that an import of the model test gives a key. */
export const importedName = (alg: string, material: string): string => `${alg} ${material}`

const checkFound = (
  model: Model,
  knownTrust: KnownTrust,
  { header }: Call,
  candidates: ReadonlyArray<Candidate>
): void => {
  const cached = trusted(model)
  if (cached === undefined || header === undefined) return check(model, false, "L4: candidates without trusted keys")
  const found = selected(cached.keys, header)
  const names = Array.isArray(found) ? found.map((key) => importedName(header.alg, materialOf(key))) : [found]
  check(
    model,
    JSON.stringify(candidates.map(nameOf)) === JSON.stringify(names),
    `L5: candidates ${JSON.stringify(candidates.map(nameOf))} instead of ${JSON.stringify(names)}`
  )
  check(
    model,
    candidates.every(({ alg, kid }) => alg === header.alg && (header.kid ?? kid) === kid),
    "S1-26: of another header"
  )
  for (const { trust } of candidates) {
    check(model, (knownTrust.get(trust) ?? cached.trust) === cached.trust, "L5: old trust for new keys")
    knownTrust.set(trust, cached.trust)
  }
}

const checkKeySet = (model: Model, set: KeySet): void => {
  const cached = trusted(model)
  if (cached === undefined) return check(model, false, "L4: a key set that is not trusted")
  const materials = set.all.map(({ material }) => "x" in material ? material.x : "")
  check(
    model,
    JSON.stringify(materials) === JSON.stringify(cached.keys.map(materialOf)),
    "L5: not the keys that are cached"
  )
}

/** Checks the result of a call. */
export const ended = (model: Model, knownTrust: KnownTrust, call: Call, exit: Exit.Exit<unknown, unknown>): void => {
  call.hasEnded = true
  if (Exit.isSuccess(exit)) {
    // oxlint-disable-next-line no-unsafe-type-assertion -- the call determines the type of its result
    if (call.kind === "find") checkFound(model, knownTrust, call, exit.value as ReadonlyArray<Candidate>)
    // oxlint-disable-next-line no-unsafe-type-assertion -- the same
    if (call.kind === "keySet") checkKeySet(model, exit.value as KeySet)
    return
  }
  if (call.isInterrupted && Cause.hasInterruptsOnly(exit.cause)) return
  const error = Cause.squash(exit.cause)
  if (call.kind === "refresh") {
    const isClosed = error instanceof Error && error.name === "SingleFlightClosed"
    check(model, Cause.hasFails(exit.cause), `L8: a refresh ended with ${Cause.pretty(exit.cause)}`)
    check(model, isClosed === model.isClosed, `L8: a refresh failed with ${String(error)}`)
  } else if (error instanceof JwksUnavailable) checkUnavailable(model, call)
  else if (error instanceof JwksKeyNotFound) checkNotFound(model, call, error)
  else check(model, false, `a lookup ended with ${Cause.pretty(exit.cause)}`)
}

/** No call waits longer than for the running fetch and one more, and again for each invalidation. */
export const waitsTooLong = (model: Model, { at, before, hasEnded }: Call): boolean =>
  !hasEnded &&
  passed(at, model.now()) >
    17_000 + 9000 * (model.epoch - before.epoch + model.acceptedTooLate - before.acceptedTooLate)

/** Trust holds exactly while its keys are cached and trusted. */
export const checkTrust = (model: Model, knownTrust: KnownTrust, clock: Clock.Clock): void => {
  for (const [trust, known] of knownTrust) {
    const isCached = model.cached?.trust === known
    const expected = isCached && trusted(model) !== undefined
    check(
      model,
      trust.holds(clock) === expected,
      `L5: trust ${expected ? "does not hold" : "holds"} (generation ${trust.generation})`
    )
    const deadline = isCached ? model.cached?.staleUntil.monotonic : 0n
    check(
      model,
      trust.staleDeadline() === deadline,
      `L6: stale deadline ${trust.staleDeadline()} instead of ${deadline}`
    )
  }
}
