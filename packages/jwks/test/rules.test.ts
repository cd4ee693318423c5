import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

const root = join(import.meta.dirname, "..")
const paths = (pattern: string) => globSync(pattern, { cwd: root })
const read = (pattern: string) => paths(pattern).map((file) => readFileSync(join(root, file), "utf8"))
const code = (source: string) => source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "")

/** The rules of the security catalogue that concern this package. */
const rules = ["R4", "R5", "R17", "R18", "R19", "R21", "R23", "R24", "R25", "R26", "R27", "R28", "R29"]

describe("Rules", () => {
  it("[K-27] every rule that concerns this package is named by a test of it", () => {
    const tests = read("test/**/*.test.ts").join("\n")
    for (const rule of rules) assert.match(tests, new RegExp(`it[^\\n]*\\(\\s*(?:"|\`)[^\\n]*\\[${rule}\\]`), rule)
  })

  it("[R17] key material never goes through the application's HttpClient", () => {
    for (const source of read("src/**/*.ts").map(code)) assert.notMatch(source, /\bHttpClient\b/)
  })

  it("[R26] no option turns certificate verification off", () => {
    for (const source of read("src/**/*.ts").map(code)) {
      assert.notMatch(source, /rejectUnauthorized:\s*false|NODE_TLS_REJECT|insecure(?!Hosts?)/i)
    }
  })

  it("[R29] nothing reads a clock or randomness that is not Effect's", () => {
    for (const source of read("src/**/*.ts").map(code)) {
      assert.notMatch(source, /Math\.random|Date\.now|new Date\b|performance\.now|setTimeout|setInterval/)
    }
  })

  it("runs on any web platform outside of the files that are for Node", () => {
    const neutral = paths("src/**/*.ts").filter((path) => !basename(path).startsWith("Node"))
    for (const path of neutral) {
      const source = code(readFileSync(join(root, path), "utf8"))
      assert.notMatch(source, /from "node:|\bBuffer\b|\bprocess\.|from "undici"|@effect\/platform-node/, path)
    }
  })
})
