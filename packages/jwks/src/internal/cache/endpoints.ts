import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { JwksKeyNotFound } from "../../JwksError.ts"
import type { Candidate, JoseHeader } from "../../KeySource.ts"
import { distinct } from "../keys/candidates.ts"
import { maxCandidates } from "../keys/keySelection.ts"
import type { FindError, KeyLookup } from "./keyLookup.ts"

type Candidates = Effect.Effect<ReadonlyArray<Candidate>, FindError>

const limited = (all: ReadonlyArray<Candidate>): Candidates => {
  const candidates = distinct(all)
  return candidates.length > maxCandidates
    ? Effect.fail(new JwksKeyNotFound({ reason: "ambiguous" }))
    : Effect.succeed(candidates)
}

/** Merges the results of all endpoints of one issuer: a key of any of them counts; a key is unknown only if all of them have keys. */
const merge = (results: ReadonlyArray<Result.Result<ReadonlyArray<Candidate>, FindError>>): Candidates => {
  const found = results.flatMap((result) => Result.isSuccess(result) ? result.success : [])
  const failures = results.flatMap((result) => Result.isFailure(result) ? [result.failure] : [])
  const ambiguous = failures.find((error) => error._tag === "JwksKeyNotFound" && error.reason === "ambiguous")
  // With too many candidates at one endpoint its keys would be left out.
  if (ambiguous !== undefined) return Effect.fail(ambiguous)
  if (found.length > 0) return limited(found)
  const down = failures.find((error) => error._tag === "JwksUnavailable")
  const known = failures.find((error) => error._tag === "JwksKeyNotFound" && error.reason !== "unknown")
  return Effect.fail(down ?? known ?? new JwksKeyNotFound({ reason: "unknown" }))
}

/**
 * The candidates of several endpoints of one issuer, in their order. For a token with a `kid`, candidates from memory are
 * enough; for one without, every endpoint is looked up.
 */
export const findAmong = (
  endpoints: ReadonlyArray<KeyLookup>,
  header: JoseHeader,
  clock: Clock.Clock
): Candidates => {
  const hits = endpoints.map((endpoint) => endpoint.hit(header, clock))
  const found = hits.flatMap((hit) => hit?._tag === "Success" ? hit.value : [])
  if (found.length > 0 && (header.kid !== undefined || hits.every((hit) => hit !== undefined))) return limited(found)
  return Effect.flatMap(
    Effect.forEach(endpoints, (endpoint, index) => Effect.result(hits[index] ?? endpoint.miss(header)), {
      concurrency: "unbounded"
    }),
    merge
  )
}
