import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Explanation, Options } from "../../Explain.ts"
import { makeHeaderReader } from "../validation/joseHeader.ts"
import {
  algorithmProblem,
  type Parsed,
  readPayload,
  readSignature,
  splitToken,
  typeProblem
} from "../validation/parseToken.ts"
import { issuerUntrusted, keysUnsettled, signatureInvalid } from "../validation/reasons.ts"
import { readRegistered } from "../validation/registered.ts"
import { textOf } from "../validation/textOf.ts"
import type { Parts } from "../validation/validation.ts"
import { findKeys, verifyingKey } from "../validation/verifyToken.ts"
import { type Claimed, examineCall, examineClaims, examineRevocation } from "./examineClaims.ts"
import { Findings } from "./findings.ts"

/** What can be said without a key, as `parseToken` does; a token that has all that keys are looked for by. */
const examineForm = (
  { rules }: Parts<unknown>,
  token: string,
  findings: Findings
): {
  readonly alg: string | undefined
  readonly claimed: Claimed | undefined
  readonly parsed: Parsed | undefined
} => {
  const parts = findings.read("form", [], token, (text) => splitToken(text, rules.policy.maxLength))
  const header = findings.read("header", ["form"], parts, (parts) => makeHeaderReader()(parts.header))
  findings.header = header
  findings.hold("algorithm", ["header"], header, (header) => algorithmProblem(header, rules))
  findings.hold("type", ["header"], header, (header) => typeProblem(header, rules))
  const signature = findings.read("signatureEncoding", ["form"], parts, readSignature)
  const payload = findings.read("payload", ["form"], parts, (parts) => readPayload(parts, rules))
  const members = payload?.object
  findings.claims = members
  const registered = findings.read(
    "registeredClaims",
    ["payload"],
    members,
    (members) => readRegistered(members, rules.policy)
  )
  const issuer = findings.read("issuer", ["registeredClaims"], registered, ({ iss }) => {
    const trusted = rules.issuers.get(iss)
    return trusted === undefined ? Result.fail(issuerUntrusted) : Result.succeed(trusted)
  })
  const claimed = members === undefined || registered === undefined ? undefined : { members, registered }
  const isComplete = parts !== undefined && signature !== undefined && header !== undefined && claimed !== undefined &&
    issuer !== undefined
  return {
    alg: header?.alg,
    claimed,
    parsed: isComplete ? { parts, signature, header, ...claimed, size: payload?.bytes ?? 0, issuer } : undefined
  }
}

const keyNeeds = ["form", "header", "algorithm", "signatureEncoding", "payload", "registeredClaims", "issuer"] as const

/**
 * Keys and signature. Keys are looked for only where the validator might: never those of an issuer that is not trusted, or
 * for another algorithm.
 */
const examineSignature = Effect.fnUntraced(function*(
  validator: Parts<unknown>,
  parsed: Parsed | undefined,
  findings: Findings
) {
  if (parsed === undefined || !keyNeeds.every((name) => findings.passed(name))) {
    findings.skip("key", keyNeeds)
    return findings.skip("signature", ["key"])
  }
  const found = yield* Effect.result(findKeys(validator, parsed))
  if (Result.isFailure(found)) {
    findings.add("key", found.failure)
    return findings.skip("signature", ["key"])
  }
  findings.add("key", undefined)
  const candidates = found.success
  const key = candidates[yield* Effect.promise(() => verifyingKey(validator, parsed, candidates))]
  findings.add("signature", key === undefined ? signatureInvalid : undefined)
  return key?.trust
})

/** Makes the checks of a validator one by one, on nothing but what it is made of. */
export const examine = Effect.fnUntraced(function*(
  validator: Parts<unknown>,
  token: string | Redacted.Redacted,
  options: Options
): Effect.fn.Return<Explanation> {
  const findings = new Findings(options.showValues === true)
  const { alg, claimed, parsed } = examineForm(validator, textOf(token), findings)
  const trust = yield* examineSignature(validator, parsed, findings)
  const clock = yield* Clock.Clock
  examineClaims(validator, claimed, options, findings, clock.currentTimeMillisUnsafe())
  findings.hold("trust", ["signature"], trust, (trust) => trust.holds(clock) ? undefined : keysUnsettled)
  yield* examineCall(validator, claimed, alg, options, findings)
  yield* examineRevocation(validator, claimed, findings)
  return findings.explanation
})
