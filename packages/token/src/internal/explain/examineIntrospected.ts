/**
 * Makes the checks of an introspected token one by one, with the same functions that `validate` calls.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CheckName, Explanation, Options } from "../../Explain.ts"
import { decodeRegistered } from "../validation/claims.ts"
import { expectedBy } from "../validation/expected.ts"
import type { JsonObject } from "../validation/strictJson.ts"
import type { TokenIntrospection, ValidatorConfig } from "../validation/validator.ts"
import { examineCall, examineClaims, examineRevocation } from "./examine.ts"
import { bindingToExamine, examineBinding } from "./examineBinding.ts"
import { Findings } from "./findings.ts"
import { providerGuide } from "./providerGuide.ts"

/** Asks the authorization server, if the options say so. Returns the members of an active answer. */
const examineAnswer = Effect.fnUntraced(function*(
  { ask, checkForm }: TokenIntrospection,
  text: string,
  { introspect }: Options,
  findings: Findings
): Effect.fn.Return<JsonObject | undefined> {
  findings.check("form", [], text, (text) => Result.getOrUndefined(Result.flip(checkForm(text))))
  if (!findings.passed("form")) return findings.skip("introspection", ["form"])
  if (introspect !== true) return findings.skipIntrospection()
  const answer = yield* ask(text)
  findings.add("introspection", Result.isFailure(answer) ? answer.failure : undefined)
  return Result.getOrUndefined(answer)
})

const claimNeeds: ReadonlyArray<CheckName> = ["introspection", "registeredClaims"]

/**
 * Makes all checks of a token that the validator introspects. Without the option `introspect` the token is sent nowhere, and only
 * its form is checked.
 */
export const examineIntrospected = Effect.fnUntraced(function*(
  validator: ValidatorConfig<unknown>,
  introspection: TokenIntrospection,
  text: string,
  options: Options
): Effect.fn.Return<Explanation> {
  const { rules } = introspection
  const config = { ...validator, rules }
  const binding = options.request === undefined ? undefined : bindingToExamine(options.request, options.security)
  const findings = new Findings(
    options.showValues === true,
    (name) =>
      name === "form"
        ? `text with the syntax of a bearer token, with at most ${rules.policy.maxLength} characters`
        : expectedBy(name, rules, options) ?? binding?.expected(name)
  )
  const members = yield* examineAnswer(introspection, text, options, findings)
  findings.claims = members
  findings.check("tokenType", ["introspection"], members, introspection.checkTokenType)
  const registered = findings.decode(
    "registeredClaims",
    ["introspection"],
    members,
    (members) => decodeRegistered(members, rules)
  )
  findings.decode("issuer", ["registeredClaims"], registered, ({ iss }) => introspection.findIssuer(iss))
  const claims = members === undefined || registered === undefined ? undefined : { members, registered }
  const now = yield* Clock.currentTimeMillis
  // An expired token is not active, so that its expiry cannot be skipped.
  examineClaims(config, claims, { ...options, skipExpiry: false }, findings, now, claimNeeds)
  yield* examineCall(config, claims, undefined, options, findings, claimNeeds)
  yield* examineRevocation(config, claims, findings, "introspection")
  if (binding !== undefined) yield* examineBinding(config, binding, text, registered, findings)
  const { explanation } = findings
  const guide = explanation.accepted ? undefined : providerGuide(rules.policy)
  return guide === undefined ? explanation : { ...explanation, guide }
})
