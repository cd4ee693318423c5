/**
 * House rules for the sources of published packages that the linter has no rule for. `pnpm lint` runs it.
 * The linter itself bans `Math.random`, `Date.now`, `performance.now` and timers there (.oxlintrc.json).
 */
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

const root = join(import.meta.dirname, "..")
const maxLines = 300
const effectBreaker = "packages/core/src/internal/breaker/effectBreaker.ts"

/** Replaces comments with spaces, so that what they mention is not code. Strings and line numbers stay. */
export const withoutComments = (source: string): string =>
  source.replaceAll(
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (token) => token.startsWith("/") ? token.replaceAll(/[^\n]/g, " ") : token
  )

export interface Import {
  readonly names: string
  readonly from: string
  readonly line: number
}

/** What code without comments imports or re-exports from. */
export const importsIn = (code: string): ReadonlyArray<Import> =>
  [...code.matchAll(/(?:\b(?:import|export)\b([^"'`;]*?)\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']/g)].map((
    match
  ) => ({
    names: match[1] ?? "",
    from: match[2] ?? "",
    line: code.slice(0, match.index).split("\n").length
  }))

/** Effect's breaker by its own path, by name, or by way of everything there is. */
const reachesEffectBreaker = ({ from, names }: Import): boolean =>
  from === "effect/persistence/CircuitBreaker" ||
  (from === "effect/persistence" && (/\bCircuitBreaker\b/.test(names) || names.includes("*") || names.trim() === ""))

const importProblem = (path: string, found: Import): ReadonlyArray<string> => {
  if (found.from.startsWith("node:") && !basename(path).startsWith("Node")) {
    return [`${path}:${found.line} imports ${found.from}: only files named Node*.ts may`]
  }
  if (reachesEffectBreaker(found) && path !== effectBreaker) {
    return [`${path}:${found.line} imports Effect's CircuitBreaker: only ${effectBreaker} may`]
  }
  return []
}

/** What is wrong with one source file; `path` is relative to the repository. */
export const problemsIn = (path: string, source: string): ReadonlyArray<string> => {
  const code = withoutComments(source)
  const lines = source.trimEnd().split("\n").length
  const dates = code.split("\n").flatMap((line, index) =>
    /\bnew\s+(?:globalThis\.)?Date\b/.test(line)
      ? [`${path}:${index + 1} uses new Date: take time from Effect's Clock`]
      : []
  )
  return [
    ...importsIn(code).flatMap((found) => importProblem(path, found)),
    ...dates,
    ...(lines > maxLines ? [`${path} has ${lines} lines: split it by ${maxLines}`] : [])
  ]
}

if (import.meta.main) {
  const files = globSync("packages/{core,jwks,token}/src/**/*.ts", { cwd: root }).map((path) =>
    path.replaceAll("\\", "/")
  )
  const problems = files.toSorted().flatMap((path) => problemsIn(path, readFileSync(join(root, path), "utf8")))
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}
