/** What an option's schema says of it: read from the syntax tree, where Effect keeps annotations and checks. */
import { Configuration } from "@keelson/core"
import { Duration, Result, Schema, SchemaAST } from "effect"
import { written } from "../packages/core/src/unstable/Field.ts"

export interface OptionInfo {
  readonly name: string
  /** What it may be: type, range or allowed values. */
  readonly value: string
  /** As it is written; `undefined` where there is none. */
  readonly preset: string | undefined
  /** Whether it has to be given. */
  readonly isRequired?: boolean
  readonly meaning: string
}

type Decodable = Schema.ConstraintDecoder<unknown>

/** A struct of options. */
export interface Options extends Decodable {
  readonly fields: { readonly [name: string]: Decodable }
}

/** An empty list is none at all. */
const shown = (value: unknown): string | undefined => {
  if (Duration.isDuration(value)) return written(value)
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(shown).join(", ")
  return String(value)
}

const expectedOf = (ast: SchemaAST.AST): string | undefined => {
  const expected = ast.checks?.at(-1)?.annotations?.["expected"]
  return typeof expected === "string" ? expected : undefined
}

/** Effect's own words for text that is not empty. */
const notEmpty = "a value with a length of at least 1"

const literals = (types: ReadonlyArray<SchemaAST.AST>): string =>
  types.map((type) => SchemaAST.isLiteral(type) ? `\`${String(type.literal)}\`` : describe(type)).join(", ")

/** What is written in place of a value that has another form in memory. */
const encodedOf = (ast: SchemaAST.AST): SchemaAST.AST | undefined => ast.encoding?.[0]?.to

const isJsonText = (ast: SchemaAST.AST): boolean => {
  const encoded = encodedOf(ast)
  return encoded !== undefined && SchemaAST.isString(encoded)
}

/** One thing that is also read from text in JSON is described once. */
const union = (types: ReadonlyArray<SchemaAST.AST>): string => {
  const [first, second] = types
  return first !== undefined && second !== undefined && types.length === 2 && !SchemaAST.isLiteral(first) &&
      isJsonText(second)
    ? `${describe(first)}; or the same as text in JSON`
    : literals(types)
}

/** Key material is `Redacted` in memory. */
const redacted = (ast: SchemaAST.AST): string | undefined => {
  const encoded = encodedOf(ast)
  return SchemaAST.isDeclaration(ast) && ast.annotations?.["expected"] === "Redacted" && encoded !== undefined
    ? `${describe(encoded)}; redacted`
    : undefined
}

/** Type, range and allowed values in words. A section of its own is told by its type only. */
export const describe = (ast: SchemaAST.AST): string => {
  const expected = expectedOf(ast) ?? redacted(ast)
  if (expected !== undefined) return expected === notEmpty ? "text that is not empty" : expected
  if (SchemaAST.isUnion(ast)) return union(ast.types)
  if (SchemaAST.isArrays(ast)) return `a list; each item ${ast.rest.map(describe).join(", ")}`
  if (SchemaAST.isBoolean(ast)) return "`true` or `false`"
  if (SchemaAST.isObjects(ast)) return ast.propertySignatures.length === 0 ? "an object" : "a section"
  throw new Error(`An option of type ${ast._tag} has no words for the reference yet`)
}

/** The range of a value as its doc comment has to say it; empty where there is none. */
const rangeOf = (value: string): string => {
  const [words = ""] = value.split(";", 1)
  const size = /(?:^|^text from |^a list of )(\d.*)$/.exec(words)?.[1]
  if (size !== undefined) return ` From ${size}.`
  const range = / (from .+)$/.exec(value)?.[1]
  if (range === undefined) return ""
  return value.startsWith("a list") ? ` Each ${range}.` : ` ${range[0]?.toUpperCase()}${range.slice(1)}.`
}

/** What becomes of an option that is not given: a value, nothing, or an error. */
const presetOf = (name: string, field: Decodable): { readonly isRequired: boolean; readonly preset?: unknown } => {
  const decoded = Configuration.decodeResult(Schema.Struct({ [name]: field }))({})
  if (Result.isFailure(decoded)) return { isRequired: true }
  return name in decoded.success ? { isRequired: false, preset: decoded.success[name] } : { isRequired: false }
}

/**
 * Every option of a struct, in its order. Its default is what it decodes to where it is not given, and what it means is
 * its doc comment, which has to end with the range and the default that the schema has.
 */
export const optionsOf = (schema: Options, comments: ReadonlyMap<string, string>): ReadonlyArray<OptionInfo> =>
  Object.entries(schema.fields).map(([name, field]) => {
    const comment = comments.get(name)
    if (comment === undefined) throw new Error(`The option ${name} has no doc comment`)
    const value = describe(field.ast)
    const found = presetOf(name, field)
    const preset = "preset" in found ? shown(found.preset) : undefined
    const bounds = `${rangeOf(value)} ${found.isRequired ? "Required" : `Default ${preset ?? "none"}`}.`
    if (!comment.endsWith(bounds)) throw new Error(`The doc comment of ${name} has to end with:${bounds}`)
    return { name, value, preset, isRequired: found.isRequired, meaning: comment.slice(0, -bounds.length) }
  })
