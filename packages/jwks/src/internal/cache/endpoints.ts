import * as SharedError from "@keelson/core/unstable/SharedError"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { JwksKeyNotFound } from "../../JwksError.ts"
import type { Candidate, JoseHeader } from "../../unstable/KeySourceTag.ts"
import { distinct } from "../keys/candidates.ts"
import { maxCandidates } from "../keys/keySelection.ts"
import type { FindError, KeyLookup } from "./keyLookup.ts"

type Candidates = Effect.Effect<ReadonlyArray<Candidate>, FindError>

const unknownKey = SharedError.make(() => new JwksKeyNotFound({ reason: "unknown" }))

const limited = (all: ReadonlyArray<Candidate>): Candidates => {
  const candidates = distinct(all)
  return candidates.length > maxCandidates
    ? Effect.fail(new JwksKeyNotFound({ reason: "ambiguous" }))
    : Effect.succeed(candidates)
}

/**
 * Merges the results of all endpoints of one issuer. A key of any endpoint is a candidate. A key counts as unknown only if the
 * keys of all endpoints are available.
 */
const merge = (results: ReadonlyArray<Result.Result<ReadonlyArray<Candidate>, FindError>>): Candidates => {
  const candidates = results.flatMap((result) => Result.isSuccess(result) ? result.success : [])
  const failures = results.flatMap((result) => Result.isFailure(result) ? [result.failure] : [])
  const ambiguous = failures.find((error) => error._tag === "JwksKeyNotFound" && error.reason === "ambiguous")
  // An endpoint with too many candidates returns none, so the merged list would be incomplete.
  if (ambiguous !== undefined) return Effect.fail(ambiguous)
  if (candidates.length > 0) return limited(candidates)
  const down = failures.find((error) => error._tag === "JwksUnavailable")
  const known = failures.find((error) => error._tag === "JwksKeyNotFound" && error.reason !== "unknown")
  return Effect.fail(down ?? known ?? unknownKey)
}

/**
 * Finds the candidates of several endpoints of one issuer, in the order of the endpoints. For a token with a `kid`,
 * candidates from memory are enough; for one without, every endpoint is looked up.
 */
export const findAmong = (
  endpoints: ReadonlyArray<KeyLookup>,
  header: JoseHeader,
  clock: Clock.Clock
): Candidates => {
  const hits = endpoints.map((endpoint) => endpoint.hit(header, clock))
  const cached = hits.flatMap((hit) => hit?._tag === "Success" ? hit.value : [])
  if (cached.length > 0 && (header.kid !== undefined || hits.every((hit) => hit !== undefined))) return limited(cached)
  return Effect.flatMap(
    Effect.forEach(endpoints, (endpoint, index) => Effect.result(hits[index] ?? endpoint.miss(header)), {
      concurrency: "unbounded"
    }),
    merge
  )
}
