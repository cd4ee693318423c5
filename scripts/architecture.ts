/** The allowed imports, as in ARCHITECTURE.md. scripts/rules.ts checks them. */

/** The packages that the sources of each package may import. */
export const packageImports: Readonly<Record<string, ReadonlyArray<string>>> = {
  core: [],
  jwks: ["core"],
  token: ["core", "jwks"],
  cache: ["core"],
  audit: ["core"],
  gateway: ["core", "jwks", "token", "cache", "audit"]
}

/**
 * The rooms (folders of `src/internal`) that the files of each room may import, by package. Public modules may import every
 * room of their package. A package without a table is not checked.
 */
export const roomImports: Readonly<Record<string, Readonly<Record<string, ReadonlyArray<string>>>>> = {
  core: {
    breaker: ["errors", "retry"],
    configuration: [],
    errors: [],
    hedge: ["errors", "retry"],
    limit: ["errors"],
    metrics: [],
    redaction: [],
    resilience: ["breaker", "errors", "hedge", "limit", "retry"],
    retry: ["errors"],
    simulation: ["errors"]
  },
  jwks: {
    api: ["registry"],
    cache: ["http", "keys", "registry", "snapshot"],
    egress: [],
    http: ["cache", "keys"],
    keys: [],
    registry: ["cache"],
    snapshot: ["keys"],
    static: ["keys"]
  },
  cache: {
    disk: ["tier"],
    loader: ["tier"],
    memory: ["tier"],
    redis: ["tier"],
    tier: [],
    tiered: ["tier"]
  },
  audit: {
    file: [],
    http: [],
    log: [],
    options: [],
    spool: ["file"],
    syslog: ["file"]
  },
  gateway: {
    address: [],
    admin: ["server", "target"],
    conditional: [],
    config: [],
    credentials: [],
    fill: [],
    headers: [],
    limits: [],
    operation: ["server"],
    replicas: ["store"],
    server: ["fill"],
    store: ["credentials"],
    target: []
  },
  token: {
    adapters: ["http"],
    delegation: ["dpop", "provider", "validation"],
    dpop: ["validation"],
    explain: ["dpop", "validation"],
    fleet: [],
    guard: ["dpop", "mtls"],
    http: ["dpop", "mtls", "validation"],
    introspection: ["oauth", "provider", "validation"],
    issuer: ["validation"],
    logout: [],
    mtls: ["validation"],
    oauth: ["mtls", "validation"],
    provider: ["fleet"],
    resource: ["guard", "http", "oauth"],
    revocation: ["validation"],
    sidecar: ["guard"],
    validation: [],
    workload: ["oauth"]
  }
}

/** Whether tests must not import from another package's test folder. Shared test code is in packages/testing. */
export const testsStandAlone: boolean = true
