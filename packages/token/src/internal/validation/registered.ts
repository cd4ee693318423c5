import * as Result from "effect/Result"
import { maxNumericDate, type Registered } from "../../Claims.ts"
import type { Reason } from "../../TokenError.ts"
import type { ValidationPolicy } from "../../ValidationPolicy.ts"
import { invalidMember, missingMember } from "./reasons.ts"
import { type JsonObject, own } from "./strictJson.ts"

const isTexts = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((element) => typeof element === "string")

/** Reads members, and keeps the first thing that is wrong with them. */
class Reader {
  reason: Reason | undefined
  readonly #members: JsonObject
  constructor(members: JsonObject) {
    this.#members = members
  }
  text(name: string): string | undefined {
    const value = own(this.#members, name)
    if (value === undefined || typeof value === "string") return value
    return this.#refuse(invalidMember(name))
  }
  date(name: string): number | undefined {
    const value = own(this.#members, name)
    if (value === undefined) return undefined
    if (typeof value === "number" && value >= 0 && value <= maxNumericDate) return value
    return this.#refuse(invalidMember(name))
  }
  /** A text, or a list of them, as a list. */
  texts(name: string, most = Number.POSITIVE_INFINITY): ReadonlyArray<string> | undefined {
    const value = own(this.#members, name)
    if (value === undefined) return undefined
    if (typeof value === "string") return [value]
    if (isTexts(value) && value.length <= most) return value
    return this.#refuse(invalidMember(name))
  }
  /** Scopes of a text are apart by spaces (RFC 6749, 3.3); those of a list are as they are, whatever is in them. */
  scopes(name: string): ReadonlyArray<string> | undefined {
    const value = own(this.#members, name)
    return typeof value === "string" ? value.split(" ").filter((part) => part !== "") : this.texts(name)
  }
  required<A>(name: string, value: A | undefined, otherwise: A): A {
    if (value === undefined) this.#refuse(missingMember(name))
    return value ?? otherwise
  }
  #refuse(reason: Reason): undefined {
    this.reason ??= reason
  }
}

/**
 * The claims that are looked at, whatever the claims schema says of them; before any key is looked for, so that a date
 * that is absurd costs no signature check.
 *
 * They are frozen. Fails with the first that is missing or has the wrong shape: `iss`, `exp` and the claim that has the
 * audience have to be there.
 */
export const readRegistered = (
  members: JsonObject,
  { audienceClaim, maxAudiences }: Pick<ValidationPolicy, "audienceClaim" | "maxAudiences">
): Result.Result<Registered, Reason> => {
  const reader = new Reader(members)
  const written = reader.texts("scope") ?? reader.texts("scp")
  const aud = reader.texts("aud", maxAudiences)
  const clientId = reader.text("client_id")
  const registered: Registered = Object.freeze({
    iss: reader.required("iss", reader.text("iss"), ""),
    sub: reader.text("sub"),
    aud: Object.freeze(audienceClaim === "aud" ? reader.required("aud", aud, []) : aud ?? []),
    exp: reader.required("exp", reader.date("exp"), 0),
    nbf: reader.date("nbf"),
    iat: reader.date("iat"),
    jti: reader.text("jti"),
    sid: reader.text("sid"),
    client_id: audienceClaim === "client_id" ? reader.required("client_id", clientId, "") : clientId,
    scope: written?.join(" "),
    scopes: Object.freeze(reader.scopes("scope") ?? reader.scopes("scp") ?? [])
  })
  return reader.reason === undefined ? Result.succeed(registered) : Result.fail(reader.reason)
}
