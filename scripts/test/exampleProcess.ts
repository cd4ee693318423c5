/** Runs the programs of `examples/src` as their readers do. */
import { type ChildProcess, spawn } from "node:child_process"
import { get } from "node:http"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

export const root = join(import.meta.dirname, "../..")

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

const clock = pathToFileURL(join(import.meta.dirname, "unhurriedClock.ts")).href

/** A program with its arguments, and more variables than those of this process. */
export const start = (
  [file, ...args]: readonly [string, ...ReadonlyArray<string>],
  env: Readonly<Record<string, string>> = {}
): ChildProcess & { readonly ended: Promise<Ended> } => {
  const child = spawn(process.execPath, [join(root, "examples/src", file), ...args], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} --import=${clock}`, ...env }
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (text) => out += String(text))
  child.stderr.on("data", (text) => err += String(text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, out, err }))
  })
  return Object.assign(child, { ended })
}

export const run = (file: string, ...args: ReadonlyArray<string>): Promise<Ended> => start([file, ...args]).ended

/** The status of an answer to a request that names a host. */
export const statusOf = (url: string, host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    get(url, { headers: { host }, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).once("error", reject)
  })
