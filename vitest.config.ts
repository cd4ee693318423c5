import { readFileSync } from "node:fs"
import { join } from "node:path"
import { defineConfig } from "vitest/config"
import type { Section } from "./scripts/acceptanceTable.ts"
import { generate } from "./scripts/doctest.ts"
import { KeelsonReporter } from "./scripts/reporter.ts"

generate()

/** A test carries the id of an acceptance row in its title or as a tag; `--tags-filter=S1-07` runs the tagged ones. */
const sections: ReadonlyArray<Section> = JSON.parse(
  readFileSync(join(import.meta.dirname, "docs/acceptance-rows.json"), "utf8")
)
const tags = sections.flatMap(({ rows }) => rows.map(({ id }) => ({ name: id })))

const isCi = process.env["CI"] === "true" || process.env["KEELSON_NO_SKIPS"] === "1"

export default defineConfig({
  test: {
    // Tests keep no state in modules, and one process for all files halves the time.
    isolate: false,
    allowOnly: !isCi,
    tags,
    // For tests that hang only. The longest test computes for ten seconds on an idle machine, and for minutes on one whose two
    // cores thirty processes share. Tests have no shorter limit of their own.
    testTimeout: 900_000,
    hookTimeout: 900_000,
    reporters: ["default", new KeelsonReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts", "scripts/test/**/*.test.ts"],
          exclude: ["packages/*/test/properties/**", "**/node_modules/**"]
        }
      },
      { extends: true, test: { name: "properties", include: ["packages/*/test/properties/**/*.test.ts"] } },
      { extends: true, test: { name: "doctest", include: [".doctest/**/*.test.ts"] } }
    ],
    coverage: {
      provider: "v8",
      include: ["packages/{core,jwks,token,cache,audit,gateway}/src/**/*.ts"],
      exclude: ["**/index.ts"],
      reporter: ["text", "lcov", "json-summary"],
      reportsDirectory: "coverage",
      thresholds: {
        "packages/core/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/jwks/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/cache/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/audit/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/gateway/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/token/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 }
      }
    }
  }
})
