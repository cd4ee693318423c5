import { defineConfig } from "vitest/config"

/** The tests that mutants are run against: one flat project, and the same cases for every mutant. */
export default defineConfig({
  test: {
    isolate: false,
    strictTags: false,
    include: [
      "packages/core/test/**/*.test.ts",
      "packages/jwks/test/**/*.test.ts",
      "packages/token/test/**/*.test.ts",
      "packages/cache/test/**/*.test.ts",
      "packages/audit/test/**/*.test.ts",
      "packages/gateway/test/**/*.test.ts"
    ],
    exclude: [
      // Slow, and about modules that are not mutated.
      "packages/core/test/{BreakerStore,Redaction,Secrets,OpenTelemetry}.test.ts",
      "packages/jwks/test/{StaticKeys,JwksSnapshots,JwksRegistryApi,JwksRegistryLoad}*.test.ts",
      "packages/jwks/test/properties/{staticKeys,snapshots,registry,stateMachine}.test.ts",
      "packages/jwks/test/SimulatedDay.test.ts",
      // Whole fleets for each mutant.
      "packages/core/test/testing/Simulate{,dClients}.test.ts",
      "packages/core/test/properties/simulation.test.ts",
      "packages/token/test/FleetOfProviders.test.ts",
      // They read the sources, which mutants have instruments in.
      "packages/*/test/{rules,callerRules}.test.ts",
      // Real sockets, TLS and peers; `FetchEgress` has some too, which are fast, and alone in reading bodies.
      "packages/jwks/test/{NodeEgress,Real}*.test.ts",
      "packages/token/test/TokenGuard{Load,Real,Secrets}.test.ts",
      "packages/token/test/{Interop,OAuth{Client,Secrets},RevocationRedis,RevocableTokens,SecurityPage,Vectors}.test.ts",
      "packages/cache/test/{RedisCache,NodeDiskCrash}.test.ts",
      // Thousands of tokens each: they notice more than a run for each mutant has time for.
      "packages/token/test/corpus/**",
      "packages/token/test/properties/{acceptance,cache,differential,explain,explainHostile,laws,tokenProvider,totality}.test.ts",
      "**/node_modules/**"
    ],
    env: { KEELSON_SEED: "20260101" }
  }
})
