import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { ErrorCode } from "../src/index.ts"

const root = join(import.meta.dirname, "..")
const read = (pattern: string) => globSync(pattern, { cwd: root }).map((file) => readFileSync(join(root, file), "utf8"))

/** The rules of the security catalogue that concern this package. */
const rules = ["R21", "R26", "R27", "R28", "R29"]

describe("Rules", () => {
  it("[K-27] every rule that concerns this package is named by a test of it", () => {
    const tests = read("test/**/*.test.ts").join("\n")
    for (const rule of rules) assert.match(tests, new RegExp(`it[^\\n]*\\(\\s*(?:"|\`)[^\\n]*\\[${rule}\\]`), rule)
  })

  it("[R26] there is no option that turns certificate verification off, and NET-003 advises caFile", () => {
    for (const source of read("src/**/*.ts")) {
      assert.notMatch(source, /rejectUnauthorized|NODE_TLS_REJECT|insecure(?!Hosts)/i)
    }
    assert.include(ErrorCode.codeInfo.TLS_FAILED.troubleshooting.join(" "), "`caFile`")
  })

  it("[R29] nothing reads a clock or randomness that is not Effect's", () => {
    for (const source of read("src/**/*.ts")) {
      assert.notMatch(
        source.replaceAll(/\/\*[\s\S]*?\*\//g, ""),
        /Math\.random|Date\.now|new Date\b|performance\.now|setTimeout|setInterval/
      )
    }
  })
})
