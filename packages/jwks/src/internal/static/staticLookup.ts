import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Effect from "effect/Effect"
import { algorithms } from "../../Algorithm.ts"
import { JwksKeyNotFound, type NotFoundReason } from "../../JwksError.ts"
import type { Candidate, JoseHeader, KeyTrust } from "../../KeySource.ts"
import { select, type Selectable } from "../keys/keySelection.ts"

/** An imported key. Its type and curve are read from the `CryptoKey`, so that they always match the key. */
export interface StaticKey extends Selectable {
  readonly alg: string
  readonly key: CryptoKey
  readonly issuer: string | undefined
}

type Answer = Effect.Effect<ReadonlyArray<Candidate>, JwksKeyNotFound>

/** Static keys are never replaced and never become stale. */
const trust: KeyTrust = Object.freeze({ generation: 0, holds: () => true, staleDeadline: () => undefined })

const types: Readonly<Record<string, string>> = { ECDSA: "EC", Ed25519: "OKP", HMAC: "oct" }

/** Describes an imported key with its type and curve. */
export const describeKey = (alg: string, key: CryptoKey, kid?: string, issuer?: string): StaticKey => {
  const { algorithm } = key
  const kty = algorithm.name.startsWith("RSA") ? "RSA" : types[algorithm.name] ?? ""
  const curve = "namedCurve" in algorithm ? String(algorithm.namedCurve) : undefined
  return { kid, kty, crv: kty === "OKP" ? algorithm.name : curve, alg, use: "sig", key, issuer }
}

const byKid = (keys: ReadonlyArray<StaticKey>): ReadonlyMap<string, ReadonlyArray<StaticKey>> => {
  const index = new Map<string, Array<StaticKey>>()
  for (const key of keys) if (key.kid !== undefined) index.set(key.kid, [...(index.get(key.kid) ?? []), key])
  return index
}

const notFound = (reason: NotFoundReason): Answer =>
  Effect.fail(SharedError.make(() => new JwksKeyNotFound({ reason })))

/**
 * Precomputes the answer for every header, so that a lookup reads two maps. Failures are shared too, so that a flood
 * of hostile tokens creates no errors with stacks.
 */
export const staticLookup = (keys: ReadonlyArray<StaticKey>): (header: JoseHeader) => Answer => {
  const failures = {
    unknown: notFound("unknown"),
    mismatched: notFound("mismatched"),
    ambiguous: notFound("ambiguous")
  }
  const index = byKid(keys)
  const answer = (alg: string, kid: string | undefined): Answer => {
    const selection = select({ all: keys, byKid: index }, { alg, kid })
    if (selection._tag === "NotFound") return failures[selection.reason]
    return Effect.succeed(Object.freeze(
      selection.keys.map(({ issuer, key, kid }): Candidate => Object.freeze({ kid, alg, key, issuer, trust }))
    ))
  }
  const answers = new Map(
    [undefined, ...index.keys()].map((kid) =>
      [kid, new Map<string, Answer>(algorithms.map((alg) => [alg, answer(alg, kid)]))] as const
    )
  )
  return ({ alg, kid }) => {
    const named = answers.get(kid)
    if (named === undefined) return failures.unknown
    return named.get(alg) ?? (kid === undefined ? failures.unknown : failures.mismatched)
  }
}
