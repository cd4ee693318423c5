import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { ConfigurationError } from "../../KeelsonError.ts"
import * as InvalidConfig from "../../unstable/InvalidConfig.ts"
import { toConfigurationError } from "./issue.ts"

export const parseOptions = { onExcessProperty: "error", errors: "all" } as const

const isPlain = (input: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(input)
  return prototype === null || prototype === Object.prototype
}

/** Limits above what any options need. Deeper or larger input is a mistake, a cycle, or nested YAML aliases that expand. */
const maxDepth = 64
const maxMembers = 100_000

export const isBounded = (tree: unknown): boolean => {
  let left = maxMembers
  const visit = (node: unknown, depth: number): boolean => {
    if (!Array.isArray(node) && !(Predicate.isObject(node) && isPlain(node))) return true
    return depth < maxDepth && Object.values(node).every((child) => left-- > 0 && visit(child, depth + 1))
  }
  return visit(tree, 0)
}

export const unbounded = (path: ReadonlyArray<string>) =>
  InvalidConfig.option(path.join("."), `at most ${maxDepth} levels and ${maxMembers} members`, {
    message: `Invalid configuration: ${path.length === 0 ? "the document" : path.join(".")} is too deep or too large`
  })

/** Converts input to the plain data that option schemas decode: a `Duration` to text, a `Redacted` to its value. */
export const plain = (input: unknown): unknown => {
  if (Redacted.isRedacted(input)) return plain(Redacted.value(input))
  if (Duration.isDuration(input)) return String(input)
  if (Array.isArray(input)) return input.map(plain)
  if (!Predicate.isObject(input)) return input
  // A `Map` or `Date` has no own members, and must not be decoded as an empty object.
  if (!isPlain(input)) return Object.prototype.toString.call(input)
  return Object.fromEntries(
    Object.entries(input).flatMap(([key, value]) => value === undefined ? [] : [[key, plain(value)]])
  )
}

/**
 * Decodes a plain object. Durations are `Duration` values or text with a unit (`"250 millis"`).
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`); its details list the `path` and `expected` of each issue.
 */
export const decodeResult = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  path: ReadonlyArray<string> = []
) => {
  const decode = Schema.decodeUnknownResult(schema, parseOptions)
  return (input: unknown): Result.Result<S["Type"], ConfigurationError> =>
    isBounded(input)
      ? Result.mapError(
        decode(plain(input)),
        (error) => toConfigurationError(error.issue, path, { ast: SchemaAST.toEncoded(schema.ast) })
      )
      : Result.fail(unbounded(path))
}
