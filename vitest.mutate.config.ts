import { defineConfig } from "vitest/config"

const packages = `${import.meta.dirname}/packages`

/** The tests that mutants are run against: one flat project, and the same cases for every mutant. */
export default defineConfig({
  resolve: {
    // Mutants are in a copy of the repository, whose `node_modules` lead back to the packages themselves. Without this, a test
    // would have some of the classes twice, and would run other packages' code without its mutants.
    alias: [
      { find: /^@keelson\/(core|token)\/testing$/, replacement: `${packages}/$1/src/testing/index.ts` },
      { find: /^@keelson\/token\/node$/, replacement: `${packages}/token/src/NodeAuth.ts` },
      { find: /^@keelson\/(\w+)\/(.+)$/, replacement: `${packages}/$1/src/$2.ts` },
      { find: /^@keelson\/(\w+)$/, replacement: `${packages}/$1/src/index.ts` }
    ]
  },
  test: {
    isolate: false,
    strictTags: false,
    // A net for what hangs, as in `vitest.config.ts`: one test over its time fails the first run, and with it all of the mutants.
    // Stryker's own limit ends mutants that hang.
    testTimeout: 180_000,
    hookTimeout: 180_000,
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
      "packages/core/test/{BreakerStore{,Cluster},Redaction,Secrets,OpenTelemetry,PrometheusEndpoint,stalledLoop}.test.ts",
      "packages/core/test/properties/circuitInRedis.test.ts",
      "packages/core/test/unstable/RedisConnection.test.ts",
      "packages/jwks/test/{StaticKeys,JwksSnapshots,JwksRegistryApi,JwksRegistryLoad}*.test.ts",
      "packages/jwks/test/properties/{staticKeys,snapshots,registry,stateMachine}.test.ts",
      "packages/jwks/test/SimulatedDay.test.ts",
      // Whole fleets for each mutant.
      "packages/core/test/testing/Simulate.test.ts",
      "packages/core/test/properties/simulation.test.ts",
      "packages/token/test/{FleetOfProviders,SharedTokensFleet}.test.ts",
      // They read the sources, which mutants have instruments in.
      "packages/*/test/{rules,callerRules}.test.ts",
      // Real sockets, TLS and peers; `FetchEgress` has some too, which are fast, and alone in reading bodies.
      "packages/jwks/test/{NodeEgress,Real,BunEgress,NodeResolver}*.test.ts",
      "packages/token/test/TokenGuard{Load,Real,Secrets}.test.ts",
      "packages/token/test/{BackChannelLogout,BoundTokens,Introspection}Real.test.ts",
      "packages/token/test/Shared{Tokens,TokenRecord}{Failover,Redis}.test.ts",
      "packages/token/test/{{,Bound,Resource}Interop,OAuthSecrets,RevocationRedis,RevocableTokens,SecurityPage,Vectors}.test.ts",
      "packages/token/test/{LocalDevelopment,WithoutEffectGuide,moduleLoad,redisList,validationFiles}.test.ts",
      "packages/cache/test/{RedisCache,RedisHostile,NodeDiskCrash}.test.ts",
      // Thousands of tokens each: they notice more than a run for each mutant has time for.
      "packages/token/test/corpus/**",
      "packages/token/test/properties/{acceptance,cache,differential,explain,explainHostile,laws,tokenProvider,totality}.test.ts",
      "**/node_modules/**"
    ],
    env: { KEELSON_SEED: "20260101" }
  }
})
