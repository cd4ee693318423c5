import { assert, describe, it } from "@effect/vitest"
import { examplesIn, render } from "../doctest.ts"

const fence = "```"

describe("doctest", () => {
  it("makes assertions of arrows, and keeps the name of what is declared", () => {
    const code = render("a.md:1", "const a = 1 + 1 // => 2\na * 2 // => 4\nconst b = a")
    assert.include(code, `  const a = 1 + 1\n  Assert.assertEquals<unknown>(a, 2)\n`)
    assert.include(code, `  Assert.assertEquals<unknown>(a * 2, 4)\n  const b = a\n`)
  })

  it("puts imports outside of the test and drops export", () => {
    const code = render("a.md:1", `import { Effect } from "effect"\n\nexport const a = Effect.void`)
    assert.match(code, /^import \{ Effect \} from "effect"\n\ntest\("a\.md:1"/m)
    assert.include(code, "  const a = Effect.void")
  })

  it("finds marked fences in Markdown and in doc comments, by file and line, and no other fence", () => {
    const markdown = `# Title\n\n${fence}ts\nno\n${fence}\n\n${fence}ts import.meta.vitest\nyes()\n${fence}\n`
    const source = `/**\n * ${fence}ts import.meta.vitest name="adds"\n * yes()\n * ${fence}\n */\n`
    assert.deepStrictEqual(examplesIn("docs/a.md", markdown), [[
      "docs__a.md.7.test.ts",
      render("docs/a.md:7", "yes()")
    ]])
    assert.deepStrictEqual(examplesIn("packages/core/src/A.ts", source), [
      ["packages__core__src__A.ts.2.test.ts", render("packages/core/src/A.ts:2 adds", "yes()")]
    ])
  })
})
