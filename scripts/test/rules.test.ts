import { assert, describe, it } from "@effect/vitest"
import { directionProblem, problemsIn, testProblem, withoutComments } from "../rules.ts"

const file = "packages/core/src/Retry.ts"

describe("rules", () => {
  it("finds nothing in a plain source", () => {
    const source = `import { Clock, Effect } from "effect"\nimport { RateLimiter } from "effect/persistence"\n`
    assert.deepStrictEqual(problemsIn(file, source), [])
  })

  it("reports new Date with its line, with or without arguments", () => {
    assert.deepStrictEqual(problemsIn(file, "const a = 1\nconst b = new Date()\nconst c = new Date"), [
      `${file}:2 uses new Date: take time from Effect's Clock`,
      `${file}:3 uses new Date: take time from Effect's Clock`
    ])
  })

  it("does not read comments as code, nor strings as comments", () => {
    assert.deepStrictEqual(problemsIn(file, "// new Date()\n/* import x from \"node:fs\"\n new Date() */\n"), [])
    assert.strictEqual(problemsIn(file, `const url = "https://a.example"; const now = new Date()`).length, 1)
    assert.strictEqual(withoutComments("a /* b\nc */ d"), "a     \n     d")
    assert.strictEqual(withoutComments("x(/[`/*]/) // `"), "x(/[`/*]/)     ")
  })

  it.each([
    `import { CircuitBreaker } from "effect/persistence"`,
    `import type { CircuitBreaker } from "effect/persistence"`,
    `import {\n  RateLimiter,\n  CircuitBreaker as Breaker\n} from "effect/persistence"`,
    `import * as Persistence from "effect/persistence"`,
    `import * as CircuitBreaker from "effect/persistence/CircuitBreaker"`,
    `export { CircuitBreaker } from "effect/persistence"`,
    `const breaker = import("effect/persistence")`
  ])("keeps Effect's breaker to one file: %s", (source) => {
    assert.strictEqual(problemsIn(file, source).length, 1)
    assert.deepStrictEqual(problemsIn("packages/core/src/internal/breaker/effectBreaker.ts", source), [])
  })

  it.each([
    `import { readFile } from "node:fs/promises"`,
    `import type { Server } from "node:http"`,
    `import "node:http"`,
    `const fs = await import("node:fs")`
  ])("keeps node: to files named Node*.ts: %s", (source) => {
    assert.strictEqual(problemsIn(file, source).length, 1)
    assert.deepStrictEqual(problemsIn("packages/core/src/NodeEgress.ts", source), [])
  })

  it("reports the second of two imports too", () => {
    const source = `import { Effect } from "effect"\nimport { createServer } from "node:http"\n`
    assert.deepStrictEqual(problemsIn(file, source), [`${file}:2 imports node:http: only files named Node*.ts may`])
  })

  it("allows 300 lines and reports 301", () => {
    assert.deepStrictEqual(problemsIn(file, "x\n".repeat(300)), [])
    assert.deepStrictEqual(problemsIn(file, "x\n".repeat(301)), [`${file} has 301 lines: split it by 300`])
  })

  describe("what may import what", () => {
    const architecture = {
      packageImports: { core: [], jwks: ["core"] },
      roomImports: { jwks: { cache: ["keys"], keys: [] } }
    }
    const problems = (path: string, from: string) => directionProblem(architecture, path, { from, line: 1 })

    it.each([
      ["packages/core/src/Retry.ts", "@keelson/jwks/Jwk"],
      ["packages/core/src/Retry.ts", "../../jwks/src/Jwk.ts"],
      ["packages/core/src/Retry.ts", "@keelson/token"]
    ])("%s may not import %s", (path, from) => {
      assert.lengthOf(problems(path, from), 1)
      assert.lengthOf(problemsIn(path, `import { a } from "${from}"\n`), 1)
    })

    it("allows what the table has, relative paths, and packages of others", () => {
      for (const from of ["@keelson/core/Retry", "./Jwk.ts", "effect/Effect", "jose"]) {
        assert.deepStrictEqual(problems("packages/jwks/src/JwksCache.ts", from), [])
      }
    })

    it("keeps a package from importing itself by name, where the linter would not see a cycle", () => {
      assert.lengthOf(problems("packages/jwks/src/JwksCache.ts", "@keelson/jwks/Jwk"), 1)
    })

    it("keeps rooms to what their table has", () => {
      const cache = "packages/jwks/src/internal/cache/state.ts"
      assert.deepStrictEqual(problems(cache, "../keys/import.ts"), [])
      assert.deepStrictEqual(problems(cache, "./lookup.ts"), [])
      assert.lengthOf(problems("packages/jwks/src/internal/keys/import.ts", "../cache/state.ts"), 1)
      assert.deepStrictEqual(problems("packages/jwks/src/JwksCache.ts", "./internal/cache/state.ts"), [])
      assert.deepStrictEqual(problems("packages/core/src/internal/a/b.ts", "../c/d.ts"), [])
    })

    it("keeps tests out of the test folders of other packages", () => {
      const at = (from: string) => testProblem("packages/token/test/A.test.ts", { from, line: 1 })
      assert.lengthOf(at("../../core/test/support.ts"), 1)
      assert.deepStrictEqual(at("./support.ts"), [])
      assert.deepStrictEqual(at("../../testing/src/servers.ts"), [])
    })
  })
})
