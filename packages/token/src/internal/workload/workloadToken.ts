import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { decodeProtectedHeader } from "jose/decode/protected_header"
import { decodeJwt } from "jose/jwt/decode"
import type { TokenResponse } from "../../TokenSource.ts"

/** Why no token could be had from a platform. Messages and details never contain a token or a response. */
export type WorkloadIdentityError =
  | KeelsonError.AuthenticationError
  | KeelsonError.NetworkError
  | KeelsonError.ConfigurationError

/** The platform has no identity for this workload. */
export const unavailable = (
  message: string,
  details: Readonly<Record<string, unknown>>
): KeelsonError.AuthenticationError =>
  new KeelsonError.AuthenticationError({ code: "WORKLOAD_IDENTITY_UNAVAILABLE", message, details })

/** What is wrong with a token. */
export type Defect = "unreadable" | "empty" | "malformed" | "expired" | "audience"

/** Where a token comes from, for errors. */
export interface Origin {
  /** As in `The token file /path`, at the beginning of a sentence. */
  readonly subject: string
  readonly details: Readonly<Record<string, unknown>>
}

/** A token that cannot be used. */
export const invalidToken = ({ details, subject }: Origin, reason: Defect, what: string) =>
  new KeelsonError.AuthenticationError({
    code: "WORKLOAD_TOKEN_INVALID",
    message: `${subject} ${what}`,
    details: { reason, ...details }
  })

/** A JWT of a platform. Its signature is not checked: the receiver does that. */
export interface WorkloadJwt {
  readonly value: Redacted.Redacted
  /** Milliseconds since 1970. */
  readonly expiresAt: number
  readonly subject: string | undefined
}

const compact = /^[\w-]+\.[\w-]+\.([\w-]+)$/

/** The characters of a signature (RFC 7518, 3; RFC 8037, 3.1). A file that is still being written ends before them. */
const signatureLengths: ReadonlyMap<unknown, number> = new Map([
  ["ES256", 86],
  ["ES384", 128],
  ["ES512", 176],
  ["EdDSA", 86],
  ["Ed25519", 86],
  ["HS256", 43]
])

/** Whether a signature has its whole length. RSA keys have at least 2048 bits, and a multiple of 256. */
const isWhole = (alg: unknown, signature: string): boolean => {
  const length = signatureLengths.get(alg)
  if (length !== undefined) return signature.length === length
  if (typeof alg !== "string" || !/^[RP]S/.test(alg)) return true
  const bytes = Math.floor(signature.length * 3 / 4)
  return bytes >= 256 && bytes % 32 === 0 && signature.length === Math.ceil(bytes * 4 / 3)
}

/** The largest time that a `Date` can have, in milliseconds. */
const maxTime = 8.64e15

const hasAudience = (aud: unknown, audience: string): boolean =>
  Array.isArray(aud) ? aud.includes(audience) : aud === audience

/**
 * Reads a JWT: three parts, a whole signature, and `exp`, which assertions must have (RFC 7523, 3). With an `audience`, the
 * token must be for it, so that no token is sent to a server that it is not meant for.
 */
export const readJwt = (
  text: string,
  audience: string | undefined,
  origin: Origin
): Result.Result<WorkloadJwt, KeelsonError.AuthenticationError> => {
  const token = text.trim()
  if (token === "") return Result.fail(invalidToken(origin, "empty", "is empty"))
  const malformed = (what: string) => Result.fail(invalidToken(origin, "malformed", what))
  const signature = compact.exec(token)?.[1]
  const decoded = Result.try(() => ({ alg: decodeProtectedHeader(token).alg, claims: decodeJwt(token) }))
  if (signature === undefined || Result.isFailure(decoded)) return malformed("holds no signed JWT")
  const { alg, claims: { aud, exp, sub } } = decoded.success
  if (!isWhole(alg, signature)) return malformed("holds a JWT whose signature is cut off")
  const expiresAt = typeof exp === "number" ? exp * 1_000 : Number.NaN
  if (!(expiresAt >= 0 && expiresAt <= maxTime)) return malformed("holds a JWT without a valid exp")
  return audience === undefined || hasAudience(aud, audience)
    ? Result.succeed({
      value: Redacted.make(token, { label: "assertion" }),
      expiresAt,
      subject: typeof sub === "string" ? sub : undefined
    })
    : Result.fail(invalidToken(origin, "audience", "holds a JWT for another audience"))
}

/** The error for a token that has expired. */
export const expired = (origin: Origin, expiresAt: number): KeelsonError.AuthenticationError => {
  const at = DateTime.formatIso(DateTime.makeUnsafe(expiresAt))
  const own = { ...origin, details: { ...origin.details, expires_at: at } }
  return invalidToken(own, "expired", `holds a token that expired at ${at}`)
}

/** Returns a JWT as a source does, unless it is expired. */
export const usable = (
  { expiresAt, value }: WorkloadJwt,
  origin: Origin
): Effect.Effect<TokenResponse, KeelsonError.AuthenticationError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    expiresAt <= now
      ? Effect.fail(expired(origin, expiresAt))
      : Effect.succeed({ accessToken: value, expiresIn: Duration.millis(expiresAt - now) }))

/** Reads the JWT of a response as a source returns it. */
export const usableJwt = (
  text: Result.Result<string, KeelsonError.AuthenticationError>,
  audience: string,
  origin: Origin
): Effect.Effect<TokenResponse, KeelsonError.AuthenticationError> =>
  Effect.flatMap(
    Effect.fromResult(Result.flatMap(text, (token) => readJwt(token, audience, origin))),
    (jwt) => usable(jwt, origin)
  )
