/**
 * Writes every fence marked `ts import.meta.vitest`, in doc comments and Markdown, as a Vitest file under `.doctest/`,
 * so that examples are type-checked by `pnpm check` and run by `pnpm test`.
 *
 * Examples import packages by name, as their users do.
 * `expression // => expected` and `const name = expression // => expected` are assertions with Effect's equality.
 */
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const out = join(root, ".doctest")

const sources = ["packages/*/src/**/*.ts", "packages/*/README.md", "docs/**/*.md", "README.md"]
const generated = [/^docs\/api\//, /node_modules/]
const fence =
  /^([ \t]*(?:\*[ \t]?)?)```ts import\.meta\.vitest(?: name="([^"]*)")?[ \t]*\n([\s\S]*?)^[ \t]*(?:\*[ \t]?)?```/gm
const assertion = /^(\s*)(?:const (\w+)(?:: [^=]+)? = )?(.+?)\s*\/\/ => (.+)$/

const statement = (line: string): ReadonlyArray<string> => {
  const match = assertion.exec(line)
  if (match === null) return [line]
  const [, indent, name, expression, expected] = match
  const assert = `${indent}Assert.assertEquals<unknown>(${name ?? expression}, ${expected})`
  return name === undefined ? [assert] : [`${indent}const ${name} = ${expression}`, assert]
}

/** Splits an example into its imports and its body, with arrows turned into assertions. */
export const partsOf = (
  code: string
): { readonly imports: ReadonlyArray<string>; readonly body: ReadonlyArray<string> } => {
  const lines = code.split("\n").map((line) => line.replace(/^export /, ""))
  const isImport = (line: string) => /^import\b/.test(line)
  return { imports: lines.filter(isImport), body: lines.filter((line) => !isImport(line)).flatMap(statement) }
}

/** The Vitest file of one example: its imports on top, the rest as the body of a test. */
export const render = (label: string, code: string): string => {
  const { body, imports } = partsOf(code)
  return [
    `import * as Assert from "@effect/vitest/utils"`,
    `import { test } from "vitest"`,
    ...imports,
    "",
    `test(${JSON.stringify(label)}, async () => {`,
    ...body.map((line) => line === "" ? "" : `  ${line}`),
    "})",
    ""
  ].join("\n")
}

export interface Fence {
  readonly line: number
  readonly name: string
  readonly code: string
}

/** The marked fences of a text. */
export const fencesIn = (text: string): ReadonlyArray<Fence> =>
  [...text.matchAll(fence)].map((match) => ({
    line: text.slice(0, match.index).split("\n").length,
    name: match[2] === undefined ? "" : ` ${match[2]}`,
    code: (match[3] ?? "").split("\n").map((l) => l.replace(/^[ \t]*\* ?/, "")).join("\n").trimEnd()
  }))

/** The names and texts of the test files for one file's examples. */
export const examplesIn = (path: string, text: string): ReadonlyArray<readonly [file: string, code: string]> =>
  fencesIn(text).map(({ code, line, name }) => [
    `${path.replaceAll("/", "__")}.${line}.test.ts`,
    render(`${path}:${line}${name}`, code)
  ])

/** Updates `.doctest/`. Does not touch unchanged files, so that running tests do not lose them. */
export const generate = (): number => {
  mkdirSync(out, { recursive: true })
  const paths = globSync(sources, { cwd: root }).map((path) => path.replaceAll("\\", "/"))
  const examples = new Map(
    paths
      .filter((path) => !generated.some((pattern) => pattern.test(path)))
      .toSorted()
      .flatMap((path) => examplesIn(path, readFileSync(join(root, path), "utf8")))
  )
  for (const stale of readdirSync(out).filter((file) => !examples.has(file))) rmSync(join(out, stale))
  for (const [file, code] of examples) {
    const path = join(out, file)
    if (!existsSync(path) || readFileSync(path, "utf8") !== code) writeFileSync(path, code)
  }
  return examples.size
}

if (import.meta.main) console.log(`${generate()} example(s) written to .doctest`)
