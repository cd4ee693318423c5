/** What publint and attw ("are the types wrong") say of a tarball. */
import { checkPackage, createPackageFromTarballData, type Problem } from "@arethetypeswrong/core"
import { readFileSync } from "node:fs"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { publicModules } from "./packed.ts"
import type { Tarball } from "./tarballs.ts"

const publintProblems = async ({ packed, path }: Tarball): Promise<ReadonlyArray<string>> => {
  const { buffer } = new Uint8Array(readFileSync(path))
  const { messages, pkg } = await publint({ pack: { tarball: buffer }, strict: true })
  return messages.map((message) =>
    `publint: ${formatMessage(message, pkg) ?? `${message.code} ${packed.manifest.name}`}`
  )
}

/** Packages of ES modules alone: TypeScript's resolution of before `exports` finds nothing, and `require` gets a module. */
const isExpected = (problem: Problem): boolean =>
  "resolutionKind" in problem &&
  (problem.resolutionKind === "node10" ||
    (problem.resolutionKind === "node16-cjs" && problem.kind === "CJSResolvesToESM"))

const typeProblems = async ({ packed, path }: Tarball): Promise<ReadonlyArray<string>> => {
  const entrypoints = [".", ...publicModules(packed.files).map((name) => `./${name}`)]
  const result = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(path))), { entrypoints })
  if (result.types === false) return ["attw: no types"]
  return result.problems.filter((problem) => !isExpected(problem)).map((problem) => `attw: ${JSON.stringify(problem)}`)
}

export const linterProblems = async (tarball: Tarball): Promise<ReadonlyArray<string>> => [
  ...await publintProblems(tarball),
  ...await typeProblems(tarball)
]
