import { ConfigurationError } from "@keelson/core/KeelsonError"
import * as Predicate from "effect/Predicate"
import type { Current } from "./olderShape.ts"
import type { Place } from "./places.ts"

/** A fault, as core reports it. */
interface Issue {
  readonly path: string
  readonly expected: string
  readonly suggestion?: string
}

const isIssue = (value: unknown): value is Issue =>
  Predicate.isObject(value) && typeof Reflect.get(value, "path") === "string" &&
  typeof Reflect.get(value, "expected") === "string"

/** The path as it is written in the document: under its older name, if it has one. */
const writtenPath = (path: string, origins: ReadonlyMap<string, string>): string => {
  for (let end = path.length; end > 0; end = path.lastIndexOf(".", end - 1)) {
    const origin = origins.get(path.slice(0, end))
    if (origin !== undefined) return origin + path.slice(end)
  }
  return path
}

const sentence = (expected: string): string => {
  if (expected === "a known option") return "is not an option"
  return expected.startsWith("is ") ? expected : `must be ${expected}`
}

const described = ({ column, expected, line, path, suggestion }: Issue & Partial<Place>): string => {
  const place = line === undefined ? "" : ` (line ${line}, column ${column})`
  const hint = suggestion === undefined ? "" : `; did you mean ${suggestion}?`
  return `${path === "" ? "the document" : path}${place} ${sentence(expected)}${hint}`
}

/**
 * The error of a document, with the names that the document has, and their places; `undefined` if it has no fault. `error` is that of
 * decoding; what was found before is in the document.
 */
export const faultOf = (
  error: ConfigurationError | undefined,
  { faults, origins }: Pick<Current, "faults" | "origins">,
  placeOf: (path: string) => Place | undefined
): ConfigurationError | undefined => {
  const listed: unknown = error?.details["issues"]
  const issues = Array.isArray(listed) ? listed.filter(isIssue) : []
  if (issues.length === 0 && faults.length === 0) return error
  const all: ReadonlyArray<Issue> = [
    ...faults,
    ...issues.map((issue) => ({ ...issue, path: writtenPath(issue.path, origins) }))
  ]
  // One older option can have become two.
  const found = all
    .filter(({ expected, path }, at) => all.findIndex((o) => o.path === path && o.expected === expected) === at)
    .map((issue) => ({ ...issue, ...placeOf(issue.path) }))
  const [first] = found
  return new ConfigurationError({
    code: "INVALID_CONFIG",
    message: `Invalid configuration: ${found.map(described).join("; ")}`,
    details: { path: first?.path, expected: first?.expected, issues: found }
  })
}
