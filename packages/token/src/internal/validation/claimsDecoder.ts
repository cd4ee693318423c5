import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { Reason } from "../../TokenError.ts"
import { deepFreeze } from "./deepFreeze.ts"

/** A schema that claims decode to, without services of its own. */
export type ClaimsSchema = Schema.ConstraintDecoder<unknown>

/** The names that a schema itself has for members, at any depth. */
const namesOf = (ast: SchemaAST.AST): ReadonlySet<PropertyKey> => {
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

/** Where the first thing is wrong, and whether it is that something is not there. */
const placeOf = (
  issue: SchemaIssue.Issue,
  path: ReadonlyArray<PropertyKey> = []
): { readonly path: ReadonlyArray<PropertyKey>; readonly isMissing: boolean } => {
  switch (issue._tag) {
    case "Pointer":
      return placeOf(issue.issue, [...path, ...issue.path])
    case "Composite":
      return placeOf(issue.issues[0], path)
    case "Filter":
    case "Encoding":
      return placeOf(issue.issue, path)
    case "AnyOf":
      return issue.issues[0] === undefined ? { path, isMissing: false } : placeOf(issue.issues[0], path)
    default:
      return { path, isMissing: issue._tag === "MissingKey" }
  }
}

/**
 * Decodes and freezes claims, and tells of a failure where it is. What the token's author chose, as the keys of a record, shows as
 * `*`. A schema that throws, or would have to wait, refuses.
 */
export const makeClaimsDecoder = <S extends ClaimsSchema>(
  schema: S
): (members: unknown) => Result.Result<S["Type"], Reason> => {
  const decode = Schema.decodeUnknownResult(schema)
  const names = namesOf(schema.ast)
  const shown = (segment: PropertyKey) => typeof segment === "number" || names.has(segment) ? String(segment) : "*"
  const reasonOf = (issue: SchemaIssue.Issue): Reason => {
    const { isMissing, path } = placeOf(issue)
    const [first, ...rest] = path.map(shown)
    return first !== undefined && rest.length === 0 && isMissing
      ? { _tag: "ClaimMissing", claim: first }
      : { _tag: "ClaimInvalid", path: first === undefined ? "*" : [first, ...rest].join(".") }
  }
  return (members) => {
    try {
      return Result.mapBoth(decode(members), { onFailure: ({ issue }) => reasonOf(issue), onSuccess: deepFreeze })
    } catch {
      return Result.fail({ _tag: "ClaimInvalid", path: "*" })
    }
  }
}
