/** An empty project, as somebody who follows a README has it. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assertModule, declarations, loader, type Program } from "./examples.ts"
import { inOrder, run } from "./run.ts"

export interface Project {
  readonly path: string
  /** What is installed: names, each with a range or a tarball. */
  readonly install: ReadonlyArray<string>
  /** Tarballs of packages that those depend on, and that no registry has yet. */
  readonly overrides: Readonly<Record<string, string>>
  /** Module names that load. */
  readonly open: ReadonlyArray<string>
  /** Module names that do not. */
  readonly closed: ReadonlyArray<string>
  readonly programs: ReadonlyArray<Program>
}

const compilerOptions = { strict: true, skipLibCheck: false, target: "ES2022", types: [] }

export type Resolution = "nodenext" | "bundler"

/** The two ways in which TypeScript finds modules today. The first also writes the JavaScript that is then run. */
const compilers: Readonly<Record<Resolution, object>> = {
  nodenext: {
    ...compilerOptions,
    module: "NodeNext",
    rootDir: "src",
    outDir: "out",
    rewriteRelativeImportExtensions: true
  },
  bundler: {
    ...compilerOptions,
    module: "ESNext",
    moduleResolution: "bundler",
    noEmit: true,
    allowImportingTsExtensions: true
  }
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

export const write = (project: Project): void => {
  const { closed, open, path, programs } = project
  rmSync(path, { recursive: true, force: true })
  mkdirSync(join(path, "src"), { recursive: true })
  const files = [
    ["src/assert.ts", assertModule],
    ["src/declarations.ts", declarations(open)],
    ["load.mjs", loader(open, closed)],
    ...programs.map(({ code, file }) => [`src/${file}`, code] as const),
    ...Object.entries(compilers).map(([name, options]) =>
      [`tsconfig.${name}.json`, json({ compilerOptions: options, include: ["src"] })] as const
    )
  ] as const
  for (const [file, text] of files) writeFileSync(join(path, file), text)
}

/** From nothing, by npm on the Node.js given, which all packages have to accept. */
export const install = async ({ install: wanted, overrides, path }: Project, node: string): Promise<void> => {
  for (const name of ["node_modules", "package-lock.json"]) rmSync(join(path, name), { recursive: true, force: true })
  const manifest = { name: "reader", private: true, type: "module", overrides }
  writeFileSync(join(path, "package.json"), json(manifest))
  const options = ["--prefer-offline", "--engine-strict", "--strict-peer-deps", "--no-audit", "--no-fund"]
  await run("npm", ["install", ...options, ...wanted], { cwd: path, node })
}

export const typeCheck = async ({ path }: Project, tsc: string, resolution: Resolution): Promise<void> => {
  await run(tsc, ["-p", `tsconfig.${resolution}.json`], { cwd: path })
}

/** Loads every module, and runs the examples that `typeCheck` compiled. */
export const runAll = async ({ path, programs }: Project, node: string): Promise<void> => {
  await run(node, ["load.mjs"], { cwd: path, node })
  await inOrder(
    programs,
    ({ file }) => run(node, [`out/${file.replace(/\.ts$/, ".js")}`], { cwd: path, node })
  )
}
