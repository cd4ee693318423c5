/** From a README to what its reader would do: the packages to install, and programs to run. Pure. */
import { fencesIn, partsOf } from "../doctest.ts"
import { importsIn } from "../rules.ts"
import { packageOf } from "./packed.ts"

/** The packages that the first `npm install` of a text names. */
export const installedBy = (markdown: string): ReadonlyArray<string> => {
  const [, line = ""] = /^npm install (.+)$/m.exec(markdown) ?? []
  return line.split(/\s+/).filter((word) => word !== "" && !word.startsWith("-"))
}

export interface Program {
  readonly file: string
  readonly code: string
}

/** Each marked example as a program of its own; `assert.ts`, beside it, compares as Effect does. */
export const programsIn = (stem: string, markdown: string): ReadonlyArray<Program> =>
  fencesIn(markdown).map(({ code, line }) => {
    const { body, imports } = partsOf(code)
    return {
      file: `${stem}.${line}.ts`,
      code: [`import * as Assert from "./assert.ts"`, ...imports, "", ...body, "", "export {}", ""].join("\n")
    }
  })

/** The module `assert.ts`. */
export const assertModule = `import { Equal } from "effect"

export const assertEquals = <A>(actual: A, expected: A): void => {
  if (!Equal.equals(actual, expected)) {
    throw new Error(\`expected \${JSON.stringify(expected)}, got \${JSON.stringify(actual)}\`)
  }
}
`

/** Packages that the examples import and the reader was not told to install. */
export const notInstalled = (
  programs: ReadonlyArray<Program>,
  installed: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const used = programs.flatMap(({ code }) => importsIn(code)).map(({ from }) => from).filter((name) =>
    !/^(?:node:|\.)/.test(name)
  )
  return [...new Set(used.map(packageOf))].filter((name) => !installed.includes(name))
}

/** A program in plain JavaScript that loads what is open and sees that the rest is closed. */
export const loader = (open: ReadonlyArray<string>, closed: ReadonlyArray<string>): string =>
  `const open = ${JSON.stringify(open)}
const closed = ${JSON.stringify(closed)}
for (const path of open) await import(path)
for (const path of closed) {
  const code = await import(path).then(() => "none", (error) => error.code)
  if (code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw new Error(\`\${path} is not closed: \${code}\`)
}
`

/** A module that names all of a package's declarations, for the type checker. */
export const declarations = (open: ReadonlyArray<string>): string =>
  open.map((path, index) => `export * as module${index} from "${path}"\n`).join("")
