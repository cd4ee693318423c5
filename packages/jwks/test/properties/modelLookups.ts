/** The allowed results of the lookups of the model test. */
import { Cause, type Clock, Exit, type Fiber } from "effect"
import { JwksKeyNotFound, JwksUnavailable } from "../../src/JwksError.ts"
import type { KeySet } from "../../src/KeySet.ts"
import type { Candidate, JoseHeader, KeyTrust } from "../../src/KeySource.ts"
import { mayAsk, mayRetry, type Model, type Moment, must, passed, trusted } from "./model.ts"
import type { Key } from "./modelCommands.ts"
import { materialOf } from "./modelUpstream.ts"

/** A call to the cache. */
export interface Asked {
  /** The header; `undefined` for the whole set, or a refresh. */
  readonly header: JoseHeader | undefined
  readonly kind: "find" | "keySet" | "refresh"
  readonly at: Moment
  /** The counts of the model before the call. */
  readonly before: {
    readonly started: number
    readonly failed: number
    readonly epoch: number
    readonly stillborn: number
  }
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  isInterrupted: boolean
  hasEnded: boolean
}

export const ask = (model: Model, kind: Asked["kind"], header: JoseHeader | undefined): Asked => ({
  header,
  kind,
  at: model.now(),
  before: { started: model.started, failed: model.failed, epoch: model.epoch, stillborn: model.stillborn },
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
export const isAnswered = (model: Model, header: JoseHeader): boolean => {
  const held = trusted(model)
  const found = held === undefined ? undefined : selected(held.keys, header)
  return isTooLong(header) || (found !== undefined && found !== "unknown")
}

/** Whether the cache must fetch for the header's key. */
export const isUnknown = (model: Model, { header, hasEnded, kind }: Asked): boolean => {
  const held = trusted(model)
  return !hasEnded && kind === "find" && header !== undefined && !isTooLong(header) && held !== undefined &&
    selected(held.keys, header) === "unknown"
}

/** Whether it waited as long as a lookup may: the deadline of a fetch, and a second. */
const hasWaited = (model: Model, { at }: Asked): boolean => passed(at, model.now()) >= 9000

const isUnavailable = (model: Model, asked: Asked): void => {
  const held = trusted(model)
  const { before, header } = asked
  if (model.isClosed) return
  const found = held === undefined || header === undefined ? undefined : selected(held.keys, header)
  if (held !== undefined) {
    return must(
      model,
      found === "unknown" && (model.failures > 0 || hasWaited(model, asked)),
      `L3: unavailable, while keys are trusted that tell of it (${JSON.stringify(found)})`
    )
  }
  const hasFailed = model.failed > before.failed || model.epoch !== before.epoch ||
    model.stillborn > before.stillborn + 1
  must(
    model,
    hasFailed || !mayRetry(model) || hasWaited(model, asked),
    "L4: unavailable, and the provider was not asked"
  )
}

const isNotFound = (model: Model, { before, header }: Asked, { reason }: JwksKeyNotFound): void => {
  if (header === undefined) return must(model, false, "S1-27: a key set is not found")
  if (isTooLong(header)) return must(model, reason === "unknown", "S1-27: a key id that is too long is unknown")
  const held = trusted(model)
  const found = held === undefined ? undefined : selected(held.keys, header)
  must(model, found === reason, `L4: not found (${reason}), which is ${JSON.stringify(found)}`)
  if (reason !== "unknown") return
  must(model, model.failures === 0, "L4: not found, and nobody knows since the last fetch failed")
  must(model, model.started > before.started || !mayAsk(model), "L3: not found, and the provider was not asked")
}

/** Returned trust, with its key in the model. */
export type Trusts = Map<KeyTrust, object>

const nameOf = ({ key }: Candidate): string => key.algorithm.name

/** The name that an import of the model test gives a key. */
export const importedName = (alg: string, material: string): string => `${alg} ${material}`

const isFound = (model: Model, trusts: Trusts, { header }: Asked, candidates: ReadonlyArray<Candidate>): void => {
  const held = trusted(model)
  if (held === undefined || header === undefined) return must(model, false, "L4: candidates without trusted keys")
  const found = selected(held.keys, header)
  const names = Array.isArray(found) ? found.map((key) => importedName(header.alg, materialOf(key))) : [found]
  must(
    model,
    JSON.stringify(candidates.map(nameOf)) === JSON.stringify(names),
    `L5: candidates ${JSON.stringify(candidates.map(nameOf))} instead of ${JSON.stringify(names)}`
  )
  must(
    model,
    candidates.every(({ alg, kid }) => alg === header.alg && (header.kid ?? kid) === kid),
    "S1-26: of another header"
  )
  for (const { trust } of candidates) {
    must(model, (trusts.get(trust) ?? held.trust) === held.trust, "L5: old trust for new keys")
    trusts.set(trust, held.trust)
  }
}

const isSet = (model: Model, set: KeySet): void => {
  const held = trusted(model)
  if (held === undefined) return must(model, false, "L4: a key set that is not trusted")
  const materials = set.all.map(({ material }) => "x" in material ? material.x : "")
  must(model, JSON.stringify(materials) === JSON.stringify(held.keys.map(materialOf)), "L5: not the keys that are held")
}

/** Checks the result of a call. */
export const ended = (model: Model, trusts: Trusts, asked: Asked, exit: Exit.Exit<unknown, unknown>): void => {
  asked.hasEnded = true
  if (Exit.isSuccess(exit)) {
    // oxlint-disable-next-line no-unsafe-type-assertion -- the call determines the type of its result
    if (asked.kind === "find") isFound(model, trusts, asked, exit.value as ReadonlyArray<Candidate>)
    // oxlint-disable-next-line no-unsafe-type-assertion -- the same
    if (asked.kind === "keySet") isSet(model, exit.value as KeySet)
    return
  }
  if (asked.isInterrupted && Cause.hasInterruptsOnly(exit.cause)) return
  const error = Cause.squash(exit.cause)
  if (asked.kind === "refresh") {
    const isClosed = error instanceof Error && error.name === "SingleFlightClosed"
    must(model, Cause.hasFails(exit.cause), `L8: a refresh ended with ${Cause.pretty(exit.cause)}`)
    must(model, isClosed === model.isClosed, `L8: a refresh failed with ${String(error)}`)
  } else if (error instanceof JwksUnavailable) isUnavailable(model, asked)
  else if (error instanceof JwksKeyNotFound) isNotFound(model, asked, error)
  else must(model, false, `a lookup ended with ${Cause.pretty(exit.cause)}`)
}

/** No call waits longer than for the running fetch and one more, and again for each invalidation. */
export const isTooLate = (model: Model, { at, before, hasEnded }: Asked): boolean =>
  !hasEnded &&
  passed(at, model.now()) > 17_000 + 9000 * (model.epoch - before.epoch + model.stillborn - before.stillborn)

/** Trust holds exactly while its keys are cached and trusted. */
export const holdsAgree = (model: Model, trusts: Trusts, clock: Clock.Clock): void => {
  for (const [trust, known] of trusts) {
    const isHeld = model.held?.trust === known
    const expected = isHeld && trusted(model) !== undefined
    must(
      model,
      trust.holds(clock) === expected,
      `L5: trust ${expected ? "does not hold" : "holds"} (generation ${trust.generation})`
    )
    const deadline = isHeld ? model.held?.staleUntil.monotonic : 0n
    must(
      model,
      trust.staleDeadline() === deadline,
      `L6: stale deadline ${trust.staleDeadline()} instead of ${deadline}`
    )
  }
}
