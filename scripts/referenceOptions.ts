/** What an option's schema says of it: read from the syntax tree, where Effect keeps annotations and checks. */
import { Configuration } from "@keelson/core"
import { Duration, type Schema, SchemaAST } from "effect"
import { written } from "../packages/core/src/internal/field.ts"

export interface OptionInfo {
  readonly name: string
  /** What it may be: type, range or allowed values. */
  readonly value: string
  /** As it is written; `undefined` where there is none. */
  readonly preset: string | undefined
  readonly meaning: string
}

type Decodable = Schema.ConstraintDecoder<unknown>

const shown = (value: unknown): string => {
  if (Duration.isDuration(value)) return written(value)
  if (Array.isArray(value)) return value.map(shown).join(", ")
  return String(value)
}

const expectedOf = (ast: SchemaAST.AST): string | undefined => {
  const expected = ast.checks?.at(-1)?.annotations?.["expected"]
  return typeof expected === "string" ? expected : undefined
}

const literals = (types: ReadonlyArray<SchemaAST.AST>): string =>
  types.map((type) => SchemaAST.isLiteral(type) ? `\`${String(type.literal)}\`` : describe(type)).join(", ")

/** Type, range and allowed values in words. A section of its own is told by its type only. */
export const describe = (ast: SchemaAST.AST): string => {
  const expected = expectedOf(ast)
  if (expected !== undefined) return expected
  if (SchemaAST.isUnion(ast)) return literals(ast.types)
  if (SchemaAST.isArrays(ast)) return `a list; each item ${ast.rest.map(describe).join(", ")}`
  if (SchemaAST.isBoolean(ast)) return "`true` or `false`"
  if (SchemaAST.isObjects(ast)) return "a section"
  throw new Error(`An option of type ${ast._tag} has no words for the reference yet`)
}

const decodedEmpty = (schema: Decodable): Readonly<Record<string, unknown>> => {
  const value = Configuration.decodeUnsafe(schema)({})
  return typeof value === "object" && value !== null ? { ...value } : {}
}

/** The range of a value as its doc comment has to say it; empty where there is none. */
const rangeOf = (value: string): string => {
  const range = / (from .+)$/.exec(value)?.[1]
  if (range === undefined) return ""
  return value.startsWith("a list") ? ` Each ${range}.` : ` ${range[0]?.toUpperCase()}${range.slice(1)}.`
}

/**
 * Every option of a struct, in its order. Its default is what an empty section decodes to, and what it means is its doc
 * comment, which has to end with the range and the default that the schema has.
 */
export const optionsOf = (schema: Decodable, comments: ReadonlyMap<string, string>): ReadonlyArray<OptionInfo> => {
  if (!SchemaAST.isObjects(schema.ast)) throw new Error("Options are a struct")
  const presets = decodedEmpty(schema)
  return schema.ast.propertySignatures.map(({ name, type }) => {
    const key = String(name)
    const comment = comments.get(key)
    if (comment === undefined) throw new Error(`The option ${key} has no doc comment`)
    const value = describe(type)
    const preset = key in presets ? shown(presets[key]) : undefined
    const bounds = `${rangeOf(value)} Default ${preset ?? "none"}.`
    if (!comment.endsWith(bounds)) throw new Error(`The doc comment of ${key} has to end with:${bounds}`)
    return { name: key, value, preset, meaning: comment.slice(0, -bounds.length) }
  })
}
