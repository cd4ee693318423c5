/**
 * Makes the checks of a validator one by one, with the same functions that `validate` calls.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CheckName, Explanation, Options } from "../../Explain.ts"
import {
  checkAge,
  checkAlgorithm,
  checkAudience,
  checkAuthorizedParty,
  checkCallAudience,
  checkCallIssuer,
  checkExpiry,
  checkHash,
  checkIssuedAt,
  checkNonce,
  checkNotBefore,
  checkRequiredClaims,
  checkSpiffeId,
  checkType,
  isNonceChecked,
  type TokenClaims
} from "../validation/checks.ts"
import { decodeRegistered } from "../validation/claims.ts"
import {
  decodeSignature,
  makeHeaderParser,
  type ParsedToken,
  parsePayload,
  splitToken
} from "../validation/compactJws.ts"
import { expectedBy } from "../validation/expected.ts"
import {
  issuerUntrusted,
  keysChanged,
  revocationUnavailable,
  revoked,
  signatureInvalid
} from "../validation/reasons.ts"
import { findVerifyingKey } from "../validation/signature.ts"
import { tokenText, type ValidatorConfig } from "../validation/validator.ts"
import { findKeys } from "../validation/verification.ts"
import { bindingToExamine, examineBinding } from "./examineBinding.ts"
import { Findings } from "./findings.ts"
import { providerGuide } from "./providerGuide.ts"

type Config = ValidatorConfig<unknown>

/** The checks of `parseToken`, which need no key. `parsed` is there for a token that keys can be looked up for. */
const examineForm = (
  { rules }: Config,
  token: string,
  findings: Findings
): {
  readonly alg: string | undefined
  readonly claims: TokenClaims | undefined
  readonly parsed: ParsedToken | undefined
} => {
  const segments = findings.decode("form", [], token, (text) => splitToken(text, rules.policy.maxLength))
  const header = findings.decode("header", ["form"], segments, ({ header }) => makeHeaderParser()(header))
  findings.header = header
  findings.check("algorithm", ["header"], header, (header) => checkAlgorithm(header, rules))
  findings.check("type", ["header"], header, (header) => checkType(header, rules))
  const signature = findings.decode("signatureEncoding", ["form"], segments, decodeSignature)
  const payload = findings.decode("payload", ["form"], segments, (segments) => parsePayload(segments, rules))
  const members = payload?.object
  findings.claims = members
  const registered = findings.decode(
    "registeredClaims",
    ["payload"],
    members,
    (members) => decodeRegistered(members, rules)
  )
  const issuer = findings.decode("issuer", ["registeredClaims"], registered, ({ iss }) => {
    const trusted = rules.trustedIssuer(iss)
    return trusted === undefined ? Result.fail(issuerUntrusted) : Result.succeed(trusted)
  })
  const claims = members === undefined || registered === undefined ? undefined : { members, registered }
  const isComplete = segments !== undefined && signature !== undefined && header !== undefined &&
    claims !== undefined && issuer !== undefined
  return {
    alg: header?.alg,
    claims,
    parsed: isComplete ? { segments, signature, header, ...claims, size: payload?.bytes ?? 0, issuer } : undefined
  }
}

const keyNeeds = ["form", "header", "algorithm", "signatureEncoding", "payload", "registeredClaims", "issuer"] as const

/**
 * Keys and signature. Keys are looked up only where the validator would: never for an issuer that is not trusted, or for an
 * algorithm that is not allowed.
 */
const examineSignature = Effect.fnUntraced(function*(
  config: Config,
  parsed: ParsedToken | undefined,
  findings: Findings
) {
  if (parsed === undefined || !keyNeeds.every((name) => findings.passed(name))) {
    findings.skip("key", keyNeeds)
    return findings.skip("signature", ["key"])
  }
  const lookup = yield* Effect.result(findKeys(config, parsed, config.rules.keyUse))
  if (Result.isFailure(lookup)) {
    findings.add("key", lookup.failure)
    return findings.skip("signature", ["key"])
  }
  findings.add("key", undefined)
  const candidates = lookup.success
  const key = candidates[
    yield* Effect.promise(async () => await findVerifyingKey(config.verifySignature, parsed, candidates))
  ]
  findings.add("signature", key === undefined ? signatureInvalid : undefined)
  return key?.trust
})

const claimNeeds: ReadonlyArray<CheckName> = ["payload", "registeredClaims"]

/** The checks of claims that depend on the policy alone, and the claims schema. */
export const examineClaims = (
  { decodeClaims, rules }: Config,
  claims: TokenClaims | undefined,
  { skipExpiry }: Options,
  findings: Findings,
  now: number,
  needs = claimNeeds
): void => {
  const registered = claims?.registered
  findings.check("audience", needs, claims, (claims) => checkAudience(claims, rules))
  if (skipExpiry !== true) {
    findings.check("expiry", needs, registered, (claims) => checkExpiry(claims, rules, now))
  }
  findings.check("notBefore", needs, registered, (claims) => checkNotBefore(claims, rules, now))
  findings.check("issuedAt", needs, registered, (claims) => checkIssuedAt(claims, rules, now))
  if (rules.maxAge !== undefined) {
    findings.check("age", needs, registered, (claims) => checkAge(claims, rules, now))
  }
  findings.check(
    "requiredClaims",
    needs,
    claims,
    ({ members }) => checkRequiredClaims(members, rules.requiredClaims)
  )
  if (rules.authorizedParties !== undefined) {
    findings.check("authorizedParty", needs, claims, (claims) => checkAuthorizedParty(claims, rules))
  }
  if (rules.policy.trustDomain !== undefined) {
    findings.check("spiffeId", needs, claims, (claims) => checkSpiffeId(claims, rules))
  }
  findings.decode("schema", needs, claims, ({ members }) => decodeClaims(members))
}

/** The checks of the options of the call. */
export const examineCall = Effect.fnUntraced(function*(
  { rules }: Config,
  claims: TokenClaims | undefined,
  alg: string | undefined,
  options: Options,
  findings: Findings,
  needs = claimNeeds
) {
  const { accessToken, audience, code, issuer, requiredClaims = [] } = options
  if (audience !== undefined) {
    findings.check("callAudience", needs, claims, (claims) => checkCallAudience(claims, options, rules))
  }
  if (issuer !== undefined) {
    findings.check("callIssuer", needs, claims, (claims) => checkCallIssuer(claims, options))
  }
  if (requiredClaims.length > 0) {
    findings.check("callClaims", needs, claims, ({ members }) => checkRequiredClaims(members, requiredClaims))
  }
  if (isNonceChecked(options, rules)) {
    findings.check("nonce", needs, claims, (claims) => checkNonce(claims, options, rules))
  }
  for (const [check, claim, given] of hashes(accessToken, code)) {
    if (given === undefined) continue
    // The algorithm determines the hash function: an unsupported one determines none.
    if (claims === undefined || alg === undefined || !findings.passed("algorithm")) {
      findings.skip(check, ["header", "algorithm", ...needs])
    } else {
      findings.add(check, yield* checkHash(alg, claims, claim, tokenText(given)))
    }
  }
})

const hashes = (accessToken: Options["accessToken"], code: Options["code"]) =>
  [["accessTokenHash", "at_hash", accessToken], ["codeHash", "c_hash", code]] as const

/** Whether the token is revoked. The list is read only for tokens with a valid signature, since anyone can forge others. */
export const examineRevocation = Effect.fnUntraced(function*(
  { revocation }: Config,
  claims: TokenClaims | undefined,
  findings: Findings,
  proof: CheckName = "signature"
) {
  if (revocation === undefined) return
  if (claims === undefined || !findings.passed(proof)) {
    findings.skip("revocation", [proof])
    return
  }
  const isRevoked = yield* Effect.result(revocation.isRevoked(claims.registered))
  if (Result.isFailure(isRevoked)) findings.add("revocation", revocationUnavailable)
  else findings.add("revocation", isRevoked.success ? revoked : undefined)
})

/** Makes all checks of a validator. It reads no cache and changes no state of the validator. */
export const examine = Effect.fnUntraced(function*(
  config: Config,
  token: string | Redacted.Redacted,
  options: Options
): Effect.fn.Return<Explanation> {
  const binding = options.request === undefined ? undefined : bindingToExamine(options.request, options.security)
  const findings = new Findings(
    options.showValues === true,
    (name) => expectedBy(name, config.rules, options) ?? binding?.expected(name)
  )
  const { alg, claims, parsed } = examineForm(config, tokenText(token), findings)
  const trust = yield* examineSignature(config, parsed, findings)
  const clock = yield* Clock.Clock
  examineClaims(config, claims, options, findings, clock.currentTimeMillisUnsafe())
  findings.check("trust", ["signature"], trust, (trust) => trust.holds(clock) ? undefined : keysChanged)
  yield* examineCall(config, claims, alg, options, findings)
  yield* examineRevocation(config, claims, findings)
  if (binding !== undefined) yield* examineBinding(config, binding, tokenText(token), claims?.registered, findings)
  const { explanation } = findings
  const guide = explanation.accepted ? undefined : providerGuide(config.rules.policy)
  return guide === undefined ? explanation : { ...explanation, guide }
})
