/** The public modules of the packages as TypeScript's compiler API sees them, from sources or from declarations. */
import { globSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import ts from "typescript-api"

export const root = resolve(import.meta.dirname, "../..")
export const packageNames = ["core", "jwks", "token", "cache", "audit", "gateway"] as const

const compilerOptions: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2024,
  lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts"],
  types: [],
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true
}

/** A public module: the name that users import, and its file. */
export interface Module {
  readonly name: string
  readonly file: string
}

/** The modules that users import, without the index; `unstable/` is for our own packages. */
const modulesIn = (packageName: string): ReadonlyArray<string> =>
  globSync("{,testing/}*.ts", { cwd: join(root, "packages", packageName, "src") })
    .map((file) => file.slice(0, -".ts".length).replaceAll("\\", "/"))
    .filter((name) => !/(?:^|\/)index$/.test(name))
    .toSorted()

/** All public modules of the packages, in their files: `fileOf` is given `core` and `RetryPolicy`. */
export const modulesAt = (fileOf: (packageName: string, name: string) => string): ReadonlyArray<Module> =>
  packageNames.flatMap((packageName) =>
    modulesIn(packageName).map((name) => ({ name: `@keelson/${packageName}/${name}`, file: fileOf(packageName, name) }))
  )

/** The modules as they stand in the repository. */
export const sourceModules = (): ReadonlyArray<Module> =>
  modulesAt((packageName, name) => join(root, "packages", packageName, "src", `${name}.ts`))

export interface Workspace {
  readonly service: ts.LanguageService
  readonly program: ts.Program
  readonly checker: ts.TypeChecker
}

/** Opens modules as an editor does. Files that are added to `inMemory` later are found by the service. */
export const open = (
  modules: ReadonlyArray<Module>,
  folder = root,
  inMemory: ReadonlyMap<string, string> = new Map()
): Workspace => {
  const service = ts.createLanguageService({
    getScriptFileNames: () => [...modules.map(({ file }) => file), ...inMemory.keys()],
    getScriptVersion: (path) => String(inMemory.get(path)?.length),
    getScriptSnapshot: (path) => {
      const text = inMemory.get(path) ?? ts.sys.readFile(path)
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
    },
    getCurrentDirectory: () => folder,
    getCompilationSettings: () => compilerOptions,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: (path) => inMemory.has(path) || ts.sys.fileExists(path),
    readFile: (path) => inMemory.get(path) ?? ts.sys.readFile(path),
    directoryExists: (path) => ts.sys.directoryExists(path),
    getDirectories: (path) => ts.sys.getDirectories(path),
    realpath: (path) => ts.sys.realpath?.(path) ?? path
  })
  const program = service.getProgram()
  if (program === undefined) throw new Error("TypeScript made no program")
  return { service, program, checker: program.getTypeChecker() }
}

const ownFile = new RegExp(`(?:packages|@keelson)/(${packageNames.join("|")})/(?:src|dist)/(.*?)(?:\\.d)?\\.ts$`)

/** `core/RetryPolicy` for the file of that module among sources or declarations of our packages, else `undefined`. */
export const ownModule = (file: string): string | undefined => {
  const [, name, path] = ownFile.exec(file.replaceAll("\\", "/")) ?? []
  return name === undefined || path === undefined ? undefined : `${name}/${path}`
}

/** The modules of ours that declare a symbol: none for one of Effect or of the platform. */
export const ownersOf = (symbol: ts.Symbol | undefined): ReadonlyArray<string> =>
  (symbol?.declarations ?? []).flatMap((node) => ownModule(node.getSourceFile().fileName) ?? [])

/** An export of a module. */
interface Export {
  readonly name: string
  readonly symbol: ts.Symbol
  /** Whether it exists at run time. A class that is exported as a type does not. */
  readonly isValue: boolean
}

/** What a module exports: each name with the symbol behind it. */
export const exportsOf = (
  { checker, program }: Workspace,
  { file }: Module
): ReadonlyArray<Export> => {
  const source = program.getSourceFile(file)
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${basename(file)} is not a module`)
  return checker.getExportsOfModule(module).map((exported) => {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported
    const isValue = (symbol.flags & ts.SymbolFlags.Value) !== 0 && !exported.declarations?.some(isTypeOnly)
    return { name: exported.name, symbol, isValue }
  })
}

/** Whether a declaration is `export { type A }`, or part of `export type { A }`. */
const isTypeOnly = (node: ts.Node): boolean =>
  ts.isExportSpecifier(node) && (node.isTypeOnly || node.parent.parent.isTypeOnly)

/** The documentation of a symbol on one line, as an editor shows it on hover. */
export const documentationOf = ({ checker }: Workspace, symbol: ts.Symbol): string =>
  ts.displayPartsToString(symbol.getDocumentationComment(checker)).replaceAll(/\s+/g, " ").trim()
