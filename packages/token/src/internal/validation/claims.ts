/**
 * Decoding of claims: the registered ones by rules of Keelson's own, and all of them by the claims schema of a validator.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { Confirmation, Registered } from "../../Claims.ts"
import type * as TokenError from "../../TokenError.ts"
import { trustDomainId } from "./issuers.ts"
import { maxNumericDate } from "./numericDate.ts"
import { invalidMember, missingMember, tooManyAudiences } from "./reasons.ts"
import type { Rules } from "./rules.ts"
import { type JsonObject, own } from "./strictJson.ts"

type Reason = TokenError.Reason

const isStringArray = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((element) => typeof element === "string")

/** A string, or an array of strings, as an array; `undefined` for anything else. */
export const stringsOf = (value: unknown): ReadonlyArray<string> | undefined => {
  if (typeof value === "string") return [value]
  return isStringArray(value) ? value : undefined
}

/** Reads members, and keeps the reason of the first that is missing or has the wrong type. */
class MemberReader {
  reason: Reason | undefined
  readonly #members: JsonObject
  readonly #used: ReadonlySet<string>
  constructor(members: JsonObject, used: ReadonlySet<string>) {
    this.#members = members
    this.#used = used
  }
  string(name: string): string | undefined {
    const value = own(this.#members, name)
    if (value === undefined || typeof value === "string") return value
    return this.#reject(invalidMember(name))
  }
  /** A string. If the policy does not use the claim, a value of another type counts as absent. */
  optionalString(name: string): string | undefined {
    const value = own(this.#members, name)
    if (value === undefined || typeof value === "string") return value
    return this.#ignore(name, value)
  }
  date(name: string): number | undefined {
    const value = own(this.#members, name)
    if (value === undefined) return undefined
    if (typeof value === "number" && value >= 0 && value <= maxNumericDate) return value
    return this.#reject(invalidMember(name))
  }
  /** A string, or an array of at most `maximum` strings, as an array. */
  audiences(name: string, maximum: number): ReadonlyArray<string> | undefined {
    const value = own(this.#members, name)
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.length > maximum) return this.#reject(tooManyAudiences(name, maximum))
    return stringsOf(value) ?? this.#reject(invalidMember(name))
  }
  /** A string is split at spaces (RFC 6749, 3.3); elements of an array are taken as they are. */
  scopes(name: string): Pick<Registered, "scope" | "scopes"> | undefined {
    const value = own(this.#members, name)
    if (value === undefined) return undefined
    if (typeof value === "string") return { scope: value, scopes: value.split(" ").filter((part) => part !== "") }
    return isStringArray(value) ? { scope: value.join(" "), scopes: value } : this.#ignore(name, value)
  }
  required<A>(name: string, value: A | undefined, fallback: A): A {
    if (value === undefined) this.#reject(missingMember(name))
    return value ?? fallback
  }
  /** `null` is rejected as missing where the claim is required. */
  #ignore(name: string, value: unknown): undefined {
    if (value !== null && this.#used.has(name)) this.#reject(invalidMember(name))
  }
  #reject(reason: Reason): undefined {
    this.reason ??= reason
  }
}

/** A JWT-SVID need not state its issuer, which is the trust domain. */
const defaultIssuer = (trustDomain: string | undefined): string | undefined =>
  trustDomain === undefined ? undefined : trustDomainId(trustDomain)
/** Text, or empty text for a value of another type: a key of that name does not exist, so that the token is rejected. */
const confirmationOf = (members: JsonObject, name: string): string | undefined => {
  const value = own(members, name)
  return value === undefined || typeof value === "string" ? value : ""
}

/** The claim `cnf`. A claim that is not an object names no key, and is not the same as a token without the claim. */
const decodeConfirmation = (members: JsonObject): Confirmation | undefined => {
  const value = own(members, "cnf")
  if (Predicate.isNullish(value)) return undefined
  const names: JsonObject = Predicate.isObject(value) ? { ...value } : {}
  return Object.freeze({ jkt: confirmationOf(names, "jkt"), "x5t#S256": confirmationOf(names, "x5t#S256") })
}

const noScopes: Pick<Registered, "scope" | "scopes"> = { scope: undefined, scopes: [] }

/**
 * Decodes and freezes the registered claims, independently of the claims schema. This runs before any key lookup, so
 * that a token with an invalid date costs no signature check.
 *
 * Fails with the first claim that is missing or has the wrong type: `iss`, `exp` and the audience claim are required. The types
 * of `sid`, `scope`, `scp` and `client_id` only matter where the policy uses them; the claims schema decides otherwise.
 */
export const decodeRegistered = (
  members: JsonObject,
  { policy: { audienceClaim, maxAudiences, trustDomain }, usedClaims }: Pick<Rules, "policy" | "usedClaims">
): Result.Result<Registered, Reason> => {
  const reader = new MemberReader(members, usedClaims)
  const { scope, scopes } = reader.scopes("scope") ?? reader.scopes("scp") ?? noScopes
  const aud = reader.audiences("aud", maxAudiences)
  if (audienceClaim !== "aud") reader.required(audienceClaim, reader.audiences(audienceClaim, maxAudiences), [])
  const registered: Registered = Object.freeze({
    iss: reader.required("iss", reader.string("iss") ?? defaultIssuer(trustDomain), ""),
    sub: reader.string("sub"),
    aud: Object.freeze(audienceClaim === "aud" ? reader.required("aud", aud, []) : aud ?? []),
    exp: reader.required("exp", reader.date("exp"), 0),
    nbf: reader.date("nbf"),
    iat: reader.date("iat"),
    jti: reader.string("jti"),
    sid: reader.optionalString("sid"),
    client_id: reader.optionalString("client_id"),
    cnf: decodeConfirmation(members),
    scope,
    scopes: Object.freeze(scopes)
  })
  return reader.reason === undefined ? Result.succeed(registered) : Result.fail(reader.reason)
}

/**
 * Plain objects, arrays, and instances of a `Schema.Class`. Other values that a schema may decode to keep their content in
 * internal slots, as a `Map` does, or cache in themselves, as a `DateTime` does.
 */
const isFreezable = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Array.isArray(value) ||
    Schema.isSchema(value.constructor)
}

/** `seen` is created for the first nested value: claims often have none. */
const freeze = (value: object, seen?: Set<object>): void => {
  Object.freeze(value)
  let visited = seen
  for (const child of Object.values(value)) {
    if (!isFreezable(child)) continue
    visited ??= new Set([value])
    if (visited.has(child)) continue
    visited.add(child)
    freeze(child, visited)
  }
}

/** Freezes a value and everything nested in it: all callers with the same token share one result object. */
export const deepFreeze = <A>(value: A): A => {
  if (isFreezable(value)) freeze(value)
  return value
}

/** A schema for claims, whose decoding requires no services. */
export type ClaimsSchema = Schema.ConstraintDecoder<unknown>

/** The member names that a schema declares, at any depth. */
const declaredNames = (ast: SchemaAST.AST): ReadonlySet<PropertyKey> => {
  const names = new Set<PropertyKey>()
  const seen = new Set<SchemaAST.AST>()
  const visit = (node: SchemaAST.AST): void => {
    if (seen.has(node)) return
    seen.add(node)
    for (const link of node.encoding ?? []) visit(link.to)
    switch (node._tag) {
      case "Objects":
        for (const { name, type } of node.propertySignatures) {
          names.add(name)
          visit(type)
        }
        for (const { type } of node.indexSignatures) visit(type)
        break
      case "Arrays":
        for (const element of [...node.elements, ...node.rest]) visit(element)
        break
      case "Union":
        for (const type of node.types) visit(type)
        break
      case "Suspend":
        visit(node.thunk())
        break
      case "Declaration":
        for (const type of node.typeParameters) visit(type)
        break
      default:
    }
  }
  visit(ast)
  return names
}

/** The path of the first issue, and whether the issue is a missing member. */
const locateIssue = (
  issue: SchemaIssue.Issue,
  path: ReadonlyArray<PropertyKey> = []
): { readonly path: ReadonlyArray<PropertyKey>; readonly isMissing: boolean } => {
  switch (issue._tag) {
    case "Pointer":
      return locateIssue(issue.issue, [...path, ...issue.path])
    case "Composite":
      return locateIssue(issue.issues[0], path)
    case "Filter":
    case "Encoding":
      return locateIssue(issue.issue, path)
    case "AnyOf":
      return issue.issues[0] === undefined ? { path, isMissing: false } : locateIssue(issue.issues[0], path)
    default:
      return { path, isMissing: issue._tag === "MissingKey" }
  }
}

/**
 * Makes a decoder that decodes claims by a schema and freezes them. A failure has the path of the first issue; names that the
 * token's author chose, such as the keys of a record, appear as `*`. A schema that throws or is asynchronous rejects the
 * token.
 */
export const makeClaimsDecoder = <S extends ClaimsSchema>(
  schema: S
): (members: unknown) => Result.Result<S["Type"], Reason> => {
  const decode = Schema.decodeUnknownResult(schema)
  const names = declaredNames(schema.ast)
  const redacted = (segment: PropertyKey) => typeof segment === "number" || names.has(segment) ? String(segment) : "*"
  const reasonOf = (issue: SchemaIssue.Issue): Reason => {
    const { isMissing, path } = locateIssue(issue)
    const [first, ...rest] = path.map(redacted)
    return first !== undefined && rest.length === 0 && isMissing
      ? missingMember(first)
      : invalidMember(first === undefined ? "*" : [first, ...rest].join("."))
  }
  return (members) => {
    try {
      return Result.mapBoth(decode(members), { onFailure: ({ issue }) => reasonOf(issue), onSuccess: deepFreeze })
    } catch {
      return Result.fail(invalidMember("*"))
    }
  }
}
