/** Builds and packs the packages, and reads what came out. */
import { globSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { importsIn, withoutComments } from "../rules.ts"
import type { Manifest, Packed } from "./packed.ts"
import { run } from "./run.ts"

export interface Tarball {
  /** The folder below `packages`. */
  readonly folder: string
  readonly path: string
  readonly packed: Packed
}

/** From nothing, since a compiler leaves what sources that are gone had become. */
export const build = async (root: string, folders: ReadonlyArray<string>): Promise<void> => {
  for (const folder of folders) rmSync(join(root, "packages", folder, "dist"), { recursive: true, force: true })
  await run(join(root, "node_modules/.bin/tsc"), ["-b", "--force", ...folders.map((folder) => `packages/${folder}`)], {
    cwd: root
  })
}

const read = (unpacked: string): Packed => {
  const manifest: Manifest = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"))
  const files = globSync("**/*", { cwd: unpacked, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(unpacked.length + 1).replaceAll("\\", "/"))
  const built = files.filter((file) => /^dist\/.*\.(?:js|d\.ts)$/.test(file))
  const code = built.map((file) => withoutComments(readFileSync(join(unpacked, file), "utf8")))
  const imports = code.flatMap(importsIn).map(({ from }) => from)
  return { manifest, files: files.toSorted(), imports: [...new Set(imports)].toSorted() }
}

/** The tarball that pnpm would publish. */
export const pack = async (root: string, folder: string, destination: string): Promise<Tarball> => {
  const path = join(destination, `${folder}.tgz`)
  const unpacked = join(destination, folder)
  rmSync(unpacked, { recursive: true, force: true })
  mkdirSync(unpacked, { recursive: true })
  await run("npx", ["-y", "pnpm@12", "pack", "--silent", "--out", path], { cwd: join(root, "packages", folder) })
  await run("tar", ["-xzf", path, "--strip-components=1", "-C", unpacked], { cwd: destination })
  return { folder, path, packed: read(unpacked) }
}
