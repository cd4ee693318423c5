/**
 * docs/reference/configuration.md: sections from docs/reference-sections.json, options from schemas (type, range, default)
 * and from the documentation of interfaces, which editors show on hover.
 */
import { Schema, Struct } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript-api"
import { pairsIn } from "./api/options.ts"
import { documentationOf, exportsOf, open, root, sourceModules } from "./api/program.ts"
import { code, list, page, table } from "./referenceMarkdown.ts"
import { type OptionInfo, type Options, optionsOf, schemaIn } from "./referenceSchema.ts"

/** A section in docs/reference-sections.json. */
interface Entry {
  readonly title: string
  /** The module, such as `core/RetryPolicy`. */
  readonly module: string
  /** The module's exported schema, unless the options can only be set in code. */
  readonly schema?: string
  /** The module's exported interface, if `Decoders.decoders` does not pair one with the schema. */
  readonly interface?: string
  /** The title of a section whose options also apply here and are not repeated. */
  readonly beside?: string
  readonly intro: string
  /** A complete set of options, if some are required. */
  readonly sample?: object
  /** Rules between options, each with options that violate it. */
  readonly rules?: ReadonlyArray<{ readonly text: string; readonly broken: object }>
}

export interface Section extends Entry {
  readonly decoder: Options | undefined
  readonly options: ReadonlyArray<OptionInfo>
}

const file: { readonly links: Readonly<Record<string, string>>; readonly sections: ReadonlyArray<Entry> } = JSON.parse(
  readFileSync(join(root, "docs/reference-sections.json"), "utf8")
)

const types = open(sourceModules())
const pairs = pairsIn(types)

const symbolIn = (module: string, name: string): ts.Symbol => {
  const found = sourceModules().find((one) => one.name === `@keelson/${module}`)
  const exported = found && exportsOf(types, found).find((one) => one.name === name)
  if (exported === undefined) throw new Error(`${module} exports no ${name}`)
  return exported.symbol
}

/** The type whose members document the options: the interface if there is one, otherwise the schema's type. */
const documentedType = ({ interface: name, module, schema }: Entry): ts.Type => {
  if (name !== undefined) return types.checker.getDeclaredTypeOfSymbol(symbolIn(module, name))
  const pair = pairs.find((one) => one.module === module && one.schema === schema)
  if (pair !== undefined) return pair.type
  const constant = types.checker.getTypeOfSymbol(symbolIn(module, schema ?? ""))
  const type = constant.getProperty("Type")
  return type === undefined ? constant : types.checker.getTypeOfSymbol(type)
}

const typeCell = (type: string): string => {
  if (type === "string") return "text"
  return type.endsWith("DurationInput") ? "a duration with its unit" : code(type)
}

/** An option that can only be set in code: its declared type, and its documentation without the default. */
const codeOption = (member: ts.Symbol): OptionInfo => {
  const [node] = member.declarations ?? []
  const type = node !== undefined && ts.isPropertySignature(node) ? node.type?.getText() ?? "" : ""
  const text = documentationOf(types, member)
  const [end = "", preset] = / Default `?([^.]+?)`?\.$| Required\.$/.exec(text) ?? []
  return {
    name: member.name,
    value: typeCell(type.replace(/ \| undefined$/, "")),
    preset: preset === "none" ? undefined : preset,
    isRequired: (member.flags & ts.SymbolFlags.Optional) === 0,
    meaning: text.slice(0, text.length - end.length)
  }
}

const sectionOf = async (entry: Entry): Promise<Section> => {
  const decoder = entry.schema === undefined ? undefined : await schemaIn(entry.module, entry.schema)
  const members = documentedType(entry).getProperties()
  if (decoder === undefined) return { ...entry, decoder, options: members.map(codeOption) }
  const other = file.sections.find(({ title }) => title === entry.beside)
  const repeated = other?.schema === undefined ? {} : (await schemaIn(other.module, other.schema)).fields
  const own = Schema.Struct(Struct.omit(decoder.fields, Object.keys(repeated)))
  const documentation = new Map(members.map((member) => [member.name, documentationOf(types, member)]))
  return { ...entry, decoder, options: optionsOf(own, documentation) }
}

/** Every section with its options. */
export const sections: ReadonlyArray<Section> = await Promise.all(file.sections.map(sectionOf))

/** The text in the column of defaults. */
export const defaultCell = ({ isRequired, preset }: Pick<OptionInfo, "isRequired" | "preset">): string => {
  if (isRequired) return "required"
  return preset === undefined ? "none" : code(preset)
}

const valueCell = ({ name, value }: OptionInfo): string => {
  const title = file.links[name] ?? ""
  return value === "a section" ? `a section: [${title}](#${title.toLowerCase()})` : value
}

const head = ["Option", "Value", "Default", "Meaning"]

const blocks = ({ intro, options, rules = [], title }: Section): ReadonlyArray<string> => [
  `## ${title}`,
  intro,
  table(head, options.map((option) => [code(option.name), valueCell(option), defaultCell(option), option.meaning])),
  ...(rules.length === 0 ? [] : [list(rules.map(({ text }) => text))])
]

const intro = [
  "Options come from code, from JSON or YAML text, or from the environment; the guide is",
  "[configuration.md](../guides/configuration.md). A duration is written as a number and a unit: `250 millis`, `250ms`,",
  "`1.5 seconds`, `2 minutes`, `1 hour`, `1 day`. An unknown option, a value out of its range and a contradiction are",
  "refused with `INVALID_CONFIG` ([CFG-002](error-codes.md#cfg-002))."
].join("\n")

export const configurationPage = (): string => page("Configuration", [intro, ...sections.flatMap(blocks)])
