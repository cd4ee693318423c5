/** Node.js of several versions, from npm as the repository's own is. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { run } from "./run.ts"

/** Kept from one run to the next. Where npm has no binary for this platform, as on macOS, there is none. */
export const nodeOf = async (version: string, folder: string): Promise<string | undefined> => {
  if (process.versions.node === version) return process.execPath
  if (process.platform !== "linux") return undefined
  const kept = join(folder, version)
  const binary = join(kept, "bin/node")
  if (existsSync(binary)) return binary
  const partial = `${kept}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  const name = `node-linux-${process.arch}@${version}`
  const printed = await run("npm", ["pack", "--silent", "--prefer-offline", name], { cwd: partial })
  await run("tar", ["-xzf", printed.trim(), "--strip-components=1", "package/bin/node"], { cwd: partial })
  rmSync(join(partial, printed.trim()))
  rmSync(kept, { recursive: true, force: true })
  renameSync(partial, kept)
  return binary
}
