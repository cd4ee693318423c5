/** Bundles for browsers, out of a project that has the packages installed. */
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build, type Rolldown } from "vite"
import type { Size, Sizes } from "./budget.ts"
import { inOrder } from "./run.ts"

interface Entry {
  readonly code: string
  /** Whether Effect is in it: an application that uses Effect has it already. */
  readonly withEffect: boolean
}

const validator = `export { TokenValidator, ValidationPolicy } from "@keelson/token"\n`

/** What is measured. */
const entries: Readonly<Record<string, Entry>> = {
  "validator only": { code: validator, withEffect: false },
  "validator only, with Effect": { code: validator, withEffect: true },
  "retry only": { code: `export { Retry, RetryPolicy } from "@keelson/core"\n`, withEffect: false }
}

const bundle = async (
  project: string,
  code: string,
  external: ReadonlyArray<RegExp>
): Promise<ReadonlyArray<Rolldown.OutputChunk>> => {
  const input = join(project, "bundled.js")
  writeFileSync(input, code)
  const result = await build({
    configFile: false,
    logLevel: "silent",
    root: project,
    build: {
      write: false,
      minify: true,
      target: "es2024",
      rolldownOptions: { input, external: [/^node:/, ...external], preserveEntrySignatures: "strict" }
    }
  })
  rmSync(input)
  if (!("output" in result)) return []
  return result.output.filter((output) => output.type === "chunk")
}

const sizeOf = (chunks: ReadonlyArray<Rolldown.OutputChunk>): Size => {
  const codes = chunks.map(({ code }) => Buffer.from(code))
  return {
    minified: codes.reduce((sum, code) => sum + code.length, 0),
    gzip: codes.reduce((sum, code) => sum + gzipSync(code).length, 0)
  }
}

export const measure = async (project: string): Promise<Sizes> =>
  Object.fromEntries(
    await inOrder(Object.entries(entries), async ([name, { code, withEffect }]) => {
      const chunks = await bundle(project, code, withEffect ? [] : [/^effect(?:\/|$)/])
      return [name, sizeOf(chunks)] as const
    })
  )

/** Modules of Node.js that a bundle of these modules, with all they depend on, imports: none where they are neutral. */
export const nodeImports = async (
  project: string,
  modules: ReadonlyArray<string>
): Promise<ReadonlyArray<string>> => {
  const code = modules.map((name, index) => `export * as module${index} from "${name}"\n`).join("")
  const chunks = await bundle(project, code, [])
  const imported = chunks.flatMap(({ dynamicImports, imports }) => [...imports, ...dynamicImports])
  return imported.filter((name) => !chunks.some(({ fileName }) => fileName === name))
}
