import type * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type { ConfigurationError } from "../../KeelsonError.ts"
import * as InvalidConfig from "../../unstable/InvalidConfig.ts"
import { nearest } from "./nearest.ts"

const unknownOption = "is not an option"

const leafHook: SchemaIssue.LeafHook = (issue) => {
  switch (issue._tag) {
    case "MissingKey":
      return "is missing"
    case "UnexpectedKey":
      return unknownOption
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
  message === unknownOption ? "a known option" : message.replace(/^Expected /, "")

/** The names of the options in the section of a path. */
const optionsAt = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<string> => {
  switch (ast._tag) {
    case "Objects": {
      const [head, ...rest] = path
      if (head === undefined) return ast.propertySignatures.map(({ name }) => String(name))
      return ast.propertySignatures.flatMap(({ name, type }) => name === head ? optionsAt(type, rest) : [])
    }
    case "Union":
      return ast.types.flatMap((type) => optionsAt(type, path))
    case "Arrays":
      return ast.rest.flatMap((type) => optionsAt(type, path.slice(1)))
    default:
      return []
  }
}

/** What is known about the source of the options. */
export interface Source {
  /** The encoded side of the schema, for the names of options. */
  readonly ast: SchemaAST.AST
  /** The line of a value in the text that was decoded, by its path in the section. */
  readonly lineOf?: ((path: ReadonlyArray<string>) => number | undefined) | undefined
}

interface Found {
  readonly path: string
  readonly message: string
  readonly line: number | undefined
  readonly suggestion: string | undefined
}

const described = ({ line, message, path, suggestion }: Found): string => {
  const place = line === undefined ? "" : ` (line ${line})`
  const hint = suggestion === undefined ? "" : `; did you mean ${suggestion}?`
  return `${path === "" ? "the document" : path}${place} ${sentence(message)}${hint}`
}

/** The error of an issue. It names the path and bound of every part, and never the value, which may be a secret. */
export const toConfigurationError = (
  issue: Schema.SchemaError["issue"],
  prefix: ReadonlyArray<string>,
  source: Source
): ConfigurationError => {
  const issues = format(named(issue)).issues.map(({ message, path = [] }): Found => {
    const own = path.map((segment) => String(typeof segment === "object" ? segment.key : segment))
    return {
      path: [...prefix, ...own].join("."),
      message,
      line: source.lineOf?.(own),
      suggestion: message === unknownOption
        ? nearest(own.at(-1) ?? "", optionsAt(source.ast, own.slice(0, -1)))
        : undefined
    }
  })
  return InvalidConfig.option(issues[0]?.path ?? "", bound(issues[0]?.message ?? ""), {
    message: `Invalid configuration: ${issues.map(described).join("; ")}`,
    details: {
      issues: issues.map(({ line, message, path, suggestion }) => ({
        path,
        expected: bound(message),
        ...(line === undefined ? undefined : { line }),
        ...(suggestion === undefined ? undefined : { suggestion })
      }))
    }
  })
}
