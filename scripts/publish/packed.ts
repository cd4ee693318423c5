/** What a tarball has to hold, and what its manifest has to say. Pure. */

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly type?: string
  readonly description?: string
  readonly license?: string
  readonly homepage?: string
  readonly bugs?: string
  readonly keywords?: ReadonlyArray<string>
  readonly repository?: { readonly url?: string; readonly directory?: string }
  readonly sideEffects?: boolean | ReadonlyArray<string>
  readonly exports?: Readonly<Record<string, unknown>>
  readonly engines?: { readonly node?: string }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly publishConfig?: { readonly access?: string; readonly provenance?: boolean }
}

export interface Packed {
  readonly manifest: Manifest
  /** Paths below the package's folder. */
  readonly files: ReadonlyArray<string>
  /** What the files import from, each name once. */
  readonly imports: ReadonlyArray<string>
}

const needed = ["package.json", "README.md", "LICENSE"]
const allowed = new Set([...needed, "CHANGELOG.md"])
const outputs = [".js", ".js.map", ".d.ts", ".d.ts.map"]

const isSource = (file: string): boolean => /^src\/.*\.ts$/.test(file) && !/\.(?:test|d)\.ts$/.test(file)

const outputsOf = (source: string): ReadonlyArray<string> =>
  outputs.map((ending) => source.replace(/^src\//, "dist/").replace(/\.ts$/, ending))

/** Files that are missing, and files that nobody asked for: tests, or what a source that is gone had become. */
export const fileProblems = (files: ReadonlyArray<string>): ReadonlyArray<string> => {
  const built = files.filter(isSource).flatMap(outputsOf)
  const present = new Set(files)
  const expected = new Set([...built, ...allowed])
  return [
    ...[...needed, ...built].filter((file) => !present.has(file)).map((file) => `${file} is missing`),
    ...files.filter((file) => !isSource(file) && !expected.has(file)).map((file) => `${file} should not be in it`)
  ]
}

const conditions = (stem: string): Readonly<Record<string, string>> => ({
  types: `./dist/${stem}.d.ts`,
  default: `./dist/${stem}.js`
})

/** Short names of modules, by package. */
const shortNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "@keelson/core": { "./testing": "testing/index" },
  "@keelson/token": { "./node": "NodeAuth", "./testing": "testing/index" }
}

/** Files that have a short name only. */
const closed: Readonly<Record<string, ReadonlyArray<string>>> = {
  "@keelson/core": ["./testing/index"],
  "@keelson/token": ["./testing/index"]
}

/** One path for each public module, and none into the rest. */
const wantedExports = (name: string) => ({
  "./package.json": "./package.json",
  ".": conditions("index"),
  "./*": conditions("*"),
  ...Object.fromEntries(Object.entries(shortNames[name] ?? {}).map(([path, module]) => [path, conditions(module)])),
  "./internal/*": null,
  "./index": null,
  ...Object.fromEntries((closed[name] ?? []).map((path) => [path, null]))
})

/** The package of a module name: `@a/b` of `@a/b/c`. */
export const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

const dependencyProblems = ({ imports, manifest }: Packed): ReadonlyArray<string> => {
  const declared = { ...manifest.dependencies, ...manifest.peerDependencies }
  const used = new Set(imports.filter((name) => !/^(?:node:|\.)/.test(name)).map(packageOf))
  return [
    ...[...used].filter((name) => !(name in declared)).map((name) => `imports ${name}, which it does not declare`),
    ...Object.keys(declared).filter((name) => !used.has(name)).map((name) =>
      `declares ${name}, which it does not import`
    ),
    ...Object.entries(declared).filter(([, range]) => !/^\^\d+\.\d+\.\d+$/.test(range)).map(([name, range]) =>
      `wants ${name} ${range}: a caret range lets an application share one copy and take fixes`
    )
  ]
}

/** Fields by which a registry and bundlers know what a package is and where it comes from. */
export const manifestProblems = (manifest: Manifest): ReadonlyArray<string> => {
  const { bugs, description, engines, exports, homepage, keywords, license, publishConfig, repository } = manifest
  const folder = manifest.name.replace(/^@keelson\//, "packages/")
  const claims: Readonly<Record<string, boolean>> = {
    "description, keywords, homepage and bugs": [description, keywords?.[0], homepage, bugs].every(Boolean),
    "license MIT": license === "MIT",
    "type module": manifest.type === "module",
    "sideEffects: []": Array.isArray(manifest.sideEffects) && manifest.sideEffects.length === 0,
    "engines.node": /^>=\d+\.\d+\.\d+$/.test(engines?.node ?? ""),
    "repository with url and directory": (repository?.url ?? "").startsWith("git+https:") &&
      repository?.directory === folder,
    "public access with provenance": publishConfig?.access === "public" && publishConfig.provenance === true,
    "exports with types, and internal modules closed": JSON.stringify(exports) ===
      JSON.stringify(wantedExports(manifest.name))
  }
  return Object.entries(claims).filter(([, holds]) => !holds).map(([claim]) => `package.json lacks: ${claim}`)
}

/** All that is wrong with a package. */
export const packedProblems = (packed: Packed): ReadonlyArray<string> => [
  ...fileProblems(packed.files),
  ...manifestProblems(packed.manifest),
  ...dependencyProblems(packed)
]

/** Modules that a user may import: each file of `src` and `src/testing` that is neither internal nor an index. */
export const publicModules = (files: ReadonlyArray<string>): ReadonlyArray<string> =>
  files.flatMap((file) => {
    const name = /^src\/((?:testing\/)?\w+)\.ts$/.exec(file)?.[1]
    return name === undefined || /(?:^|\/)index$/.test(name) ? [] : [name]
  })

/** Whether a module runs on any web platform: all do but those named Node*. */
export const isNeutral = (module: string): boolean => !/(?:^|\/)Node/.test(module)
