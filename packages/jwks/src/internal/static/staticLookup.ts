import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Effect from "effect/Effect"
import { algorithms } from "../../Algorithm.ts"
import type { Material } from "../../Jwk.ts"
import { JwksKeyNotFound, type NotFoundReason } from "../../JwksError.ts"
import type { Candidate, JoseHeader, KeyTrust } from "../../unstable/KeySourceTag.ts"
import { select, type Selectable, type Selection } from "../keys/keySelection.ts"
import type { PublicKey } from "./publicKey.ts"

/** An imported key. Its type and curve are read from the `CryptoKey`, so that they always match the key. */
export interface StaticKey extends Selectable {
  readonly alg: string
  readonly key: CryptoKey
  /** The public members of the key; `undefined` for a secret. */
  readonly jwk: Material | undefined
  readonly issuer: string | undefined
}

type Answer = Effect.Effect<ReadonlyArray<Candidate>, JwksKeyNotFound>

/** Static keys are never replaced and never become stale. */
const trust: KeyTrust = Object.freeze({ generation: 0, holds: () => true, staleDeadline: () => undefined })

const types: Readonly<Record<string, string>> = { ECDSA: "EC", Ed25519: "OKP", HMAC: "oct" }

/** Describes an imported key with its type and curve. */
export const describeKey = (
  alg: string,
  { jwk, key }: PublicKey | { readonly key: CryptoKey; readonly jwk?: undefined },
  kid?: string,
  issuer?: string,
  use = "sig"
): StaticKey => {
  const { algorithm } = key
  const kty = algorithm.name.startsWith("RSA") ? "RSA" : types[algorithm.name] ?? ""
  const curve = "namedCurve" in algorithm ? String(algorithm.namedCurve) : undefined
  return { kid, kty, crv: kty === "OKP" ? algorithm.name : curve, alg, use, key, jwk, issuer }
}

const notFound = (reason: NotFoundReason): Answer =>
  Effect.fail(SharedError.make(() => new JwksKeyNotFound({ reason })))

type Kind = Pick<JoseHeader, "alg" | "use">

const selectFrom = (all: ReadonlyArray<StaticKey>, { alg, use }: Kind) =>
  select({ all, byKid: new Map() }, { alg, use })

/** Selects the keys that a token names, and then those without id, unless these would be too many to try. */
const selectNamed = (
  named: ReadonlyArray<StaticKey>,
  unnamed: ReadonlyArray<StaticKey>,
  kind: Kind
): Selection<StaticKey> => {
  const selection = selectFrom([...named, ...unnamed], kind)
  if (selection._tag === "Found") return selection
  const exact = selectFrom(named, kind)
  if (exact._tag === "Found") return exact
  return selection.reason === "ambiguous" ? selection : { _tag: "NotFound", reason: "mismatched" }
}

/**
 * Precomputes the answer for every header, so that a lookup reads two maps. Failures are shared too, so that a flood
 * of hostile tokens creates no errors with stacks.
 *
 * The `kid` of a token is a hint (RFC 7515, 4.1.4): a key without id is a candidate for every `kid`.
 */
export const staticLookup = (keys: ReadonlyArray<StaticKey>): (header: JoseHeader) => Answer => {
  const lookup = lookupOf(keys, undefined)
  const lookupSvid = keys.some(({ use }) => use === "jwt-svid") ? lookupOf(keys, "jwt-svid") : lookup
  return (header) => header.use === undefined ? lookup(header) : lookupSvid(header)
}

const lookupOf = (keys: ReadonlyArray<StaticKey>, use: JoseHeader["use"]): (header: JoseHeader) => Answer => {
  const failures = {
    unknown: notFound("unknown"),
    mismatched: notFound("mismatched"),
    ambiguous: notFound("ambiguous")
  }
  const answerOf = (selection: Selection<StaticKey>, alg: string): Answer =>
    selection._tag === "NotFound"
      ? failures[selection.reason]
      : Effect.succeed(Object.freeze(
        selection.keys.map(({ issuer, jwk, key, kid }): Candidate =>
          Object.freeze({ kid, alg, key, jwk, issuer, trust })
        )
      ))
  const answersOf = (select: (kind: Kind) => Selection<StaticKey>): ReadonlyMap<string, Answer> =>
    new Map(algorithms.map((alg) => [alg, answerOf(select({ alg, use }), alg)]))

  const unnamed = keys.filter(({ kid }) => kid === undefined)
  const namedAnswers = (id: string) => {
    const named = keys.filter(({ kid }) => kid === id)
    return answersOf((kind) => selectNamed(named, unnamed, kind))
  }
  const withoutKid = answersOf((kind) => selectFrom(keys, kind))
  const withOtherKid = answersOf((kind) => selectFrom(unnamed, kind))
  const named = new Map(keys.flatMap(({ kid }) => kid === undefined ? [] : [[kid, namedAnswers(kid)] as const]))
  return ({ alg, kid }) => {
    if (kid === undefined) return withoutKid.get(alg) ?? failures.unknown
    const answers = named.get(kid)
    return answers === undefined
      ? withOtherKid.get(alg) ?? failures.unknown
      : answers.get(alg) ?? failures.mismatched
  }
}
