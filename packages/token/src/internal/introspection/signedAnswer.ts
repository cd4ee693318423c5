/**
 * Signed answers: a JWT whose claim `token_introspection` has the members of the answer.
 *
 * @see RFC 9701, 5
 */
import type * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"
import { stringsOf } from "../validation/claims.ts"
import {
  decodeSignature,
  type ParseHeader,
  type Segments,
  splitToken,
  type TokenHeader
} from "../validation/compactJws.ts"
import { decodeCanonical } from "../validation/platform.ts"
import { findVerifyingKey, type VerifySignature } from "../validation/signature.ts"
import { type Json, type JsonLimits, type JsonObject, own, parseObject } from "../validation/strictJson.ts"
import { findKeys } from "../validation/verification.ts"
import { type Answer, answerOf, answerProblem } from "./answer.ts"
import { IntrospectionFailed, unusable } from "./failure.ts"

/** What signed answers are verified with. */
export interface AnswerVerifier {
  readonly keys: KeySource.KeySource["Service"]
  readonly verifySignature: VerifySignature
  readonly parseHeader: ParseHeader
  readonly algorithms: ReadonlySet<string>
  /** Who signs the answers, and under which name the key source has the keys. */
  readonly issuer: string
  readonly keysOf: string
  /** The client that asks, which is the audience. */
  readonly clientId: string
  readonly limits: JsonLimits
  /** In milliseconds. */
  readonly tolerance: number
  /** How long ago an answer may have been signed, in milliseconds: as long as it may be cached. */
  readonly maxAge: number
}

/** An answer, with the trust in the key that signed it. */
export interface SignedAnswer {
  readonly answer: Answer
  readonly trust: KeySource.KeyTrust
}

interface ParsedAnswer {
  readonly segments: Segments
  readonly header: TokenHeader
  readonly signature: Uint8Array<ArrayBuffer>
  readonly payload: Json
}

const mediaType = "token-introspection+jwt"

const failed = (detail: TokenError.AnswerProblem): Result.Result<never, IntrospectionFailed> =>
  Result.fail(unusable("signature", detail))

/** The members of the answer are one level deeper than in a plain answer, beside the claims of the JWT. */
const wider = ({ maxDepth, maxMembers }: JsonLimits): JsonLimits => ({
  maxDepth: maxDepth + 1,
  maxMembers: maxMembers + 16
})

/** Everything that needs no key. */
const parse = (
  body: Uint8Array,
  { algorithms, limits, parseHeader }: AnswerVerifier
): Result.Result<ParsedAnswer, IntrospectionFailed> => {
  const segments = splitToken(new TextDecoder().decode(body), Number.POSITIVE_INFINITY)
  if (Result.isFailure(segments)) return failed("form")
  const header = parseHeader(segments.success.header)
  if (Result.isFailure(header)) return failed("header")
  if (!algorithms.has(header.success.alg)) return failed("algorithm")
  if (header.success.typ !== mediaType) return failed("type")
  const signature = decodeSignature(segments.success)
  const bytes = decodeCanonical(segments.success.payload)
  if (Result.isFailure(signature) || bytes === undefined) return failed("encoding")
  return Result.mapBoth(parseObject(bytes, wider(limits)), {
    onFailure: (problem) => unusable("signature", answerProblem(problem)),
    onSuccess: (payload) => ({
      segments: segments.success,
      header: header.success,
      signature: signature.success,
      payload
    })
  })
}

const isTime = (value: unknown): value is number => typeof value === "number"

/** `iss`, `aud` and `iat` are required. An old answer may come from a cache: the token may have been revoked since. */
const checkClaims = (
  members: JsonObject,
  { clientId, issuer, maxAge, tolerance }: AnswerVerifier,
  now: number
): TokenError.AnswerProblem | undefined => {
  if (own(members, "iss") !== issuer) return "issuer"
  if (stringsOf(own(members, "aud"))?.includes(clientId) !== true) return "audience"
  const iat = own(members, "iat")
  if (!isTime(iat) || iat * 1000 > now + tolerance || iat * 1000 <= now - maxAge - tolerance) return "issuedAt"
  const exp = own(members, "exp")
  if (exp !== undefined && (!isTime(exp) || exp * 1000 <= now - tolerance)) return "expiry"
  const nbf = own(members, "nbf")
  return nbf !== undefined && (!isTime(nbf) || nbf * 1000 > now + tolerance) ? "issuedAt" : undefined
}

const keysFailed = (reason: TokenError.Reason): IntrospectionFailed =>
  reason._tag === "KeysUnavailable"
    ? new IntrospectionFailed({
      code: "JWKS_UNAVAILABLE",
      problem: "keys",
      evidence: "ignored",
      isRetryable: false,
      retryAfter: reason.retryAfter
    })
    : unusable("signature", "key")

/** Verifies a signed answer. Fails with the first check that it does not pass. */
export const verifyAnswer = Effect.fnUntraced(function*(
  body: Uint8Array,
  verifier: AnswerVerifier,
  clock: Clock.Clock
): Effect.fn.Return<SignedAnswer, IntrospectionFailed> {
  const parsed = yield* Effect.fromResult(parse(body, verifier))
  const { header, payload: { bytes, object } } = parsed
  const { issuer: iss, keysOf } = verifier
  // Before any key is looked up: an answer of another issuer selects no keys.
  const problem = checkClaims(object, verifier, clock.currentTimeMillisUnsafe())
  if (problem !== undefined) return yield* unusable("signature", problem)
  const names = { header, issuer: { keysOf }, members: object, registered: { iss } }
  const candidates = yield* Effect.mapError(findKeys(verifier, names), keysFailed)
  const index = yield* Effect.promise(async () => await findVerifyingKey(verifier.verifySignature, parsed, candidates))
  const key = candidates[index]
  if (key === undefined) return yield* unusable("signature", "invalid")
  const members = own(object, "token_introspection")
  if (!Predicate.isObject(members)) return yield* unusable("signature", "claim")
  const answer = yield* Effect.fromResult(
    Result.mapError(answerOf({ ...members }, bytes), (detail) => unusable("signature", detail))
  )
  return { answer, trust: key.trust }
})
