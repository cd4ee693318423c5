import * as Result from "effect/Result"
import type { Reason } from "../../BackChannelLogoutError.ts"

type Problem = Extract<Reason, { readonly _tag: "RequestInvalid" }>["problem"]

const requestInvalid = (problem: Problem): Reason => ({ _tag: "RequestInvalid", problem })

/** Made once each: anyone can send a request. */
export const invalidRequests: Readonly<Record<Problem, Reason>> = {
  method: requestInvalid("method"),
  contentType: requestInvalid("contentType"),
  size: requestInvalid("size"),
  body: requestInvalid("body"),
  token: requestInvalid("token")
}

/** The characters of a body beside the logout token: its name, and parameters that are ignored. */
const otherLength = 4096

/** Upper bound of the bytes of a body. A logout token is not changed by form encoding. */
export const maxBodyLength = (maxTokenLength: number): number => maxTokenLength + otherLength

/** Whether a content type is that of a form, with any parameters (RFC 9110, 8.3.1). */
const isForm = (contentType: string | undefined): boolean =>
  /^application\/x-www-form-urlencoded[\t ]*(?:;|$)/i.test((contentType ?? "").trim())

/** Checks the head of a request: `undefined` for a POST of a form. */
export const checkHead = (method: string, contentType: string | undefined): Reason | undefined => {
  if (method !== "POST") return invalidRequests.method
  return isForm(contentType) ? undefined : invalidRequests.contentType
}

/** Reads the one logout token of a form. Other parameters are ignored (OpenID Connect Back-Channel Logout 1.0, 2.5). */
export const readLogoutToken = (body: string, maxTokenLength: number): Result.Result<string, Reason> => {
  if (body.length > maxBodyLength(maxTokenLength)) return Result.fail(invalidRequests.size)
  // A leading `?` belongs to the name of a parameter: `URLSearchParams` removes it.
  const [token, ...others] = new URLSearchParams(body.replace(/^\?/, "%3F")).getAll("logout_token")
  return token === undefined || token === "" || others.length > 0
    ? Result.fail(invalidRequests.token)
    : Result.succeed(token)
}
