import * as Redaction from "@keelson/core/Redaction"
import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"
import { parsePayload, splitToken } from "../validation/compactJws.ts"
import { expectedInstead, quoted } from "../validation/expected.ts"
import type { Rules } from "../validation/rules.ts"
import { own } from "../validation/strictJson.ts"
import { Validator } from "../validation/validator.ts"
import type { RejectionObserver } from "./rejector.ts"

/** The issuer that a token names, which anybody could have written: quoted, redacted and truncated. */
const issuerIn = (token: string, rules: Rules): string | undefined => {
  const segments = splitToken(token, rules.policy.maxLength)
  if (Result.isFailure(segments)) return undefined
  const payload = parsePayload(segments.success, rules)
  const iss = Result.isSuccess(payload) ? own(payload.success.object, "iss") : undefined
  return typeof iss === "string" ? quoted(Redaction.url(iss)) : undefined
}

const describe = (
  { id, rules }: { readonly id: string; readonly rules: Rules },
  reason: TokenError.Reason,
  token: string
): Readonly<Record<string, string>> => {
  const expected = expectedInstead(reason, rules)
  const issuer = reason._tag === "IssuerUntrusted" ? issuerIn(token, rules) : undefined
  return {
    ...(expected === undefined ? undefined : { expected }),
    ...(issuer === undefined ? undefined : { received: `iss is ${issuer}` }),
    explain: `run Explain.explain(validator, token) of @keelson/token/Explain with the validator ${id}`
  }
}

/** Observes rejections in the metrics of a validator. `undefined` for a validator that Keelson did not make, such as a mock. */
export const observerOf = (validator: object): RejectionObserver | undefined => {
  const config = Validator.configOf(validator)
  return config === undefined || !(validator instanceof Validator) ? undefined : {
    count: (name) => validator.countRequest(name),
    explain: (reason, token) => describe(config, reason, token)
  }
}
