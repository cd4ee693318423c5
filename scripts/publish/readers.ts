/** The projects of those who follow the READMEs: one for each package, and one for the whole. */
import { installedBy, notInstalled, programsIn } from "./examples.ts"
import { publicModules } from "./packed.ts"
import type { Project } from "./project.ts"
import type { Tarball } from "./tarballs.ts"

/** The names under which a package's modules load. */
export const openOf = ({ packed }: Tarball): ReadonlyArray<string> => [
  packed.manifest.name,
  ...publicModules(packed.files).map((name) => `${packed.manifest.name}/${name}`)
]

/** Names that must not load: every internal module, and a second name of the index. */
const closedOf = ({ packed }: Tarball): ReadonlyArray<string> => {
  const internal = packed.files.filter((file) => file.startsWith("src/internal/"))
  return [...internal.map((file) => file.slice("src/".length, -".ts".length)), "index"].map((path) =>
    `${packed.manifest.name}/${path}`
  )
}

export interface Reader {
  readonly name: string
  readonly readme: string
  /** The packages that the README is about. */
  readonly about: ReadonlyArray<Tarball>
}

export interface Reading {
  readonly project: Project
  /** What the README leaves out. */
  readonly problems: ReadonlyArray<string>
}

/** Installs what the README says; all of the packages where it is about all. */
export const readingOf = (
  { about, name, readme }: Reader,
  all: ReadonlyArray<Tarball>,
  path: string
): Reading => {
  const tarballs = Object.fromEntries(all.map(({ packed, path }) => [packed.manifest.name, `file:${path}`]))
  const named = installedBy(readme)
  const isWhole = about.length === all.length
  const installed = isWhole ? [...Object.keys(tarballs), "effect"] : named
  const programs = programsIn("README", readme)
  const missing = notInstalled(programs, installed)
  return {
    project: {
      path,
      install: installed.map((wanted) => tarballs[wanted] ?? wanted),
      overrides: Object.fromEntries(Object.entries(tarballs).filter(([dependency]) => !installed.includes(dependency))),
      open: about.flatMap(openOf),
      closed: about.flatMap(closedOf),
      programs
    },
    problems: [
      ...(installed.length === 0 ? [`the README of ${name} does not say what to install`] : []),
      ...missing.map((wanted) => `the README of ${name} does not say to install ${wanted}, which an example needs`)
    ]
  }
}
