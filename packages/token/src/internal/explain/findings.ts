import * as Result from "effect/Result"
import type { Check, CheckName, Explanation, Values } from "../../Explain.ts"
import type * as TokenError from "../../TokenError.ts"
import type { TokenHeader } from "../validation/compactJws.ts"
import { type JsonObject, own } from "../validation/strictJson.ts"

type Reason = TokenError.Reason

/** The header member that a check reads. */
const headerMembers: Partial<Record<CheckName, string>> = { algorithm: "alg", type: "typ", key: "kid" }

/** The claims that a check reads. */
const checkedClaims: Partial<Record<CheckName, ReadonlyArray<string>>> = {
  tokenType: ["token_type", "cnf"],
  issuer: ["iss"],
  audience: ["aud"],
  expiry: ["exp"],
  notBefore: ["nbf"],
  issuedAt: ["iat"],
  age: ["iat"],
  authorizedParty: ["aud", "azp"],
  callAudience: ["aud"],
  callIssuer: ["iss"],
  nonce: ["nonce"],
  accessTokenHash: ["at_hash"],
  codeHash: ["c_hash"],
  spiffeId: ["sub"],
  revocation: ["jti", "sid", "sub", "iat"],
  binding: ["cnf"],
  proofBinding: ["cnf"],
  certificate: ["cnf"]
}

/** The header members and the claims of the proof that a check reads. */
const checkedProofMembers: Partial<Record<CheckName, ReadonlyArray<string>>> = {
  proofType: ["typ"],
  proofAlgorithm: ["alg"],
  proofKey: ["jwk"],
  proofId: ["jti"],
  proofMethod: ["htm"],
  proofUrl: ["htu"],
  proofTimes: ["iat", "exp", "nbf"],
  proofToken: ["ath"],
  proofNonce: ["nonce"]
}

/** The claim that a reason names, if any. */
const namedClaim = (reason: Reason | undefined): ReadonlyArray<string> => {
  if (reason === undefined) return []
  if ("claim" in reason) return [reason.claim]
  return "path" in reason ? reason.path.split(".", 1) : []
}

/** The checks of a token made so far, and their results. */
export class Findings {
  readonly #checks: Array<Check> = []
  readonly #showsValues: boolean
  readonly #expectedBy: (name: CheckName) => string | undefined
  /** The values to show, where they could be decoded. */
  header: TokenHeader | undefined
  claims: JsonObject | undefined
  /** The header members and claims of the proof. */
  proof: JsonObject | undefined

  constructor(showsValues: boolean, expectedBy: (name: CheckName) => string | undefined) {
    this.#showsValues = showsValues
    this.#expectedBy = expectedBy
  }

  /**
   * Makes a check that decodes its input, and returns the output. A check without input is recorded as not reached.
   *
   * - `needs`: the checks that provide the input.
   */
  decode<I, A>(
    name: CheckName,
    needs: ReadonlyArray<CheckName>,
    input: I | undefined,
    check: (input: I) => Result.Result<A, Reason>
  ): A | undefined {
    if (input === undefined) return this.skip(name, needs)
    const result = check(input)
    this.add(name, Result.isFailure(result) ? result.failure : undefined)
    return Result.isFailure(result) ? undefined : result.success
  }
  /** Makes a check without output. */
  check<I>(
    name: CheckName,
    needs: ReadonlyArray<CheckName>,
    input: I | undefined,
    check: (input: I) => Reason | undefined
  ): void {
    if (input === undefined) this.skip(name, needs)
    else this.add(name, check(input))
  }

  /** Records a check. */
  add(name: CheckName, reason: Reason | undefined): void {
    const values = this.#valuesOf(name, reason)
    const optional = values === undefined ? undefined : { values }
    if (reason === undefined) {
      this.#checks.push({ name, status: "pass", ...optional })
      return
    }
    const expected = this.#expectedBy(name)
    this.#checks.push({
      name,
      status: "fail",
      reason,
      ...(expected === undefined ? undefined : { expected }),
      ...optional
    })
  }
  /** Records a check as not reached, since one of `needs` did not pass. */
  skip(name: CheckName, needs: ReadonlyArray<CheckName>): undefined {
    const missing = needs.find((one) => !this.passed(one)) ?? "form"
    this.#checks.push({ name, status: "notReached", needs: missing })
  }
  /** Records that the authorization server was not asked. */
  skipIntrospection(): undefined {
    this.#checks.push({ name: "introspection", status: "notReached", needs: "introspect" })
  }
  passed(name: CheckName): boolean {
    return this.#checks.some((check) => check.name === name && check.status === "pass")
  }

  get explanation(): Explanation {
    const failed = this.#checks.find((check) => check.status === "fail")
    return {
      accepted: this.#checks.every(({ status }) => status === "pass"),
      reason: failed?.status === "fail" ? failed.reason : undefined,
      checks: this.#checks
    }
  }

  #valuesOf(name: CheckName, reason: Reason | undefined): Values | undefined {
    if (!this.#showsValues) return undefined
    const header = headerMembers[name]
    const ofProof = checkedProofMembers[name]
    if (ofProof !== undefined) return valuesIn(pick(this.proof, ofProof))
    const entries = header === undefined
      ? pick(this.claims, [...checkedClaims[name] ?? [], ...namedClaim(reason)])
      : pick(this.header === undefined ? undefined : { ...this.header }, [header])
    return valuesIn(entries)
  }
}

const valuesIn = (entries: ReadonlyArray<readonly [string, unknown]>): Values | undefined =>
  entries.length === 0 ? undefined : Object.fromEntries(entries)

const pick = (
  source: JsonObject | undefined,
  names: ReadonlyArray<string>
): ReadonlyArray<readonly [string, unknown]> =>
  source === undefined ? [] : [...new Set(names)].flatMap((name) => {
    const value = own(source, name)
    return value === undefined ? [] : [[name, value] as const]
  })
