/** Parses key sets. */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Jwk from "../../Jwk.ts"
import type { ImportKey } from "./importKey.ts"

/** Upper bound of the keys in a set: each key of a hostile set costs time and memory. */
export const maxKeys = 100

/** A skipped key: its index in `keys`, and the reason. */
export interface Skipped {
  readonly index: number
  readonly reason: Jwk.SkipReason
}

/** A key of a set, imported for its default algorithm when the set was parsed. */
export interface ImportedKey extends Jwk.Jwk {
  readonly id: string
  /**
   * The imported WebCrypto keys by algorithm. `undefined` if the platform failed to import the key for the algorithm.
   */
  readonly imported: Map<string, CryptoKey | undefined>
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
}

/** The parsed document, before its keys are imported. */
interface Document {
  readonly keys: ReadonlyArray<{ readonly index: number; readonly jwk: Jwk.Jwk }>
  readonly skipped: ReadonlyArray<Skipped>
}

const invalid = (message: string, skipped: ReadonlyArray<Skipped> = []) =>
  new KeelsonError.NetworkError({
    code: "JWKS_INVALID",
    message,
    details: skipped.length === 0 ? {} : { skipped: countReasons(skipped) }
  })

const countReasons = (skipped: ReadonlyArray<Skipped>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { reason } of skipped) counts[reason] = (counts[reason] ?? 0) + 1
  return counts
}

const members = (text: string): Result.Result<ReadonlyArray<unknown>, KeelsonError.NetworkError> =>
  Result.try({ try: (): unknown => JSON.parse(text), catch: () => invalid("The key set is not JSON") }).pipe(
    Result.flatMap((json) =>
      Predicate.isObject(json) && Array.isArray(json["keys"])
        ? Result.succeed(json["keys"])
        : Result.fail(invalid("The key set has no member `keys` with a list"))
    )
  )

/** Reads the usable keys of a document, at most a hundred. The first of several duplicates is kept. */
const read = (entries: ReadonlyArray<unknown>): Document => {
  const keys: Array<Document["keys"][number]> = []
  const skipped: Array<Skipped> = []
  const seen = new Set<string>()
  const skip = (index: number, reason: Jwk.SkipReason): void => {
    if (skipped.length < maxKeys) skipped.push({ index, reason })
  }
  for (const [index, entry] of entries.entries()) {
    const parsed = keys.length >= maxKeys ? Result.fail("limit" as const) : Jwk.parse(entry)
    if (Result.isFailure(parsed)) {
      skip(index, parsed.failure)
      continue
    }
    const id = Jwk.duplicateId(parsed.success)
    if (seen.has(id)) skip(index, "duplicate")
    else keys.push({ index, jwk: parsed.success })
    seen.add(id)
  }
  return { keys, skipped }
}

const imported = (
  jwk: Jwk.Jwk,
  previous: KeySet | undefined,
  importKey: ImportKey
): Effect.Effect<ImportedKey, unknown> => {
  const id = Jwk.entryId(jwk)
  const known = previous?.all.find((key) => key.id === id)
  if (known !== undefined) return Effect.succeed(known)
  const alg = Jwk.defaultAlgorithm(jwk)
  return Effect.map(
    importKey(jwk, alg),
    (key) => ({ ...jwk, id, imported: new Map<string, CryptoKey | undefined>([[alg, key]]) })
  )
}

const isSame = (all: ReadonlyArray<ImportedKey>, previous: KeySet): boolean =>
  all.length === previous.all.length && all.every((key, index) => key === previous.all[index])

/** Uses a `Map`, since a `kid` can be any string, for example `__proto__`. */
const byKid = (all: ReadonlyArray<ImportedKey>): ReadonlyMap<string, ReadonlyArray<ImportedKey>> => {
  const index = new Map<string, Array<ImportedKey>>()
  for (const key of all) {
    if (key.kid === undefined) continue
    const named = index.get(key.kid)
    if (named === undefined) index.set(key.kid, [key])
    else named.push(key)
  }
  return index
}

/**
 * Parses a document (JSON text) and imports its keys. Keys that `previous` also contains are reused. If all keys are
 * the same, returns the `previous` set itself, with its generation.
 *
 * Fails with `NetworkError` (`JWKS_INVALID`) if the document is not a key set or has no usable key.
 */
export const parse = Effect.fnUntraced(function*(
  text: string,
  options: {
    readonly importKey: ImportKey
    readonly generation: number
    readonly previous?: KeySet | undefined
  }
): Effect.fn.Return<Parsed, KeelsonError.NetworkError> {
  const { keys, skipped } = read(yield* Effect.fromResult(members(text)))
  const refused: Array<Skipped> = [...skipped]
  const all: Array<ImportedKey> = []
  const results = yield* Effect.forEach(
    keys,
    ({ jwk }) => Effect.option(imported(jwk, options.previous, options.importKey)),
    { concurrency: 8 }
  )
  for (const [position, { index }] of keys.entries()) {
    const key = results[position]
    if (key?._tag === "Some") all.push(key.value)
    else refused.push({ index, reason: "unusable" })
  }
  const document = { skipped: refused.toSorted((a, b) => a.index - b.index).slice(0, maxKeys) }
  if (all.length === 0) return yield* Effect.fail(invalid("The key set has no usable key", document.skipped))
  const { previous } = options
  return previous !== undefined && isSame(all, previous)
    ? { ...document, keySet: previous }
    : { ...document, keySet: { generation: options.generation, all, byKid: byKid(all) } }
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
