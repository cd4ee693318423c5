import { assert, describe, it } from "@effect/vitest"
import { join } from "node:path"
import { documentedCount, hoversOf, undocumented } from "../api/hover.ts"
import { pairsIn } from "../api/options.ts"
import { open, root } from "../api/program.ts"
import { surfaceOf } from "../api/report.ts"
import { hoverProblems } from "../publish/hovers.ts"

const file = join(root, "node_modules/@keelson/core/src/Example.ts")
const module = { name: "@keelson/core/Example", file }
const source = `
declare const decoders: <O, S>(schema: S) => O
declare const schema: { readonly size: string }

/** A part. */
export interface Part {
  /** Its name. Required. */
  readonly name: string
}
export interface Options {
  /** How big. From 1 to 9. Default 1. */
  readonly size?: number | undefined
  readonly bare?: string | undefined
  /** The parts. Default none. */
  readonly parts?: ReadonlyArray<Part | string> | undefined
}
/** A value, not options. */
export interface Value {
  readonly a: number
}
export abstract class Base {
  constructor(options: { readonly hidden: string }) {
    void options
  }
}
export class Failure extends Base {}
export const make = (options?: Options): Value => ({ a: options?.size ?? 1 })
export const later: (value: Value) => (options: Pick<Options, "size">) => number | "b" | "a" = () => () => "a"
export const Tag = () => class { static readonly layer = (settings: Options) => settings }
export const checked = decoders<Options, typeof schema>(schema)
`
const files = new Map([[file, source]])
const hovers = hoversOf([module], root, files)
const found = (call: string) =>
  hovers.filter((hover) => hover.call === `@keelson/core/Example ${call}`).map(({ documentation, path }) =>
    [path.join("."), documentation] as const
  )
const options: Array<readonly [string, string]> = [
  ["size", "How big. From 1 to 9. Default 1."],
  ["bare", ""],
  ["parts", "The parts. Default none."],
  ["parts[].name", "Its name. Required."]
]

describe("options in an editor", () => {
  it("are those of functions, of what they return, of static members and of constructors that may be called", () => {
    assert.deepStrictEqual(found("m.make("), options)
    assert.deepStrictEqual(found("m.Tag().layer("), options)
    assert.deepStrictEqual(found("m.later(u)("), [["size", "How big. From 1 to 9. Default 1."]])
    assert.deepStrictEqual(found("new m.Failure("), [["hidden", ""]])
    assert.lengthOf(hovers, 10)
  })

  it("are counted, and those without documentation are named by call", () => {
    assert.strictEqual(documentedCount(hovers), "7 of 10 options documented")
    assert.deepStrictEqual(undocumented(hovers), [
      "@keelson/core/Example new m.Failure({ hidden }) shows no documentation",
      "@keelson/core/Example m.make({ bare }) shows no documentation",
      "@keelson/core/Example m.Tag().layer({ bare }) shows no documentation"
    ])
  })

  it("have to end with the range and default of their schema", () => {
    const wanted = new Map([["core/Example.Options.size", "From 1 to 9. Default 2."]])
    const made = hovers.filter(({ call, path }) => call.endsWith("m.make(") && path[0] !== "bare")
    assert.deepStrictEqual(hoverProblems(made, wanted), [
      "@keelson/core/Example m.make({ size }) has to end with: From 1 to 9. Default 2."
    ])
    assert.deepStrictEqual(hoverProblems(made, new Map([["core/Example.Options.size", "From 1 to 9. Default 1."]])), [])
  })
})

describe("the reader of types", () => {
  const types = open([module], root, files)

  it("knows which schema an interface is kept in step with", () => {
    assert.deepStrictEqual(pairsIn(types).map(({ module, schema }) => [module, schema]), [["core/Example", "schema"]])
  })

  it("reports each export by name, with unions in order and without comments, then what they use", () => {
    const { declarations, types: typeCount, values } = surfaceOf(types, module)
    assert.deepStrictEqual([values, typeCount], [6, 3])
    const text = declarations.join("\n")
    assert.include(text, `(options: Pick<Options, "size">) => "a" | "b" | number`)
    assert.notInclude(text, "How big")
    assert.match(declarations.at(-1) ?? "", /declare const schema/)
    assert.match(declarations[0] ?? "", /class Base/)
  })
})
