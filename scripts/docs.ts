/** `pnpm run docs`: the API pages (docs/api, not committed) and the reference pages made from the sources. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const typedoc = join(root, "docs/node_modules/typedoc/bin/typedoc")
const reference = join(root, "scripts/reference.ts")

const run = (script: string, folder: string): boolean =>
  spawnSync(process.execPath, [script], { cwd: folder, stdio: "inherit" }).status === 0

const steps = [
  () => run(typedoc, join(root, "docs")),
  ...(existsSync(reference) ? [() => run(reference, root)] : [])
]
if (!steps.every((step) => step())) process.exitCode = 1
