import type { Principal } from "@keelson/token/Principal"
import * as Predicate from "effect/Predicate"
import type { Bucket, Require } from "../../BucketOptions.ts"

/** A claim; a name with dots is a member of an object, unless a claim has the whole name. */
export const claimOf = (claims: object, name: string): unknown => {
  if (Object.hasOwn(claims, name)) return Reflect.get(claims, name)
  let value: unknown = claims
  for (const part of name.split(".")) {
    if (!Predicate.isObject(value) || Array.isArray(value) || !Object.hasOwn(value, part)) return undefined
    value = Reflect.get(value, part)
  }
  return value
}

const isText = (value: unknown): value is string | number | boolean =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"

const has = (claim: unknown, values: string | ReadonlyArray<string>): boolean => {
  const wanted = typeof values === "string" ? [values] : values
  const given = Array.isArray(claim) ? claim : [claim]
  return given.some((one) => isText(one) && wanted.includes(String(one)))
}

/** What a caller lacks: scopes, which the answer names, or something else. */
export type Lack = { readonly scopes: ReadonlyArray<string> } | "other" | undefined

/** What a caller lacks of one section. Everything that it has must hold. */
const lackOf = (caller: Principal<object>, { claims, roles, scopes }: Require): Lack => {
  if (!scopes.every((scope) => caller.hasScope(scope))) return { scopes }
  if (roles.length > 0 && !roles.some((role) => caller.hasRole(role))) return "other"
  return Object.entries(claims).every(([name, values]) => has(claimOf(caller.claims, name), values))
    ? undefined
    : "other"
}

/** What a caller lacks for a method. `HEAD` is allowed what `GET` is. */
export const lackFor = (
  caller: Principal<object>,
  { require, requireFor }: Pick<Bucket, "require" | "requireFor">,
  method: "GET" | "HEAD" | "PUT" | "DELETE"
): Lack => {
  const common = require === undefined ? undefined : lackOf(caller, require)
  if (common !== undefined) return common
  const own = requireFor?.[method === "HEAD" ? "GET" : method]
  return own === undefined ? undefined : lackOf(caller, own)
}
