/**
 * `pnpm pack:check`: what would be published, used as its users will.
 *
 * The packages are packed, their contents and manifests checked, installed by npm in empty projects, type-checked, loaded,
 * and their READMEs' examples run; every option must show its documentation in an editor; then they are bundled for
 * browsers and measured. `--update` writes the sizes to the budget.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Budget, sizeLines, sizeProblems, withSizes } from "./budget.ts"
import { measure, nodeImports } from "./bundles.ts"
import { documentationProblems } from "./hovers.ts"
import { linterProblems } from "./linters.ts"
import { nodeOf } from "./nodes.ts"
import { isNeutral, packedProblems, publicModules } from "./packed.ts"
import { install, type Project, runAll, typeCheck, write } from "./project.ts"
import { type Reader, readingOf } from "./readers.ts"
import { inOrder } from "./run.ts"
import { build, pack, type Tarball } from "./tarballs.ts"

const root = join(import.meta.dirname, "../..")
const work = join(root, ".packs")
const folders = ["core", "jwks", "token", "cache", "audit", "gateway"]
const whole = "keelson"
const budgetPath = join(import.meta.dirname, "budget.json")

/** Where npm installs all packages: the Node.js of this repository, and the oldest that all packages accept. */
const installedOn = ["24.21.0", "22.19.0"]

const problems: Array<string> = []

/** Says how long a part took; what it throws is one of the problems. */
const step = async (name: string, part: () => Promise<ReadonlyArray<string>>): Promise<boolean> => {
  const start = performance.now()
  const found = await part().catch((error: unknown) => [error instanceof Error ? error.message : String(error)])
  problems.push(...found.map((problem) => `${name}: ${problem}`))
  console.log(`${found.length === 0 ? "ok" : "FAILED"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  return found.length === 0
}

const readText = (path: string): string => readFileSync(join(root, path), "utf8").replaceAll("\r\n", "\n")

/** The oldest Node.js that a package accepts, as its manifest says. */
const floorOf = ({ packed }: Tarball): string => (packed.manifest.engines?.node ?? "").replace(/^>=/, "")

type Part = readonly [name: string, part: () => Promise<unknown>]

const onNode = (version: string, part: string, use: (node: string) => Promise<void>): Part => [
  `${part} on Node.js ${version}`,
  async () => {
    const node = await nodeOf(version, join(work, "node"))
    if (node === undefined) console.log(`not run on Node.js ${version}: npm has none for this platform`)
    else await use(node)
  }
]

/**
 * What one reader does. All packages at once are installed on each Node.js; one alone is run on those, and on the oldest
 * that it accepts. Declarations are the same for all, so that the second way to find them is tried once.
 */
const partsOf = (project: Project, about: ReadonlyArray<Tarball>): ReadonlyArray<Part> => {
  const isWhole = about.length > 1
  const tsc = join(root, "node_modules/.bin/tsc")
  const installed = (version: string): Part => onNode(version, "npm install", (node) => install(project, node))
  const works = (version: string): Part => onNode(version, "modules and examples", (node) => runAll(project, node))
  const [first = "", ...others] = isWhole ? installedOn : [...new Set([...installedOn, ...about.map(floorOf)])]
  return [
    installed(first),
    ["types by nodenext", () => typeCheck(project, tsc, "nodenext")],
    ...(isWhole ? [["types by bundler", () => typeCheck(project, tsc, "bundler")] as const] : []),
    works(first),
    ...others.flatMap((version) => isWhole ? [installed(version), works(version)] : [works(version)])
  ]
}

/** What follows a part that failed has nothing to work on. */
const follow = async (reader: Reader, all: ReadonlyArray<Tarball>): Promise<void> => {
  const { problems: left, project } = readingOf(reader, all, join(work, "projects", reader.name))
  const parts: ReadonlyArray<Part> = [
    ["files", () => Promise.resolve(write(project))],
    ...partsOf(project, reader.about)
  ]
  const complete = await step(`${reader.name}: README`, () => Promise.resolve(left))
  await parts.reduce(
    async (before, [name, part]) =>
      await before && step(`${reader.name}: ${name}`, () => part().then((): ReadonlyArray<string> => [])),
    Promise.resolve(complete)
  )
}

const neutral = async (project: string, { packed }: Tarball): Promise<ReadonlyArray<string>> => {
  const { name } = packed.manifest
  const modules = publicModules(packed.files).filter(isNeutral).map((module) => `${name}/${module}`)
  const imported = await nodeImports(project, [name, ...modules])
  return imported.map((module) => `a bundle for browsers imports ${module}`)
}

const sizes = async (project: string): Promise<ReadonlyArray<string>> => {
  const budget: Budget = JSON.parse(readFileSync(budgetPath, "utf8"))
  const measured = await measure(project)
  for (const line of sizeLines(budget, measured)) console.log(`   ${line}`)
  if (!process.argv.includes("--update")) return sizeProblems(budget, measured)
  writeFileSync(budgetPath, `${JSON.stringify(withSizes(budget, measured), undefined, 2)}\n`)
  return []
}

const lookInto = async (tarball: Tarball): Promise<void> => {
  await step(`${tarball.folder}: contents`, () => Promise.resolve(packedProblems(tarball.packed)))
  await step(`${tarball.folder}: publint and attw`, () => linterProblems(tarball))
}

const readers = (all: ReadonlyArray<Tarball>): ReadonlyArray<Reader> =>
  all.map((tarball) => ({
    name: tarball.folder,
    readme: readText(`packages/${tarball.folder}/README.md`),
    about: [tarball]
  }))

const main = async (): Promise<void> => {
  mkdirSync(join(work, "tarballs"), { recursive: true })
  let all: ReadonlyArray<Tarball> = []
  await step("build and pack", async () => {
    await build(root, folders)
    all = await inOrder(folders, (folder) => pack(root, folder, join(work, "tarballs")))
    return []
  })
  await inOrder(all, lookInto)
  if (all.length > 0) {
    const project = join(work, "projects", whole)
    await Promise.all([
      follow({ name: whole, readme: readText("README.md"), about: all }, all),
      inOrder(readers(all), (reader) => follow(reader, all))
    ])
    await inOrder(all, (tarball) => step(`${tarball.folder}: neutral modules`, () => neutral(project, tarball)))
    await step("documentation in editors", () => documentationProblems(project))
    await step("sizes", () => sizes(project))
  }
  for (const problem of problems) console.error(`\n${problem}`)
  if (problems.length > 0) process.exitCode = 1
}

await main()
