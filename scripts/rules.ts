/**
 * House rules for the sources of published packages that the linter has no rule for. `pnpm lint` runs it.
 * The linter itself bans `Math.random`, `Date.now`, `performance.now`, timers and import cycles there (.oxlintrc.json).
 */
import { globSync, readFileSync } from "node:fs"
import { basename, dirname, join, posix } from "node:path"
import { packageImports, roomImports, testsStandAlone } from "./architecture.ts"

const root = join(import.meta.dirname, "..")
const maxLines = 300
const isEffectBreaker = (path: string): boolean =>
  /^packages\/core\/src\/internal\/(?:\w+\/)*effectBreaker\.ts$/.test(path)

/** Replaces comments with spaces, so that rules ignore them. Keeps strings, regular expressions and line numbers. */
export const withoutComments = (source: string): string =>
  source.replaceAll(
    /(?<=[(=,:>?!{;]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (token) => /^\/[/*]/.test(token) ? token.replaceAll(/[^\n]/g, " ") : token
  )

export interface Import {
  readonly names: string
  readonly from: string
  readonly line: number
}

/** The imports and re-exports of code without comments. */
export const importsIn = (code: string): ReadonlyArray<Import> =>
  [...code.matchAll(/(?:\b(?:import|export)\b([^"'`;]*?)\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']/g)].map((
    match
  ) => ({
    names: match[1] ?? "",
    from: match[2] ?? "",
    line: code.slice(0, match.index).split("\n").length
  }))

/** Whether an import reaches Effect's breaker: by path, by name, or through a namespace import. */
const reachesEffectBreaker = ({ from, names }: Import): boolean =>
  from === "effect/persistence/CircuitBreaker" ||
  (from === "effect/persistence" && (/\bCircuitBreaker\b/.test(names) || names.includes("*") || names.trim() === ""))

const importProblem = (path: string, found: Import): ReadonlyArray<string> => {
  if (found.from.startsWith("node:") && !basename(path).startsWith("Node")) {
    return [`${path}:${found.line} imports ${found.from}: only files named Node*.ts may`]
  }
  if (reachesEffectBreaker(found) && !isEffectBreaker(path)) {
    return [`${path}:${found.line} imports Effect's CircuitBreaker: only effectBreaker.ts in core may`]
  }
  return []
}

/** The path in the repository of a relative import. */
const targetOf = (path: string, from: string): string | undefined =>
  from.startsWith(".") ? posix.join(dirname(path), from) : undefined

const packageOf = (path: string): string | undefined => /^packages\/(\w+)\//.exec(path)?.[1]

/** `retry` for `packages/core/src/internal/retry/loop.ts`. */
const roomOf = (path: string): string | undefined => /^packages\/\w+\/src\/internal\/(\w+)\//.exec(path)?.[1]

export interface Architecture {
  readonly packageImports: Readonly<Record<string, ReadonlyArray<string>>>
  readonly roomImports: Readonly<Record<string, Readonly<Record<string, ReadonlyArray<string>>>>>
}

const isRoomOpen = ({ roomImports }: Architecture, path: string, target: string): boolean => {
  const [from, to] = [roomOf(path), roomOf(target)]
  const rooms = roomImports[packageOf(path) ?? ""]
  return rooms === undefined || from === undefined || to === undefined || from === to ||
    rooms[from]?.includes(to) === true
}

/** The problem of an import that a source file's package or room must not have. */
export const directionProblem = (
  architecture: Architecture,
  path: string,
  { from, line }: Pick<Import, "from" | "line">
): ReadonlyArray<string> => {
  const own = packageOf(path) ?? ""
  const target = targetOf(path, from)
  const other = target === undefined ? /^@keelson\/(\w+)/.exec(from)?.[1] : packageOf(target)
  if (target === undefined && other === own) return [`${path}:${line} imports ${from}: give its path in the package`]
  if (other !== undefined && other !== own && architecture.packageImports[own]?.includes(other) !== true) {
    return [`${path}:${line} imports ${from}: ${own} may not import ${other}`]
  }
  return target === undefined || isRoomOpen(architecture, path, target)
    ? []
    : [`${path}:${line} imports ${from}: its room may not import ${roomOf(target)}`]
}

/** The problem of a test that imports from another package's test folder. */
export const testProblem = (path: string, { from, line }: Pick<Import, "from" | "line">): ReadonlyArray<string> => {
  const [, other] = /^packages\/(\w+)\/test\//.exec(targetOf(path, from) ?? "") ?? []
  return other === undefined || other === packageOf(path)
    ? []
    : [`${path}:${line} imports ${from}: what several packages' tests need is in packages/testing`]
}

/** The problems of one source file. `path` is relative to the repository. */
export const problemsIn = (path: string, source: string): ReadonlyArray<string> => {
  const code = withoutComments(source)
  const lines = source.trimEnd().split("\n").length
  const dates = code.split("\n").flatMap((line, index) =>
    /\bnew\s+(?:globalThis\.)?Date\b/.test(line)
      ? [`${path}:${index + 1} uses new Date: take time from Effect's Clock`]
      : []
  )
  return [
    ...importsIn(code).flatMap((found) => [
      ...importProblem(path, found),
      ...directionProblem({ packageImports, roomImports }, path, found)
    ]),
    ...dates,
    ...(lines > maxLines ? [`${path} has ${lines} lines: split it by ${maxLines}`] : [])
  ]
}

const inAll = (pattern: string, problems: (path: string, source: string) => ReadonlyArray<string>) =>
  globSync(pattern, { cwd: root, exclude: (name) => name === "node_modules" })
    .map((path) => path.replaceAll("\\", "/"))
    .toSorted()
    .flatMap((path) => problems(path, readFileSync(join(root, path), "utf8")))

if (import.meta.main) {
  const problems = [
    ...inAll("packages/{core,jwks,token,cache,audit,gateway}/src/**/*.ts", problemsIn),
    ...(testsStandAlone
      ? inAll(
        "packages/*/test/**/*.ts",
        (path, source) => importsIn(withoutComments(source)).flatMap((found) => testProblem(path, found))
      )
      : [])
  ]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}
