import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"
import { malformed } from "../validation/reasons.ts"

type Reason = TokenError.Reason

/** The syntax of a bearer token (RFC 6750, 2.1). */
const b64token = /^[\w.~+/-]+=*$/

/** Decides whether a text can be a token at all, before it is sent anywhere. */
export const checkForm = (
  text: string,
  maxLength: number,
  accepts: ((text: string) => boolean) | undefined
): Result.Result<void, Reason> => {
  if (text.length > maxLength) return Result.fail(malformed("token", "size"))
  if (!b64token.test(text)) return Result.fail(malformed("token", "encoding"))
  if (accepts === undefined) return Result.void
  // Without types, it may return anything, and it may throw: only `true` lets a token pass.
  const isAccepted = Result.getOrElse(Result.try((): unknown => accepts(text)), () => false)
  return isAccepted === true ? Result.void : Result.fail(malformed("token", "form"))
}

/**
 * Whether a text has the form of a JWT: three segments, or five if it is encrypted, of which the first begins as the base64url
 * of a JSON object does. Whether it is a valid one is not decided here.
 */
export const isJwtShaped = (text: string): boolean => {
  if (!/^e[3wy]/.test(text)) return false
  let dots = 0
  for (let at = text.indexOf("."); at !== -1 && dots <= 4; at = text.indexOf(".", at + 1)) dots++
  return dots === 2 || dots === 4
}
