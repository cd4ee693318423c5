import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Deviation } from "../../TokenSource.ts"
import type { ReceivedResponse } from "./exchange.ts"

/** The members of a token endpoint's response, and how their form deviates from RFC 6749, 5.1. */
export interface AnswerBody {
  /** `undefined` if the body has no members. */
  readonly json: unknown
  readonly deviation?: Deviation
}

const isText = (value: unknown): boolean => typeof value === "string" && value !== ""

const hasTokens = (value: unknown): value is object =>
  Predicate.isObject(value) && (isText(value["access_token"]) || isText(value["refresh_token"]))

/** Some servers wrap the response, as in `{"code": 0, "data": {"access_token": …}}`. */
const unwrapped = (json: unknown): AnswerBody =>
  !hasTokens(json) && Predicate.hasProperty(json, "data") && hasTokens(json.data)
    ? { json: json.data, deviation: { member: "body", received: "an object in the member data" } }
    : { json }

/** The media types of forms: some servers send their forms as plain text. */
const formTypes = /^(?:application\/x-www-form-urlencoded|text\/plain)(?:$|[ \t;])/i

/** Some servers send a form unless a request insists on JSON. A member that is repeated is ambiguous, and left out. */
const formOf = (text: string): AnswerBody => {
  const parameters = new URLSearchParams(text)
  const json = Object.fromEntries([...parameters].filter(([name]) => parameters.getAll(name).length === 1))
  return hasTokens(json) || isText(json["error"])
    ? { json, deviation: { member: "body", received: "a form" } }
    : { json: undefined }
}

/**
 * Reads a response of the token endpoint: JSON, JSON in the member `data`, or a form. The refresh token of each is saved, since
 * the server may have withdrawn the old one.
 */
export const readBody = ({ body, headers }: ReceivedResponse): AnswerBody => {
  const text = new TextDecoder().decode(body)
  return Result.match(Result.try((): unknown => JSON.parse(text)), {
    onFailure: () => formTypes.test(headers["content-type"] ?? "") ? formOf(text) : { json: undefined },
    onSuccess: unwrapped
  })
}
