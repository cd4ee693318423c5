import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { JwksKeyNotFound } from "../../JwksError.ts"
import type { Candidate, JoseHeader } from "../keys/candidate.ts"
import { identityOf } from "../keys/keyIdentity.ts"
import { maxCandidates } from "../keys/keySelection.ts"
import type { FindError, Lookup } from "./lookup.ts"

type Candidates = Effect.Effect<ReadonlyArray<Candidate>, FindError>

/** Each key once, as replicas of one issuer publish the same; of equals the first. */
const distinct = (found: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> => {
  const keys = new Map<unknown, Candidate>()
  for (const candidate of found) {
    const id = identityOf(candidate.key)
    if (!keys.has(id)) keys.set(id, candidate)
  }
  return [...keys.values()]
}

const atMost = (all: ReadonlyArray<Candidate>): Candidates => {
  const found = distinct(all)
  return found.length > maxCandidates
    ? Effect.fail(new JwksKeyNotFound({ reason: "ambiguous" }))
    : Effect.succeed(found)
}

/** What the endpoints of one issuer answered: a key of any of them will do, and none only where all of them know. */
const merge = (results: ReadonlyArray<Result.Result<ReadonlyArray<Candidate>, FindError>>): Candidates => {
  const found = results.flatMap((result) => Result.isSuccess(result) ? result.success : [])
  const failures = results.flatMap((result) => Result.isFailure(result) ? [result.failure] : [])
  const ambiguous = failures.find((error) => error._tag === "JwksKeyNotFound" && error.reason === "ambiguous")
  // Too many at one endpoint are too many in all: its keys would be left out.
  if (ambiguous !== undefined) return Effect.fail(ambiguous)
  if (found.length > 0) return atMost(found)
  const down = failures.find((error) => error._tag === "JwksUnavailable")
  const known = failures.find((error) => error._tag === "JwksKeyNotFound" && error.reason !== "unknown")
  return Effect.fail(down ?? known ?? new JwksKeyNotFound({ reason: "unknown" }))
}

/**
 * The candidates of several endpoints of one issuer, in their order. What memory has is enough for a key that is named;
 * without a name every endpoint is asked.
 */
export const findAmong = (
  endpoints: ReadonlyArray<Lookup>,
  header: JoseHeader,
  clock: Clock.Clock
): Candidates => {
  const hits = endpoints.map((endpoint) => endpoint.hit(header, clock))
  const found = hits.flatMap((hit) => hit?._tag === "Success" ? hit.value : [])
  if (found.length > 0 && (header.kid !== undefined || hits.every((hit) => hit !== undefined))) return atMost(found)
  return Effect.flatMap(
    Effect.forEach(endpoints, (endpoint, index) => Effect.result(hits[index] ?? endpoint.miss(header)), {
      concurrency: "unbounded"
    }),
    merge
  )
}
