/**
 * Checks the proof of a request with a bound token.
 *
 * @see RFC 9449, 4.3 and 7.1
 */
import type * as Jwk from "@keelson/jwks/Jwk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { importJWK } from "jose/key/import"
import { LRUCache } from "lru-cache"
import type { ProofReplays } from "../../ProofReplays.ts"
import type * as TokenError from "../../TokenError.ts"
import type { Segments } from "../validation/compactJws.ts"
import { andThen, type Digest } from "../validation/digest.ts"
import { encodeText } from "../validation/platform.ts"
import type { VerifySignature } from "../validation/signature.ts"
import { type JsonObject, own } from "../validation/strictJson.ts"
import type { Nonces } from "./nonces.ts"
import {
  checkProofAlgorithm,
  checkProofMethod,
  checkProofTimes,
  checkProofToken,
  checkProofType,
  checkProofUrl,
  decodeProofId,
  decodeProofKey,
  parseProofClaims,
  parseProofHeader,
  proofEnd,
  type ProofHeader,
  type ProofRules,
  splitProof
} from "./proof.ts"
import { thumbprintOf } from "./proofKey.ts"
import {
  otherKey,
  proofMissing,
  proofNonceRequired,
  proofRejected,
  proofReplayed,
  replaysUnavailable
} from "./reasons.ts"

type Reason = TokenError.Reason

/** A request with a token that is bound to a key. */
export interface ProofRequest {
  readonly method: string
  /** The URL, or its path and query. */
  readonly target: string
  /** The value of the header `DPoP`. */
  readonly proof: string | undefined
  /** Whether there is more than one such header. */
  readonly isRepeated: boolean
  /** The text of the token. */
  readonly token: string
  /** The thumbprint of the key that the token is bound to. */
  readonly jkt: string
  /** Called with a nonce that the client needs for its next proof. */
  readonly setNonce: (nonce: string) => void
}

/** The key of a proof that was verified before, by the text of the proof's header. */
interface KnownKey {
  readonly alg: string
  readonly jwk: Jwk.Material
  readonly thumbprint: string
  readonly key: CryptoKey
}

/** Upper bound of the keys that are kept, and of the characters of the headers that they are kept by. */
const maxKeys = 1000
const maxHeaderLength = 2048

/** A proof that passed all checks that need no key. */
interface ParsedProof {
  readonly segments: Segments
  readonly signature: Uint8Array<ArrayBuffer>
  readonly header: ProofHeader | KnownKey
  readonly claims: JsonObject
  readonly jti: string
  readonly end: number
}

/** What a checker consists of. */
export interface CheckerConfig {
  readonly rules: ProofRules
  readonly replays: ProofReplays["Service"]
  readonly nonces: Nonces | undefined
  readonly verifySignature: VerifySignature
  readonly digest: Digest
}

const passed = Effect.succeed<Reason | undefined>(undefined)
const replayed = Effect.succeed<Reason | undefined>(proofReplayed)
const unavailable = Effect.succeed<Reason | undefined>(replaysUnavailable)

const outcomes = { onFailure: () => unavailable, onSuccess: (isNew: boolean) => isNew ? passed : replayed }

/** Checks proofs. A client signs all of its proofs with one key, whose header is parsed and imported once. */
export class ProofChecker {
  readonly #config: CheckerConfig
  /** Made at the first use: an LRU cache allocates for all of its entries at once. */
  #keys: LRUCache<string, KnownKey> | undefined

  constructor(config: CheckerConfig) {
    this.#config = config
  }

  /** Returns the reason to reject a request; `undefined` for one with a good proof, which is recorded as used. */
  check(request: ProofRequest): Effect.Effect<Reason | undefined> {
    return Effect.withFiber((fiber) => {
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const parsed = this.#parse(request, now)
      return Result.isFailure(parsed) ? Effect.succeed(parsed.failure) : this.#checkKey(request, parsed.success, now)
    })
  }

  #parse(request: ProofRequest, now: number): Result.Result<ParsedProof, Reason> {
    const { isRepeated, method, proof = "", target } = request
    const { rules } = this.#config
    // Servers join repeated headers with commas, which no proof has.
    if (isRepeated || proof.includes(",")) return Result.fail(proofRejected("header"))
    if (proof === "") return Result.fail(proofMissing)
    const split = splitProof(proof)
    if (Result.isFailure(split)) return Result.fail(split.failure)
    const { segments, signature } = split.success
    const known = this.#keys?.get(segments.header)
    const header = known === undefined ? parseHeader(segments, rules) : Result.succeed(known)
    if (Result.isFailure(header)) return Result.fail(header.failure)
    const parsed = parseProofClaims(segments)
    if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
    const claims = parsed.success
    const jti = decodeProofId(claims)
    if (Result.isFailure(jti)) return Result.fail(jti.failure)
    const reason = checkProofMethod(claims, method) ?? checkProofUrl(claims, target, rules) ??
      checkProofTimes(claims, rules, now)
    if (reason !== undefined) return Result.fail(reason)
    const end = (proofEnd(claims, rules) ?? 0) + rules.tolerance
    return Result.succeed({ segments, signature, header: header.success, claims, jti: jti.success, end })
  }

  /** The checks that a stolen token fails, before the signature, which costs the most. */
  #checkKey(request: ProofRequest, proof: ParsedProof, now: number): Effect.Effect<Reason | undefined> {
    const { digest, nonces } = this.#config
    const { claims, header } = proof
    return andThen(digest(request.token), (tokenHash) => {
      const reason = checkProofToken(claims, tokenHash)
      if (reason !== undefined) return Effect.succeed(reason)
      return andThen("thumbprint" in header ? header.thumbprint : thumbprintOf(header.jwk, digest), (thumbprint) => {
        if (thumbprint !== request.jkt) return Effect.succeed(otherKey)
        return nonces === undefined
          ? this.#checkSignature(proof, thumbprint)
          : andThen(nonces.at(now), ({ accepts, current }) => {
            const nonce = own(claims, "nonce")
            if (nonce !== current) request.setNonce(current)
            return accepts(nonce) ? this.#checkSignature(proof, thumbprint) : Effect.succeed(proofNonceRequired)
          })
      })
    })
  }

  #checkSignature(proof: ParsedProof, thumbprint: string): Effect.Effect<Reason | undefined> {
    const { header, segments, signature } = proof
    const { alg, jwk } = header
    return andThen("key" in header ? header.key : importKey(header), (key) => {
      if (key === undefined) return Effect.succeed(proofRejected("jwk"))
      const isValid = this.#config.verifySignature(alg, key, signature, encodeText(segments.signed), jwk)
      return andThen(isValid, (isValid) => {
        if (!isValid) return Effect.succeed(proofRejected("signature"))
        if (!("key" in header) && segments.header.length <= maxHeaderLength) {
          this.#keys ??= new LRUCache({ max: maxKeys })
          this.#keys.set(segments.header, { alg, jwk, thumbprint, key })
        }
        return this.#record(proof, thumbprint)
      })
    })
  }

  /** Records the proof, now that it and the token were verified. */
  #record({ end, jti }: ParsedProof, thumbprint: string): Effect.Effect<Reason | undefined> {
    return Effect.matchEffect(this.#config.replays.add({ jkt: thumbprint, jti, end }), outcomes)
  }
}

const parseHeader = (segments: Segments, rules: ProofRules): Result.Result<ProofHeader, Reason> =>
  Result.flatMap(parseProofHeader(segments), (members) => {
    const reason = checkProofType(members) ?? checkProofAlgorithm(members, rules)
    return reason === undefined ? decodeProofKey(members) : Result.fail(reason)
  })

/** A key of WebCrypto; `undefined` where the platform rejects it, as for a point that is not on the curve. */
export const importKey = async ({ alg, jwk }: ProofHeader): Promise<CryptoKey | undefined> => {
  try {
    const key = await importJWK({ ...jwk }, alg, { extractable: false })
    return "type" in key ? key : undefined
  } catch {
    return undefined
  }
}
