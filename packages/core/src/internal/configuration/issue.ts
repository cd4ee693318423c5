import type * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type { ConfigurationError } from "../../KeelsonError.ts"
import * as InvalidConfig from "../../unstable/InvalidConfig.ts"

const leafHook: SchemaIssue.LeafHook = (issue) => {
  switch (issue._tag) {
    case "MissingKey":
      return "is missing"
    case "UnexpectedKey":
      return "is not an option"
    case "InvalidType":
      return issue.ast._tag === "Objects" ? "Expected a section of options" : SchemaIssue.defaultLeafHook(issue)
    default:
      return SchemaIssue.defaultLeafHook(issue)
  }
}

/** The bound of a part of the schema, from its last check. */
const boundOf = (ast: SchemaAST.AST): string | undefined => {
  const expected = ast.checks?.at(-1)?.annotations?.["expected"]
  return typeof expected === "string" ? expected : undefined
}

/** Whether an issue is about a part of a value. */
const isWithin = (issue: SchemaIssue.Issue): boolean => {
  switch (issue._tag) {
    case "Pointer":
      return true
    case "Composite":
      return issue.issues.some(isWithin)
    case "Encoding":
    case "Filter":
      return isWithin(issue.issue)
    default:
      return false
  }
}

/** Names the bound for a value of the wrong type too: `a whole number from 1 to 100` instead of `number`. */
const named = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  switch (issue._tag) {
    case "Pointer":
      return new SchemaIssue.Pointer(issue.path, named(issue.issue))
    case "Composite": {
      const [first, ...others] = issue.issues
      return new SchemaIssue.Composite(issue.ast, [named(first), ...others.map(named)])
    }
    case "Encoding":
    case "InvalidType": {
      // For a list or section of the right form, the issue within it is more precise than the bound of the whole.
      if (issue._tag === "Encoding" && isWithin(issue.issue)) {
        return new SchemaIssue.Encoding(issue.ast, named(issue.issue))
      }
      const expected = boundOf(issue.ast)
      if (expected !== undefined) return new SchemaIssue.InvalidValue({ expected })
      return issue._tag === "Encoding" ? new SchemaIssue.Encoding(issue.ast, named(issue.issue)) : issue
    }
    default:
      return issue
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1({ leafHook })

/** A bound as the end of a sentence. The message of a schema is `Expected ...`, or only the bound. */
const sentence = (message: string): string => message.startsWith("is ") ? message : `must be ${bound(message)}`
const bound = (message: string): string =>
  message === "is not an option" ? "a known option" : message.replace(/^Expected /, "")

/** The error of an issue. It names the path and bound of every part, and never the value, which may be a secret. */
export const toConfigurationError = (
  issue: Schema.SchemaError["issue"],
  prefix: ReadonlyArray<string>
): ConfigurationError => {
  const issues = format(named(issue)).issues.map(({ message, path }) => ({
    path: [...prefix, ...(path ?? [])].map((segment) => String(typeof segment === "object" ? segment.key : segment))
      .join("."),
    message
  }))
  return InvalidConfig.option(issues[0]?.path ?? "", bound(issues[0]?.message ?? ""), {
    message: `Invalid configuration: ${
      issues.map(({ message, path }) => `${path === "" ? "the document" : path} ${sentence(message)}`).join("; ")
    }`,
    details: {
      issues: issues.map(({ message, path }) => ({ path, expected: bound(message) }))
    }
  })
}
