import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Deviation, TokenResponse, TokenType } from "../../TokenSource.ts"

/** What a response of the token endpoint grants. */
export interface GrantedTokens {
  /** Valid and to be saved also if `token` is a failure. */
  readonly refreshToken: Redacted.Redacted | undefined
  readonly token: Result.Result<TokenResponse, KeelsonError.AuthenticationError>
  /** The `issued_token_type` of a token exchange (RFC 8693, 2.2.1), of any form. */
  readonly issuedTokenType?: unknown
}

type Json = Readonly<Record<string, unknown>>

/** The type of a value that was received. Errors and logs never contain the value itself. */
export const typeOf = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (value === null) return "null"
  if (value === "") return "an empty text"
  if (typeof value === "string") return "a text"
  if (Array.isArray(value)) return "a list"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}

/** A response without a valid token. `reason` is the invalid member, or `body`. */
export const invalidResponse = (
  reason: string,
  expected: string,
  received: string,
  details: Readonly<Record<string, unknown>>
): KeelsonError.AuthenticationError =>
  new KeelsonError.AuthenticationError({
    code: "TOKEN_RESPONSE_INVALID",
    message: `The token response is invalid: ${reason} must be ${expected}, but is ${received}`,
    details: { reason, expected, received, ...details }
  })

/** A token response that is not a JSON object. */
export const invalidBody = (json: unknown, details: Readonly<Record<string, unknown>>) =>
  invalidResponse("body", "a JSON object", json === undefined ? "not JSON" : typeOf(json), details)

/** A token in a member; `undefined` for anything but a non-empty text. */
const tokenIn = (value: unknown, label: string): Redacted.Redacted | undefined =>
  typeof value === "string" && value !== "" ? Redacted.make(value, { label }) : undefined

/** The value of a member, with the deviation that it is; a failure if it cannot be used. */
type Member<A> = Result.Result<{ readonly value: A; readonly deviates: boolean }, { readonly expected: string }>

const member = <A>(value: A, deviates = false): Member<A> => Result.succeed({ value, deviates })

/** A non-negative number of seconds. Some servers send null or an empty text for none, or the number as text. */
const lifetimeIn = (value: unknown): Member<Duration.Duration | undefined> => {
  if (value === undefined || value === null || value === "") return member(undefined, value !== undefined)
  const isDigits = typeof value === "string" && /^\d{1,15}(?:\.\d{1,9})?$/.test(value)
  const seconds = isDigits ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0
    ? member(Duration.seconds(seconds), isDigits)
    : Result.fail({ expected: "a non-negative number of seconds" })
}

/**
 * `Bearer` in any case (RFC 6750), or `DPoP` if the request had a proof (RFC 9449, 5). Some servers send `BearerToken`, or none.
 */
const tokenTypeIn = (more: ReadonlyArray<string>, hasProof: boolean) => (value: unknown): Member<TokenType> => {
  const type = typeof value === "string" ? value.toLowerCase() : value
  if (type === "bearer") return member("Bearer")
  if (type === "dpop" && hasProof) return member("DPoP")
  return type === undefined || type === null || type === "" || type === "bearertoken" ||
      more.some((name) => name.toLowerCase() === type)
    ? member("Bearer", true)
    : Result.fail({ expected: `${hasProof ? "DPoP, " : ""}Bearer, or named in the option tokenTypes` })
}

/** The registered token types that are not `Bearer`, which an error may show. */
const otherTokenTypes: ReadonlySet<unknown> = new Set(["DPoP", "PoP", "mac", "N_A"])

const received = (name: string, value: unknown): string =>
  name === "token_type" && otherTokenTypes.has(value) ? String(value) : typeOf(value)

/** A text (RFC 6749, 3.3). Some servers send a list. The scope is unknown if it has another form. */
const scopeIn = (value: unknown): Member<string | undefined> => {
  if (value === undefined || typeof value === "string") return member(value)
  const isList = Array.isArray(value) && value.every((name) => typeof name === "string")
  return member(isList ? value.join(" ") : undefined, true)
}

/** A text that is not empty. Anything else grants no new refresh token. */
const refreshTokenIn = (value: unknown): Member<Redacted.Redacted | undefined> => {
  const token = tokenIn(value, "refreshToken")
  return member(token, token === undefined && value !== undefined)
}

/**
 * Reads a success response (RFC 6749, 5.1). Accepts deviations that are harmless, and lists them. A response that grants
 * neither an access token nor a refresh token is a failure.
 */
export const readTokens = (
  json: Json,
  { deviation, endpoint, hasProof, status, tokenTypes }: {
    readonly status: number
    /** How the form of the body deviates. */
    readonly deviation?: Deviation | undefined
    readonly endpoint: string
    /** More token types that mean `Bearer`. */
    readonly tokenTypes: ReadonlyArray<string>
    /** Whether the request asked for a token that is bound to a key. */
    readonly hasProof: boolean
  }
): Result.Result<GrantedTokens, KeelsonError.AuthenticationError> => {
  const deviations: Array<Deviation> = status === 200 ? [] : [{ member: "status", received: String(status) }]
  if (deviation !== undefined) deviations.push(deviation)
  const read = <A>(name: Exclude<Deviation["member"], "body" | "status">, parse: (value: unknown) => Member<A>) =>
    Result.match(parse(json[name]), {
      onFailure: ({ expected }) =>
        Result.fail(invalidResponse(name, expected, received(name, json[name]), { status, endpoint })),
      onSuccess: ({ deviates, value }) => {
        if (deviates) deviations.push({ member: name, received: received(name, json[name]) })
        return Result.succeed(value)
      }
    })
  const accessToken = tokenIn(json["access_token"], "accessToken")
  const refreshToken = Result.getOrUndefined(read("refresh_token", refreshTokenIn))
  if (accessToken === undefined) {
    const failure = Result.fail(
      invalidResponse("access_token", "a text that is not empty", typeOf(json["access_token"]), { status, endpoint })
    )
    return refreshToken === undefined ? failure : Result.succeed({ refreshToken, token: failure })
  }
  const token = Result.flatMap(
    read("token_type", tokenTypeIn(tokenTypes, hasProof)),
    (tokenType) =>
      Result.map(read("expires_in", lifetimeIn), (expiresIn): TokenResponse => {
        const scope = Result.getOrUndefined(read("scope", scopeIn))
        return { accessToken, expiresIn, tokenType, scope, deviations }
      })
  )
  return Result.succeed({ refreshToken, token, issuedTokenType: json["issued_token_type"] })
}
