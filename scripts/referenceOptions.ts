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

/** Every option of a struct, in its order. Its default is what an empty section decodes to. */
export const optionsOf = (schema: Decodable): ReadonlyArray<OptionInfo> => {
  if (!SchemaAST.isObjects(schema.ast)) throw new Error("Options are a struct")
  const presets = decodedEmpty(schema)
  return schema.ast.propertySignatures.map(({ name, type }) => {
    const key = String(name)
    const meaning = type.context?.annotations?.description
    if (meaning === undefined) throw new Error(`The option ${key} has no description`)
    return { name: key, value: describe(type), preset: key in presets ? shown(presets[key]) : undefined, meaning }
  })
}
