import { defineConfig } from "vitest/config"

/** The tests that mutants of core are run against: one flat project, and the same cases for every mutant. */
export default defineConfig({
  test: {
    isolate: false,
    include: ["packages/core/test/**/*.test.ts"],
    // Slow, and about modules that are not mutated.
    exclude: ["packages/core/test/{BreakerStore,Redaction,Secrets,OpenTelemetry}.test.ts", "**/node_modules/**"],
    env: { KEELSON_SEED: "20260101" }
  }
})
