import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..", "..", "..")
const page = readFileSync(join(root, "docs", "security.md"), "utf8")

/** The tests that the page names, each with the file that it says it is in. */
const named = [...page.matchAll(/\[([^\]]+)\]\(\.\.\/([^)]+\.test\.ts)\)/g)].map(([, title = "", file = ""]) => ({
  title,
  file
}))

/** The rows of a section, by what their first cell begins with. */
const rows = page.split("\n").filter((line) => /^\| \d/.test(line))

describe("The page on security", () => {
  it("[K-09] names tests that there are, by their titles", () => {
    assert.isAtLeast(named.length, 40)
    const missing = named.filter(({ file, title }) => !readFileSync(join(root, file), "utf8").includes(title))
    assert.deepStrictEqual(missing, [])
  })

  it("[K-09] has every item of RFC 8725 and of its revision, each with a test", () => {
    for (const item of Array.from({ length: 15 }, (_, index) => `3.${index + 1}`)) {
      const row = rows.find((line) => line.startsWith(`| ${item} `))
      assert.isDefined(row, item)
      assert.match(row, /\.test\.ts\)/, item)
    }
    for (const row of rows) assert.match(row, /\.test\.ts\)/)
  })
})
