/**
 * Reading the answers of introspection endpoints: JSON (RFC 7662, 2.2), as strictly as the payload of a token is read, since an
 * answer decides as much.
 */
import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"
import type { ReceivedResponse } from "../oauth/exchange.ts"
import { type JsonLimits, type JsonObject, own, parseObject } from "../validation/strictJson.ts"

/** What the server says about a token. */
export type Answer =
  | { readonly _tag: "Inactive" }
  | { readonly _tag: "Active"; readonly members: JsonObject; readonly size: number }

export const inactive: Answer = { _tag: "Inactive" }

/** The media type of a response, in lower case and without parameters. */
const mediaType = ({ headers }: ReceivedResponse): string =>
  (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase()

export const isJson = (response: ReceivedResponse): boolean => mediaType(response) === "application/json"

/** RFC 9701, 5. */
export const isSigned = (response: ReceivedResponse): boolean =>
  mediaType(response) === "application/token-introspection+jwt"

/** Some servers send absent members as `null`: they count as absent. */
const withoutNulls = (members: JsonObject): JsonObject =>
  Object.values(members).includes(null)
    ? Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null))
    : members

/** The answer in the members of an object. `size` is its estimated bytes in memory. */
export const answerOf = (members: JsonObject, size: number): Result.Result<Answer, TokenError.AnswerProblem> => {
  const active = own(members, "active")
  if (typeof active !== "boolean") return Result.fail("active")
  return Result.succeed(active ? { _tag: "Active", members: withoutNulls(members), size } : inactive)
}

/** Reads a JSON answer. */
export const parseAnswer = (
  body: Uint8Array,
  limits: JsonLimits
): Result.Result<Answer, TokenError.AnswerProblem> =>
  Result.flatMap(
    Result.mapError(parseObject(body, limits), (problem): TokenError.AnswerProblem => answerProblem(problem)),
    ({ bytes, object }) => answerOf(object, bytes)
  )

/** The problems of JSON among those of a token. */
const jsonProblems = ["encoding", "json", "duplicate", "depth", "members", "number"] as const

export const answerProblem = (problem: TokenError.Problem): (typeof jsonProblems)[number] =>
  jsonProblems.find((one) => one === problem) ?? "json"
