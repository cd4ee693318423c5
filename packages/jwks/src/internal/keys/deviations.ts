import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Effect from "effect/Effect"
import type { Deviation } from "./keyMembers.ts"

const descriptions: Record<Deviation, string> = {
  padding: "a member has base64 padding",
  alphabet: "a member is standard base64, not base64url",
  whitespace: "a member contains white space",
  unusedBits: "a member has unused bits set",
  length: "a number has leading zeros, or a coordinate is too short",
  null: "a member is null, which counts as left out"
}

/** The metric labels of the publisher of the keys. */
export interface Publisher {
  readonly tenant: string
  readonly provider: string
}

/** Counts a deviation that was accepted, and logs it unless `isKnown`. `place` says which keys deviate. */
export const noteDeviation = (
  deviation: Deviation,
  publisher: Publisher,
  place: string,
  isKnown: boolean
): Effect.Effect<void> => {
  const count = MetricSeries.increment("jwksDeviations", { ...publisher, kind: deviation })
  return isKnown
    ? count
    : Effect.andThen(
      Effect.logInfo(`${place} deviates from RFC 7518 and was accepted: ${descriptions[deviation]}`),
      count
    )
}
