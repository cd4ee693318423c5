/**
 * Makes the checks of a bound token one by one, with the same functions that `HttpSecurity` calls.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as BindingOptions from "../../BindingOptions.ts"
import type { Registered } from "../../Claims.ts"
import type { BoundRequest, CheckName } from "../../Explain.ts"
import { bindingRules, dpopOptions, makeNonces } from "../dpop/bindingRules.ts"
import { type BindingRules, certificateOf, checkConfirmation, proofKeyOf, type Scheme } from "../dpop/confirmation.ts"
import { optionChecks } from "../dpop/optionChecks.ts"
import {
  checkProofAlgorithm,
  checkProofMethod,
  checkProofTimes,
  checkProofToken,
  checkProofType,
  checkProofUrl,
  decodeProofId,
  decodeProofKey,
  parseProofClaims,
  parseProofHeader,
  type ProofRules,
  proofRules,
  splitProof
} from "../dpop/proof.ts"
import { importKey } from "../dpop/proofChecker.ts"
import { thumbprintOf } from "../dpop/proofKey.ts"
import {
  certificateMissing,
  otherCertificate,
  otherKey,
  proofMissing,
  proofNonceRequired,
  proofRejected
} from "../dpop/reasons.ts"
import { pathOf } from "../dpop/targetUri.ts"
import { andThen, digestOf } from "../validation/digest.ts"
import { quoted } from "../validation/expected.ts"
import { encodeText, hashText } from "../validation/platform.ts"
import { own } from "../validation/strictJson.ts"
import type { ValidatorConfig } from "../validation/validator.ts"
import type { Findings } from "./findings.ts"

/** A request, and what the API expects of it. */
interface Binding {
  readonly options: BindingOptions.BindingOptions
  readonly request: BoundRequest
  readonly scheme: Scheme
  readonly rules: BindingRules
  readonly proofs: ProofRules
  /** What a check expects; `undefined` for one that depends on no option. */
  readonly expected: (name: CheckName) => string | undefined
}

const modes = { off: "is not checked", allowed: "may be there", required: "has to be there" }

const describe = (
  name: CheckName,
  { dpop, mtls }: BindingRules,
  { algorithms, baseUrls, maxAge, tolerance }: ProofRules,
  { method, url }: BoundRequest
): string | undefined => {
  const path = pathOf(url) ?? ""
  switch (name) {
    case "binding":
      return `cnf.jkt ${modes[dpop]}, cnf.x5t#S256 ${modes[mtls]}`
    case "proofAlgorithm":
      return `alg is one of ${[...algorithms].map(quoted).join(", ")}`
    case "proofMethod":
      return `htm is ${quoted(method)}`
    case "proofUrl":
      return `htu is one of ${baseUrls.slice(0, 10).map((url) => quoted(url + path)).join(", ")}`
    case "proofTimes":
      return `iat is at most ${Duration.format(Duration.millis(maxAge))} ago, with a tolerance of ${
        Duration.format(Duration.millis(tolerance))
      }`
    case "proofToken":
      return "ath is the SHA-256 of the access token in base64url"
    case "proofBinding":
      return "the thumbprint of jwk is cnf.jkt"
    case "certificate":
      return "the SHA-256 of the certificate is cnf.x5t#S256"
    default:
      return undefined
  }
}

const decode = Decoders.decodeUnsafe(BindingOptions.BindingOptions.check(...optionChecks))

/** A request, and the options of its API. Throws `ConfigurationError` for options that are not valid. */
export const bindingToExamine = (request: BoundRequest, security: BindingOptions.Options = {}): Binding => {
  const options = decode(security)
  const [rules, proofs] = [bindingRules(options), proofRules(dpopOptions(options), options.baseUrls)]
  return {
    options,
    request,
    scheme: request.scheme ?? (request.proof === undefined ? "Bearer" : "DPoP"),
    rules,
    proofs,
    expected: (name) => describe(name, rules, proofs, request)
  }
}

const digest = digestOf(hashText)

/** The proof: all that needs no other state than the request. */
const examineProof = Effect.fnUntraced(function*(
  { verifySignature }: ValidatorConfig<unknown>,
  { options, proofs: rules, request: { method, proof = "", url } }: Binding,
  token: string,
  jkt: string,
  findings: Findings
) {
  const clock = yield* Clock.Clock
  const now = clock.currentTimeMillisUnsafe()
  const split = findings.decode("proofForm", [], proof, (text) => {
    if (text.includes(",")) return Result.fail(proofRejected("header"))
    return text === "" ? Result.fail(proofMissing) : splitProof(text)
  })
  const header = findings.decode("proofHeader", ["proofForm"], split?.segments, parseProofHeader)
  findings.proof = header
  findings.check("proofType", ["proofHeader"], header, checkProofType)
  findings.check("proofAlgorithm", ["proofHeader"], header, (header) => checkProofAlgorithm(header, rules))
  const key = findings.decode("proofKey", ["proofHeader"], header, decodeProofKey)
  const claims = findings.decode("proofClaims", ["proofForm"], split?.segments, parseProofClaims)
  findings.proof = { ...header, ...claims }
  const needs = ["proofClaims"] as const
  findings.decode("proofId", needs, claims, decodeProofId)
  findings.check("proofMethod", needs, claims, (claims) => checkProofMethod(claims, method))
  findings.check("proofUrl", needs, claims, (claims) => checkProofUrl(claims, url, rules))
  findings.check("proofTimes", needs, claims, (claims) => checkProofTimes(claims, rules, now))
  const tokenHash = yield* andThen(digest(token), Effect.succeed)
  findings.check("proofToken", needs, claims, (claims) => checkProofToken(claims, tokenHash))
  const thumbprint = key === undefined
    ? undefined
    : yield* andThen(thumbprintOf(key.jwk, digest), Effect.succeed)
  findings.check("proofBinding", ["proofKey"], thumbprint, (own) => own === jkt ? undefined : otherKey)
  const dpop = dpopOptions(options)
  const nonces = dpop.nonceKey === undefined ? undefined : yield* makeNonces(dpop)
  if (nonces !== undefined) {
    const { accepts } = yield* Effect.promise(async () => await nonces.at(now))
    findings.check(
      "proofNonce",
      needs,
      claims,
      (claims) => accepts(own(claims, "nonce")) ? undefined : proofNonceRequired
    )
  }
  if (split === undefined || key === undefined || !findings.passed("proofAlgorithm")) {
    findings.skip("proofSignature", ["proofForm", "proofHeader", "proofAlgorithm", "proofKey"])
    return
  }
  const imported = yield* Effect.promise(() => importKey(key))
  const isValid = imported !== undefined &&
    (yield* Effect.promise(async () =>
      await verifySignature(key.alg, imported, split.signature, encodeText(split.segments.signed), key.jwk)
    ))
  findings.add("proofSignature", isValid ? undefined : proofRejected(imported === undefined ? "jwk" : "signature"))
})

/** Whether the caller of a request proves that it has the key of its token. It touches no record of used proofs. */
export const examineBinding = Effect.fnUntraced(function*(
  config: ValidatorConfig<unknown>,
  binding: Binding,
  token: string,
  registered: Registered | undefined,
  findings: Findings
) {
  const { request, rules, scheme } = binding
  findings.check("binding", ["registeredClaims"], registered, ({ cnf }) => checkConfirmation(cnf, scheme, rules))
  const jkt = proofKeyOf(registered?.cnf, rules)
  if (jkt !== undefined) yield* examineProof(config, binding, token, jkt, findings)
  const expected = certificateOf(registered?.cnf, rules)
  if (expected === undefined) return
  const thumbprint = request.certificate === undefined
    ? undefined
    : yield* andThen(digest(new Uint8Array(request.certificate)), Effect.succeed)
  if (thumbprint === undefined) findings.add("certificate", certificateMissing.none)
  else findings.add("certificate", thumbprint === expected ? undefined : otherCertificate)
})
