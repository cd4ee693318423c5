/** Programs that are run, with what they print. */
import { spawn } from "node:child_process"
import { delimiter, dirname } from "node:path"

export interface Command {
  readonly cwd: string
  /** The Node.js that `node` is, for the program and for scripts that it starts. */
  readonly node?: string
}

/** What the package manager that started us leaves in the environment would make npm behave as in this repository. */
const environment = (node: string): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") || name === "npm_config_registry")
  ),
  PATH: `${dirname(node)}${delimiter}${process.env["PATH"] ?? ""}`
})

/** What a program prints. Fails with that where its exit code is not 0. */
export const run = (
  program: string,
  args: ReadonlyArray<string>,
  { cwd, node = process.execPath }: Command
): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: environment(node), stdio: ["ignore", "pipe", "pipe"] })
    let printed = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        printed += text
      })
    }
    child.on("error", reject)
    child.on("close", (code) => {
      if (code === 0) resolve(printed)
      else reject(new Error(`${[program, ...args].join(" ")} ended with ${code}\n${printed.trim()}`))
    })
  })

/** One after the other: what comes later needs what earlier ones made, or the machine for itself. */
export const inOrder = <A, B>(
  items: ReadonlyArray<A>,
  work: (item: A) => Promise<B>
): Promise<ReadonlyArray<B>> =>
  items.reduce<Promise<ReadonlyArray<B>>>(
    async (before, item) => [...await before, await work(item)],
    Promise.resolve([])
  )
