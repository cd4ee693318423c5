import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

const root = join(import.meta.dirname, "..")
const paths = (pattern: string) => globSync(pattern, { cwd: root })
const read = (pattern: string) => paths(pattern).map((file) => readFileSync(join(root, file), "utf8"))
const code = (source: string) => source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "")

/** The rules of the security catalogue about received tokens. */
const rules = ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R10", "R21", "R23", "R29"]

describe("Rules", () => {
  it.each(rules)("[K-27] %s is named by a test of this package", (rule) => {
    assert.match(read("test/**/*.ts").join("\n"), new RegExp(`(?:"|\`)[^\\n]*\\[${rule}\\]`))
  })

  it("[R29] nothing reads a clock or randomness that is not Effect's", () => {
    for (const source of read("src/**/*.ts").map(code)) {
      assert.notMatch(source, /Math\.random|Date\.now|new Date\b|performance\.now|setTimeout|setInterval/)
    }
  })

  it("[R8] Explain is not exported by the index, and no HTTP module imports it", () => {
    assert.notMatch(read("src/index.ts").join(), /Explain/)
    for (const source of read("src/**/*{Http,http}*.ts").map(code)) assert.notMatch(source, /[Ee]xplain/)
  })

  it("runs on any web platform outside of the files that are for Node", () => {
    for (const path of paths("src/**/*.ts").filter((path) => !basename(path).startsWith("Node"))) {
      const source = code(readFileSync(join(root, path), "utf8"))
      assert.notMatch(source, /from "node:|(?<![."])\bBuffer\b|\bprocess\.|@effect\/platform-node/, path)
    }
  })
})
