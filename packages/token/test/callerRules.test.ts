import { assert, describe, it } from "@effect/vitest"
import { Struct } from "effect"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { RefreshPolicy } from "../src/index.ts"

const root = join(import.meta.dirname, "..")
const paths = (pattern: string) => globSync(pattern, { cwd: root })
const read = (path: string) => readFileSync(join(root, path), "utf8")
const code = (source: string) => source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "")

/** The rules of the security catalogue that concern tokens for callers. */
const rules = ["R11", "R12", "R13", "R14", "R15", "R20", "R21", "R22", "R23", "R28"]

describe("Rules of tokens for callers", () => {
  it("[K-27] every rule that concerns them is named by a test", () => {
    const tests = paths("test/**/*.test.ts").map(read).join("\n")
    for (const rule of rules) {
      assert.match(tests, new RegExp(`(?:it|live)[^\\n]*\\(\\s*(?:"|\`)[^\\n]*\\[${rule}\\]`), rule)
    }
  })

  it("[S2-26] the guide and the example show guards, and every option of when a token is refreshed", () => {
    const guide = readFileSync(join(root, "../../docs/guides/calling-apis.md"), "utf8")
    const reference = readFileSync(join(root, "../../docs/reference/configuration.md"), "utf8")
    const example = readFileSync(join(root, "../../examples/src/calling-apis.ts"), "utf8")
    for (const text of [guide, example]) assert.match(text, /TokenGuard\.Service<\w+>\(\)/)
    const [, section = ""] = /^## RefreshPolicy$([\s\S]*?)^## /m.exec(reference) ?? []
    for (const name of Struct.keys(RefreshPolicy.RefreshPolicy.fields)) assert.include(section, `| \`${name}\``)
    for (const name of ["threshold", "cooldown", "maxSkew", "buffer"]) assert.include(guide, `\`${name}\``)
  })

  it("[R12] nothing of them provides the HttpClient", () => {
    for (const path of paths("src/{Token,internal/guard/,internal/sidecar/}*.ts")) {
      assert.notMatch(code(read(path)), /Layer\.\w+\(\s*HttpClient\.HttpClient|HttpClient\.layerMergedContext/, path)
    }
  })

  it("nothing reads a clock or randomness that is not Effect's, and all runs on any web platform", () => {
    const neutral = [
      ...paths("src/{ClientAuth,Guard,OAuth,Refresh,SelfSigned,Server,Token}*.ts"),
      ...paths("src/internal/{guard,oauth,provider,sidecar}/*.ts")
    ]
    assert.isAbove(neutral.length, 30)
    for (const path of neutral) {
      const source = code(read(path))
      assert.notMatch(source, /Math\.random|Date\.now|new Date\b|performance\.now|setTimeout|setInterval/, path)
      assert.notMatch(source, /from "node:|\bBuffer\b|\bprocess\.|from "undici"|@effect\/platform-node/, path)
    }
  })
})
