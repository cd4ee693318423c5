import { assert, describe, it } from "@effect/vitest"
import { GatewayConfig } from "@keelson/gateway"
import { ByteSize, Duration, Effect, Logger, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { olderNames } from "../src/internal/config/olderNames.ts"

const bucket = `
buckets:
  - name: products
    path_prefix: /products
    s3: { bucket: my-products, region: us-west-2, access_key: "\${KEY}", secret_key: "\${SECRET}" }
    auth: { enabled: true }
`
const env = {
  KEY: "AKIAEXAMPLE",
  SECRET: "store-secret",
  JWT_SECRET: "a secret of at least 32 characters",
  REDIS_PASSWORD: "redis-secret"
}

const parsed = (text: string) => GatewayConfig.parse(text, env)

const who = "issuers: [https://auth.example.com], audiences: [assets]"

describe("older configurations", () => {
  it.effect("[S4-39] RS256 with a public key in a file", () =>
    Effect.gen(function*() {
      const config = yield* parsed(`
jwt:
  enabled: true
  algorithm: RS256
  rsa_public_key_path: /etc/keys/rsa_public.pem
  issuer: https://auth.example.com
  audience: assets
${bucket}`)
      const policy = config.auth["default"]
      assert.deepStrictEqual(policy?.algorithms, ["RS256"])
      assert.deepStrictEqual(policy?.keys, [{ algorithm: "RS256", path: "/etc/keys/rsa_public.pem" }])
      assert.deepStrictEqual(policy?.issuers, ["https://auth.example.com"])
    }))

  it.effect("[S4-39] ES256 with a public key in a file", () =>
    Effect.gen(function*() {
      const config = yield* parsed(
        `jwt: { enabled: true, algorithm: ES256, ecdsa_public_key_path: /etc/keys/ec.pem, ${who} }\n${bucket}`
      )
      assert.deepStrictEqual(config.auth["default"]?.keys, [{ algorithm: "ES256", path: "/etc/keys/ec.pem" }])
    }))

  it.effect("[S4-39] a key set that is refreshed each 3600 seconds", () =>
    Effect.gen(function*() {
      const config = yield* parsed(`
jwt:
  enabled: true
  algorithm: RS256
  jwks_url: https://auth.example.com/.well-known/jwks.json
  jwks_refresh_interval_secs: 3600
  ${who.replace(", ", "\n  ")}
${bucket}`)
      const { jwks, keys } = config.auth["default"]!
      assert.strictEqual(jwks?.url, "https://auth.example.com/.well-known/jwks.json")
      assert.strictEqual(Duration.toSeconds(jwks?.ttl ?? 0), 3600)
      assert.strictEqual(keys, undefined)
    }))

  it.effect("[S4-39] several keys of several algorithms", () =>
    Effect.gen(function*() {
      const config = yield* parsed(`
jwt:
  enabled: true
  algorithm: HS256
  secret: ""
  keys:
    - { id: key-1, algorithm: HS256, secret: "\${JWT_SECRET}" }
    - { id: key-2, algorithm: RS256, path: /etc/keys/key2.pem }
    - { id: key-3, algorithm: ES256, path: /etc/keys/key3.pem }
  issuers: [https://auth.example.com]
  audiences: [assets]
${bucket}`)
      const policy = config.auth["default"]
      assert.deepStrictEqual(policy?.algorithms, ["HS256", "RS256", "ES256"])
      const [first, ...others] = Array.isArray(policy?.keys) ? policy.keys : []
      assert.strictEqual(first?.secret === undefined ? undefined : Redacted.value(first.secret), env.JWT_SECRET)
      assert.deepStrictEqual(others.map(({ id, path }) => [id, path]), [["key-2", "/etc/keys/key2.pem"], [
        "key-3",
        "/etc/keys/key3.pem"
      ]])
    }))

  it.effect("[S4-52] [S4-04] a whole configuration parses, and says what has no effect", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const config = yield* parsed(`
server:
  address: 0.0.0.0
  port: 8080
  request_timeout: 60
  max_concurrent_requests: 5000
  security_limits: { max_header_size: 65536, max_uri_length: 8192 }
  rate_limit: { enabled: true, per_ip: { requests_per_second: 20 } }
logging: { level: info, format: json }
metrics: { enabled: true, port: 9090 }
jwt:
  enabled: true
  algorithm: HS256
  secret: "\${JWT_SECRET}"
  ${who.replace(", ", "\n  ")}
  token_sources:
    - { type: header, name: Authorization, prefix: "Bearer " }
    - { type: query, name: token }
    - { type: header, name: X-Auth-Token }
  claims:
    - { claim: role, operator: in, value: [user, admin] }
    - { claim: tenant, operator: equals, value: acme }
  admin_claims:
    - { claim: role, operator: equals, value: admin }
cache:
  enabled: true
  cache_layers: [memory, disk]
  memory: { max_item_size_mb: 10, max_cache_size_mb: 1024, default_ttl_seconds: 3600 }
  disk: { enabled: true, cache_dir: /var/cache/x, max_disk_cache_size_mb: 10240, sendfile: { enabled: true } }
  redis: { enabled: false, redis_url: "redis://localhost:6379", redis_password: "\${REDIS_PASSWORD}", redis_db: 0, redis_key_prefix: "x:", redis_ttl_seconds: 7200 }
audit_log: { enabled: true, outputs: [file], file: { path: /var/log/audit.log, max_file_size_mb: 100 } }
buckets:
  - name: public-assets
    path_prefix: /assets
    s3: { bucket: assets, region: us-east-1, endpoint: "http://localhost:9000", access_key: "\${KEY}", secret_key: "\${SECRET}", timeout: 20, connection_pool_size: 100 }
    auth: { enabled: false }
  - name: products
    path_prefix: /products
    s3:
      circuit_breaker: { failure_threshold: 3, success_threshold: 2, timeout_seconds: 30 }
      rate_limit: { requests_per_second: 500 }
      retry: { max_attempts: 5 }
      replicas:
        - { name: backup, bucket: products-backup, region: us-east-1, access_key: "\${KEY}", secret_key: "\${SECRET}", priority: 2, timeout: 8 }
        - { name: primary, bucket: products-primary, region: us-west-2, access_key: "\${KEY}", secret_key: "\${SECRET}", priority: 1, timeout: 5 }
    auth: { enabled: true }
    cache: { enabled: true, ttl_seconds: 7200, max_item_size_mb: 5 }
    ip_filter: { allowlist: [10.0.0.0/8], blocklist: [10.9.0.1] }
`).pipe(Effect.provideService(Logger.CurrentLoggers, new Set([logger])))
      const { cache, listen } = config
      assert.deepInclude(listen, {
        host: "0.0.0.0",
        port: 8080,
        maxConnections: 5000,
        maxHeaderSize: ByteSize.bytes(65_536)
      })
      assert.strictEqual(Duration.toSeconds(listen.requestTimeout), 60)
      assert.strictEqual(config.log.level, "info")
      assert.deepStrictEqual(cache.layers, ["memory", "disk"])
      assert.deepInclude(cache.memory, { maxItemSize: ByteSize.mebibytes(10), maxSize: ByteSize.gibibytes(1) })
      assert.deepInclude(cache.disk, { dir: "/var/cache/x", maxSize: ByteSize.gibibytes(10) })
      assert.strictEqual(cache.redis, undefined)
      const products = config.cache.buckets["products"]
      assert.strictEqual(Duration.toSeconds(products?.ttl ?? 0), 7200)
      assert.strictEqual(products?.maxItemSize, ByteSize.mebibytes(5))
      assert.deepInclude(config.auth["default"], { header: "X-Auth-Token", queryParameter: "token" })
      const [assets, closed] = config.buckets
      assert.isTrue(assets?.public)
      assert.deepInclude(assets?.replicas[0], {
        endpoint: "http://localhost:9000",
        bucket: "assets",
        maxConnections: 100
      })
      assert.strictEqual(Duration.toSeconds(assets?.replicas[0]?.timeouts?.head ?? 0), 20)
      assert.deepStrictEqual(closed?.replicas.map(({ endpoint, name }) => [name, endpoint]), [
        ["primary", "https://s3.us-west-2.amazonaws.com"],
        ["backup", "https://s3.us-east-1.amazonaws.com"]
      ])
      assert.isFalse(closed?.public)
      assert.deepStrictEqual(closed?.require?.claims, { role: ["user", "admin"], tenant: "acme" })
      assert.deepInclude(closed?.rateLimit, { perBucket: "500 per second", perAddress: "20 per second" })
      assert.deepStrictEqual(closed?.access, { allow: ["10.0.0.0/8"], block: ["10.9.0.1"] })
      assert.deepInclude(closed?.breaker, { failureThreshold: 3, probeSuccesses: 2 })
      assert.deepInclude(config.audit, { enabled: true, outputs: ["file"] })
      assert.deepInclude(config.audit?.file, { path: "/var/log/audit.log", maxSize: ByteSize.mebibytes(100) })
      assert.deepStrictEqual(lines, [
        "These older options have no effect: metrics, server.security_limits.max_uri_length, logging.format, cache.disk.sendfile, jwt.admin_claims, buckets.1.s3.retry"
      ])
    }))

  it.effect("[S4-52] a bucket may have its own policy, and is closed if it says nothing of tokens", () =>
    Effect.gen(function*() {
      const own = yield* parsed(`
server: { address: "127.0.0.1:9090" }
buckets:
  - name: users
    path_prefix: /users
    s3: { bucket: users, region: us-east-1, access_key: a, secret_key: b }
    auth:
      enabled: true
      jwt: { ${who}, secret: "\${JWT_SECRET}", algorithm: HS256, claims_verification: [{ claim: role, operator: equals, value: user }] }
`)
      assert.deepInclude(own.listen, { host: "127.0.0.1", port: 9090 })
      assert.strictEqual(own.buckets[0]?.auth, "users")
      assert.deepStrictEqual(own.auth["users"]?.algorithms, ["HS256"])
      assert.deepStrictEqual(own.buckets[0]?.require?.claims, { role: "user" })
      const error = yield* Effect.flip(parsed(bucket.replace("    auth: { enabled: true }\n", "")))
      assert.include(error.message, "buckets.0.auth")
      assert.include(error.message, "set public")
    }))

  it.effect("[S4-52] a fault names the option as it is written, with its place", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(parsed(`cache:
  enabled: true
  memory:
    max_item_size_mb: lots
    max_chache_size_mb: 5
jwt:
  algorithm: RS512X
  rsa_public_key_path: k
  audiences: [a]
  claims: [{ claim: age, operator: gt, value: 18 }]
${bucket}    ip_filter: { allowlist: [10.0.0.1/8] }
`))
      for (
        const part of [
          "cache.memory.max_item_size_mb (line 4, column 5) must be a size",
          "cache.memory.max_chache_size_mb (line 5, column 5) is not an option",
          "jwt.algorithm (line 7, column 3) must be",
          "jwt.issuers (line 6, column 1) is missing",
          "buckets.0.ip_filter.allowlist.0 (line 17, column 30)",
          "jwt.claims.0.operator (line 10, column 26) must be equals, contains or in"
        ]
      ) assert.include(error.message, part)
    }))

  it.effect("[S4-52] [R31] a rule that would let more callers in if it were left out is a fault", () =>
    Effect.gen(function*() {
      const policy = `algorithm: RS256, rsa_public_key_path: k, ${who}`
      for (
        const [claims, path] of [
          ["{ claim: a, operator: equals, value: b }", "jwt.claims.0"],
          ["[x]", "jwt.claims.0"],
          ["[{ claim: a, operator: equals }]", "jwt.claims.0"],
          ["[{ operator: equals, value: b }]", "jwt.claims.0"],
          ["[{ claim: a, operator: lt, value: 1 }]", "jwt.claims.0.operator"],
          ["[{ claim: a, value: b }, { claim: a, value: c }]", "jwt.claims.1.claim"]
        ] as const
      ) {
        const error = yield* Effect.flip(parsed(`jwt: { ${policy}, claims: ${claims} }\n${bucket}`))
        assert.include(error.message, `${path} (line 1, column `)
      }
      const more = bucket.replace("enabled: true }", "enabled: true, authorization: { type: opa } }")
      const error = yield* Effect.flip(parsed(`jwt: { ${policy} }\n${more}`))
      assert.include(error.message, "buckets.0.auth.authorization (line 7, column 28) is not an option")
      const stores = bucket.replace("s3: {", "s3: { replicas: [], sse: aes,")
      assert.include(
        (yield* Effect.flip(parsed(`jwt: { ${policy} }\n${stores}`))).message,
        "buckets.0.s3.sse (line 6, column "
      )
    }))

  it("[S4-52] the guide has every older name beside its name today", () => {
    const guide = readFileSync(new URL("../../../docs/guides/gateway-configuration.md", import.meta.url), "utf8")
    const rows = guide.split("\n").filter((line) => line.startsWith("| `"))
    for (const [older, name] of Object.values(olderNames).flat()) {
      assert.isTrue(
        rows.some((row) => {
          const [, , before = "", now = ""] = row.split("|")
          return before.includes(older) && now.includes(name)
        }),
        `${older} is ${name}`
      )
    }
  })

  it.effect("[S4-52] a limit for the whole server has no counterpart, and is not ignored", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        parsed(`server: { rate_limit: { enabled: true, global: { requests_per_second: 5 } } }\n${bucket}`)
      )
      assert.include(error.message, "server.rate_limit.global (line 1, column 40) must be left out")
      const both = yield* Effect.flip(
        parsed(`cache: { enabled: true, layers: [memory], cache_layers: [memory] }\n${bucket}`)
      )
      assert.include(both.message, "cache.cache_layers")
    }))
})
