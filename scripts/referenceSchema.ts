/** Reads type, range and default of an option from its schema's syntax tree, where Effect keeps annotations and checks. */
import { ByteSize, Duration, Result, Schema, SchemaAST } from "effect"
import { join } from "node:path"
import { decodeResult } from "../packages/core/src/internal/configuration/decodeResult.ts"
import { written, writtenSize } from "../packages/core/src/unstable/Field.ts"
import { root } from "./api/program.ts"

export interface Bounds {
  readonly name: string
  /** Type, range or allowed values. */
  readonly value: string
  /** The default as text; `undefined` if there is none. */
  readonly preset: string | undefined
  readonly isRequired: boolean
  /** The required end of the documentation. */
  readonly ending: string
}

export interface OptionInfo extends Omit<Bounds, "ending"> {
  readonly meaning: string
}

type Decodable = Schema.ConstraintDecoder<unknown>

/** A struct of options. */
export interface Options extends Decodable {
  readonly fields: { readonly [name: string]: Decodable }
}

/** A default as text. An empty list or object counts as no default. */
const shown = (value: unknown): string | undefined => {
  if (Duration.isDuration(value)) return written(value)
  if (ByteSize.isByteSize(value)) return writtenSize(value)
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(shown).join(", ")
  // The defaults of a section are those of its options.
  return typeof value === "object" && value !== null ? undefined : String(value)
}

const expectedOf = (ast: SchemaAST.AST): string | undefined => {
  const expected = ast.checks?.at(-1)?.annotations?.["expected"]
  return typeof expected === "string" ? expected : undefined
}

/** Effect's description of non-empty text. */
const notEmpty = "a value with a length of at least 1"

const literals = (types: ReadonlyArray<SchemaAST.AST>): string =>
  types.map((type) => SchemaAST.isLiteral(type) ? `\`${String(type.literal)}\`` : describe(type)).join(", ")

/** The encoded form of a value that has another form in memory. */
const encodedOf = (ast: SchemaAST.AST): SchemaAST.AST | undefined => ast.encoding?.[0]?.to

const isJsonText = (ast: SchemaAST.AST): boolean => {
  const encoded = encodedOf(ast)
  return encoded !== undefined && SchemaAST.isString(encoded)
}

/** Describes a union. A value that JSON can also contain as text is described once. */
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

/** Describes type, range and allowed values in words. Nested sections are described elsewhere. */
export const describe = (ast: SchemaAST.AST): string => {
  const expected = expectedOf(ast) ?? redacted(ast)
  if (expected !== undefined) return expected === notEmpty ? "text that is not empty" : expected
  if (SchemaAST.isUnion(ast)) return union(ast.types)
  if (SchemaAST.isArrays(ast)) return `a list; each item ${ast.rest.map(describe).join(", ")}`
  if (SchemaAST.isBoolean(ast)) return "`true` or `false`"
  if (SchemaAST.isObjects(ast)) return ast.propertySignatures.length === 0 ? "an object" : "a section"
  throw new Error(`An option of type ${ast._tag} has no words for the reference yet`)
}

/** The range as the doc comment must state it; empty if there is none. */
const rangeOf = (value: string): string => {
  const [words = ""] = value.split(";", 1)
  const size = /(?:^|^text from |^a list of )(\d.*)$/.exec(words)?.[1]
  if (size !== undefined) return ` From ${size}.`
  const range = / (from .+)$/.exec(value)?.[1]
  if (range === undefined) return ""
  return value.startsWith("a list") ? ` Each ${range}.` : ` ${range[0]?.toUpperCase()}${range.slice(1)}.`
}

/** Whether an option is required, and its default if it has one. */
const presetOf = (name: string, field: Decodable): { readonly isRequired: boolean; readonly preset: unknown } => {
  const decoded = decodeResult(Schema.Struct({ [name]: field }))({})
  return Result.isFailure(decoded)
    ? { isRequired: true, preset: undefined }
    : { isRequired: false, preset: decoded.success[name] }
}

/** Every option of a struct, in order, with the required end of its documentation: range, then default. */
export const boundsOf = (schema: Options): ReadonlyArray<Bounds> =>
  Object.entries(schema.fields).map(([name, field]) => {
    const value = describe(field.ast)
    const { isRequired, preset } = presetOf(name, field)
    const written = preset === undefined ? undefined : shown(preset)
    const ending = `${rangeOf(value)} ${isRequired ? "Required" : `Default ${written ?? "none"}`}.`.trim()
    return { name, value, preset: written, isRequired, ending }
  })

const isOptions = (value: unknown): value is Options => Schema.isSchema(value) && "fields" in value
/** Whether a value is a record of fields, exported without a schema. */
const areFields = (value: unknown): value is Options["fields"] =>
  typeof value === "object" && value !== null && Object.values(value).every(Schema.isSchema)

/** The schema of options that a module, such as `core/RetryPolicy`, exports under a name. */
export const schemaIn = async (module: string, name: string): Promise<Options> => {
  const exported: Readonly<Record<string, unknown>> = await import(
    join(root, "packages", module.replace("/", "/src/") + ".ts")
  )
  const found = exported[name]
  if (isOptions(found)) return found
  if (areFields(found)) return Schema.Struct(found)
  throw new Error(`${module} exports no schema ${name}`)
}

/** The options of a struct with their documentation, without its end, which must match the schema. */
export const optionsOf = (schema: Options, documentation: ReadonlyMap<string, string>): ReadonlyArray<OptionInfo> =>
  boundsOf(schema).map(({ ending, ...bounds }) => {
    const text = documentation.get(bounds.name) ?? ""
    if (text === "") throw new Error(`The option ${bounds.name} has no doc comment`)
    if (!text.endsWith(` ${ending}`)) throw new Error(`The doc comment of ${bounds.name} has to end with: ${ending}`)
    return { ...bounds, meaning: text.slice(0, -ending.length - 1) }
  })
