import * as Result from "effect/Result"
import type { Check, CheckName, Explanation, Values } from "../../Explain.ts"
import type { Reason } from "../../TokenError.ts"
import type { TokenHeader } from "../validation/joseHeader.ts"
import { type JsonObject, own } from "../validation/strictJson.ts"

/** The member of the header that a check looks at. */
const headerMembers: Partial<Record<CheckName, string>> = { algorithm: "alg", type: "typ", key: "kid" }

/** The claims that a check looks at. */
const claims: Partial<Record<CheckName, ReadonlyArray<string>>> = {
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
  revocation: ["jti", "sid", "sub", "iat"]
}

/** The claim that a reason is about, as far as its name is known. */
const claimOf = (reason: Reason | undefined): ReadonlyArray<string> => {
  if (reason === undefined) return []
  if ("claim" in reason) return [reason.claim]
  return "path" in reason ? reason.path.split(".", 1) : []
}

/** What was found out of a token so far, check by check. */
export class Findings {
  readonly #checks: Array<Check> = []
  readonly #showsValues: boolean
  /** What can be shown, as far as it could be read. */
  header: TokenHeader | undefined
  claims: JsonObject | undefined

  constructor(showsValues: boolean) {
    this.#showsValues = showsValues
  }

  /**
   * Makes a check where what it needs is there, and gives what it found.
   *
   * - `needs`: the checks that give it.
   */
  read<I, A>(
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
  /** The same for a check that finds nothing but a problem. */
  hold<I>(
    name: CheckName,
    needs: ReadonlyArray<CheckName>,
    input: I | undefined,
    check: (input: I) => Reason | undefined
  ): void {
    if (input === undefined) this.skip(name, needs)
    else this.add(name, check(input))
  }

  add(name: CheckName, reason: Reason | undefined): void {
    const values = this.#valuesOf(name, reason)
    const shown = values === undefined ? undefined : { values }
    this.#checks.push(
      reason === undefined ? { name, status: "pass", ...shown } : { name, status: "fail", reason, ...shown }
    )
  }
  skip(name: CheckName, needs: ReadonlyArray<CheckName>): undefined {
    const missing = needs.find((one) => !this.passed(one)) ?? "form"
    this.#checks.push({ name, status: "notReached", needs: missing })
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
    const entries = header === undefined
      ? pick(this.claims, [...claims[name] ?? [], ...claimOf(reason)])
      : pick(this.header === undefined ? undefined : { ...this.header }, [header])
    return entries.length === 0 ? undefined : Object.fromEntries(entries)
  }
}

const pick = (
  source: JsonObject | undefined,
  names: ReadonlyArray<string>
): ReadonlyArray<readonly [string, unknown]> =>
  source === undefined ? [] : [...new Set(names)].flatMap((name) => {
    const value = own(source, name)
    return value === undefined ? [] : [[name, value] as const]
  })
