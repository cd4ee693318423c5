/** Parses key sets. */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Jwk from "../../Jwk.ts"
import { ImportedKey } from "./importedKey.ts"
import type { ImportKey } from "./importKey.ts"
import { hasMoreValues, maxValues } from "./jsonSize.ts"
import { defaultAlgorithm, duplicateId, entryId } from "./keyIds.ts"
import { KeyIndex } from "./keyIndex.ts"
import type { Deviation } from "./keyMembers.ts"
import { parseKey } from "./parseKey.ts"

export type { ImportedKey } from "./importedKey.ts"

/** Upper bound of the keys in a set: each key of a hostile set costs time and memory. */
export const maxKeys = 100

/** Upper bound of the entries of a document, usable or not. A longer one is refused before its entries are read. */
const maxEntries = 1000

/** A skipped key: its index in `keys`, and the reason. */
export interface Skipped {
  readonly index: number
  readonly reason: Jwk.SkipReason
}

/** The keys in document order, and indexed by `kid`. */
export interface KeySet {
  /** Starts at 1 and increases with each set that replaces another. */
  readonly generation: number
  readonly all: ReadonlyArray<ImportedKey>
  readonly byKid: ReadonlyMap<string, ReadonlyArray<ImportedKey>>
}

/** A set, and the skipped keys of its document: at most a hundred. */
export interface Parsed {
  readonly keySet: KeySet
  readonly skipped: ReadonlyArray<Skipped>
  /** How the form of accepted keys deviates from the standard. */
  readonly deviations: ReadonlyArray<Deviation>
}

/** The parsed document, before its keys are imported. */
interface Document {
  readonly keys: ReadonlyArray<{ readonly index: number; readonly jwk: Jwk.Jwk }>
  readonly skipped: ReadonlyArray<Skipped>
  readonly deviations: ReadonlyArray<Deviation>
}

const invalid = (message: string) => new KeelsonError.NetworkError({ code: "JWKS_INVALID", message })

const countReasons = (skipped: ReadonlyArray<Skipped>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { reason } of skipped) counts[reason] = (counts[reason] ?? 0) + 1
  return counts
}

const unusableMessage = (skipped: ReadonlyArray<Skipped>): string => {
  const counts = Object.entries(countReasons(skipped)).map(([reason, count]) => `${reason}: ${count}`)
  return skipped.length === 0
    ? "The key set was fetched, but it contains no key"
    : `The key set was fetched, but all of its keys were skipped: ${skipped.length} (${counts.join(", ")})`
}

/** A document that is a key set, but has no usable key (`JWKS_INVALID`). */
export class UnusableKeySet extends KeelsonError.NetworkError {
  /** At most a hundred. */
  readonly skipped: ReadonlyArray<Skipped>

  constructor(skipped: ReadonlyArray<Skipped>) {
    super({
      code: "JWKS_INVALID",
      message: unusableMessage(skipped),
      details: skipped.length === 0 ? {} : { skipped: countReasons(skipped) }
    })
    this.skipped = skipped.slice(0, maxKeys)
  }
}

const entriesOf = (text: string): Result.Result<ReadonlyArray<unknown>, KeelsonError.NetworkError> => {
  if (hasMoreValues(text)) return Result.fail(invalid(`The key set has more than ${maxValues} values`))
  return Result.try({ try: (): unknown => JSON.parse(text), catch: () => invalid("The key set is not JSON") }).pipe(
    Result.flatMap((json) =>
      Predicate.isObject(json) && Array.isArray(json["keys"])
        ? Result.succeed(json["keys"])
        : Result.fail(invalid("The key set has no member `keys` with a list"))
    ),
    Result.filterOrFail(
      ({ length }) => length <= maxEntries,
      ({ length }) => invalid(`The key set has ${length} entries: at most ${maxEntries} are allowed`)
    )
  )
}

/** Reads the usable keys of a document, at most a hundred. The first of several duplicates is kept. */
const read = (entries: ReadonlyArray<unknown>): Document => {
  const keys: Array<Document["keys"][number]> = []
  const skipped: Array<Skipped> = []
  const seen = new Set<string>()
  const deviations = new Set<Deviation>()
  for (const [index, entry] of entries.entries()) {
    const parsed = keys.length >= maxKeys ? Result.fail("limit" as const) : parseKey(entry)
    if (Result.isFailure(parsed)) {
      skipped.push({ index, reason: parsed.failure })
      continue
    }
    const { jwk } = parsed.success
    const id = duplicateId(jwk)
    if (seen.has(id)) skipped.push({ index, reason: "duplicate" })
    else keys.push({ index, jwk })
    seen.add(id)
    for (const deviation of parsed.success.deviations) deviations.add(deviation)
  }
  return { keys, skipped, deviations: [...deviations] }
}

const imported = (
  jwk: Jwk.Jwk,
  previous: ReadonlyMap<string, ImportedKey>,
  importKey: ImportKey
): Effect.Effect<ImportedKey, unknown> => {
  const id = entryId(jwk)
  const known = previous.get(id)
  if (known !== undefined) return Effect.succeed(known)
  const alg = defaultAlgorithm(jwk)
  return Effect.map(importKey(jwk, alg), (cryptoKey) => {
    const key = new ImportedKey(jwk, id)
    ImportedKey.importsOf(key).set(alg, cryptoKey)
    return key
  })
}

const isSame = (all: ReadonlyArray<ImportedKey>, previous: KeySet): boolean =>
  all.length === previous.all.length && all.every((key, index) => key === previous.all[index])

/**
 * Parses a document (JSON text) and imports its keys. Keys that `previous` also contains are reused. If all keys are
 * the same, returns the `previous` set itself, with its generation. The set is frozen.
 *
 * Fails with `NetworkError` (`JWKS_INVALID`) if the document is not a key set, and with `UnusableKeySet` if it has no
 * usable key.
 */
export const parse = Effect.fnUntraced(function*(
  text: string,
  options: {
    readonly importKey: ImportKey
    readonly generation: number
    readonly previous?: KeySet | undefined
  }
): Effect.fn.Return<Parsed, KeelsonError.NetworkError> {
  const { deviations, keys, skipped } = read(yield* Effect.fromResult(entriesOf(text)))
  const { previous } = options
  const known = new Map(previous?.all.map((key) => [key.id, key]))
  const refused: Array<Skipped> = [...skipped]
  const all: Array<ImportedKey> = []
  const results = yield* Effect.forEach(
    keys,
    ({ jwk }) => Effect.option(imported(jwk, known, options.importKey)),
    { concurrency: 8 }
  )
  for (const [position, { index }] of keys.entries()) {
    const key = results[position]
    if (key?._tag === "Some") all.push(key.value)
    else refused.push({ index, reason: "unusable" })
  }
  refused.sort((a, b) => a.index - b.index)
  if (all.length === 0) return yield* Effect.fail(new UnusableKeySet(refused))
  const document = { skipped: refused.slice(0, maxKeys), deviations }
  return previous !== undefined && isSame(all, previous)
    ? { ...document, keySet: previous }
    : {
      ...document,
      keySet: Object.freeze({ generation: options.generation, all: Object.freeze(all), byKid: new KeyIndex(all) })
    }
})

/** A key to publish: its public key material, and its `kid`, `alg`, `use` and `issuer`. */
export type PublicJwk = Readonly<Record<string, string>>

/** Encodes a set as a JWK Set (RFC 7517, 5), without skipped keys and without any other member of its document. */
export const toJson = ({ all }: KeySet): { readonly keys: ReadonlyArray<PublicJwk> } => ({
  keys: all.map(({ alg, issuer, kid, material, use }) => ({
    ...material,
    ...(kid === undefined ? undefined : { kid }),
    ...(alg === undefined ? undefined : { alg }),
    ...(use === undefined ? undefined : { use }),
    ...(issuer === undefined ? undefined : { issuer })
  }))
})
