/** What may import what, as ARCHITECTURE.md draws it; scripts/rules.ts checks it. */

/** The packages that the sources of each package may import. */
export const packageImports: Readonly<Record<string, ReadonlyArray<string>>> = {
  core: [],
  jwks: ["core"],
  token: ["core", "jwks"]
}

/**
 * The rooms (folders of `src/internal`) that the files of each room may import, by package. Public modules may import every
 * room of their package. A package without a table is not checked.
 */
export const roomImports: Readonly<Record<string, Readonly<Record<string, ReadonlyArray<string>>>>> = {}

/** Whether a test may import nothing from another package's test folder; what several need is in packages/testing. */
export const testsStandAlone: boolean = false
