import { defineConfig } from "vitest/config"
import { generate } from "./scripts/doctest.ts"
import { KeelsonReporter } from "./scripts/reporter.ts"

generate()

const isCi = process.env["CI"] === "true" || process.env["KEELSON_NO_SKIPS"] === "1"

export default defineConfig({
  test: {
    // Tests keep no state in modules, and one process for all files halves the time.
    isolate: false,
    allowOnly: !isCi,
    // A net for what hangs, not a limit: machines are slow when they are shared.
    testTimeout: 60_000,
    hookTimeout: 60_000,
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
      include: ["packages/{core,jwks,token}/src/**/*.ts"],
      exclude: ["**/index.ts"],
      reporter: ["text", "lcov", "json-summary"],
      reportsDirectory: "coverage",
      thresholds: {
        "packages/core/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/jwks/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 },
        "packages/token/src/**": { statements: 95, branches: 95, functions: 95, lines: 95 }
      }
    }
  }
})
