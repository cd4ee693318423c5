import { assert, describe, it } from "@effect/vitest"
import { CacheOptions } from "@keelson/cache"
import type { KeelsonError } from "@keelson/core"
import * as Decoders from "@keelson/core/unstable/Decoders"
import {
  AuthOptions,
  BucketOptions,
  GatewayConfig,
  ListenOptions,
  RateLimitOptions,
  ReplicaOptions
} from "@keelson/gateway"
import { forAllEffect } from "@keelson/testing/properties"
import { ByteSize, Duration, Effect, Exit, Logger, Redacted, Schema } from "effect"
import fc from "fast-check"
import { inspect } from "node:util"

/** The interface of each section has exactly the options of its schema, or this does not compile. */
const sections = [
  Decoders.maker<ListenOptions.ListenOptions, typeof ListenOptions.Listen>(ListenOptions.Listen),
  Decoders.maker<ListenOptions.AdminOptions, typeof ListenOptions.Admin>(ListenOptions.Admin),
  Decoders.maker<ListenOptions.DrainOptions, typeof ListenOptions.Drain>(ListenOptions.Drain),
  Decoders.maker<ListenOptions.LogOptions, typeof ListenOptions.Log>(ListenOptions.Log),
  Decoders.maker<ReplicaOptions.StoreTimeoutOptions, typeof ReplicaOptions.StoreTimeouts>(ReplicaOptions.StoreTimeouts),
  Decoders.maker<RateLimitOptions.RateLimitStoreOptions, typeof RateLimitOptions.RateLimitStore>(
    RateLimitOptions.RateLimitStore
  ),
  Decoders.maker<BucketOptions.AccessOptions, typeof BucketOptions.Access>(BucketOptions.Access),
  Decoders.maker<BucketOptions.RateLimitOptions, typeof BucketOptions.RateLimit>(BucketOptions.RateLimit),
  Decoders.maker<BucketOptions.HeaderOptions, typeof BucketOptions.Headers>(BucketOptions.Headers)
]

const replicas = `replicas: [{ endpoint: "https://s3.example", bucket: b, credentials: { env: AWS } }]`
const open = `buckets: [{ name: a, path: /a, public: true, ${replicas} }]`

const failing = (
  text: string,
  env: Record<string, string> = {}
): Effect.Effect<KeelsonError.ConfigurationError, unknown> => Effect.flip(GatewayConfig.parse(text, env))

const parsed = (text: string, env: Record<string, string> = {}) => GatewayConfig.parse(text, env)

const example = `
listen: { host: "::", port: 8080 }
auth:
  default: { profile: accessToken, issuers: [https://idp.example], audiences: [assets], algorithms: [RS256] }
cache: { enabled: true, layers: [memory, disk], memory: { maxItemSize: 10 MiB, maxSize: 1 GiB, ttl: 1 hour }, disk: { dir: /var/cache/keelson, maxSize: 10 GiB } }
audit: { enabled: true, outputs: [file], file: { path: /var/log/keelson/audit.jsonl, maxSize: 50 MiB, keep: 5 } }
buckets:
  - name: products
    path: /products
    replicas: [ { endpoint: https://s3.eu-west-1.amazonaws.com, region: eu-west-1, bucket: products, credentials: { env: PRODUCTS } } ]
    require: { scopes: [products:read], claims: { tenant: acme, level: 5 } }
    cache: { ttl: 2 hours, maxItemSize: 5 MiB }
    access: { allow: [10.0.0.0/8], block: [10.9.0.0/16] }
    rateLimit: { perUser: 100 per second, perAddress: 20 per second }
`

describe("GatewayConfig", () => {
  it.effect("[S4-04] the example of the documentation parses, with the options of the bucket's cache", () =>
    Effect.gen(function*() {
      const config = yield* parsed(example)
      assert.lengthOf(sections, 9)
      assert.strictEqual(config.listen.host, "::")
      assert.deepStrictEqual(config.auth["default"]?.jwks?.discovery, "oidc")
      assert.deepStrictEqual(config.buckets[0]?.require?.claims, { tenant: "acme", level: "5" })
      const cache = config.cache.buckets["products"]
      assert.strictEqual(Duration.toSeconds(cache?.ttl ?? 0), 7200)
      assert.strictEqual(cache?.maxItemSize, ByteSize.mebibytes(5))
      assert.strictEqual(cache?.enabled, true)
    }))

  it.effect("what is checked once can be checked again", () =>
    Effect.gen(function*() {
      const config = yield* parsed(example)
      assert.deepStrictEqual(yield* GatewayConfig.decode(config), config)
    }))

  it.effect("a bucket is closed unless it says otherwise, and the listener is on this machine", () =>
    Effect.gen(function*() {
      const config = yield* parsed(open)
      assert.strictEqual(config.listen.host, "127.0.0.1")
      assert.strictEqual(config.admin.host, "127.0.0.1")
      assert.deepStrictEqual(config.buckets[0]?.methods, ["GET", "HEAD"])
      assert.isFalse(config.cache.enabled)
      const error = yield* failing(`buckets: [{ name: a, path: /a, ${replicas} }]`)
      assert.include(error.message, "buckets.0.auth")
      assert.include(error.message, "or set public for a bucket without tokens")
    }))

  it.effect("[S4-04] an option of a bucket's cache that is out of its range fails with its place and its bound", () =>
    Effect.gen(function*() {
      const error = yield* failing(`${open.slice(0, -3)}, cache: { ttl: -1 second, maxItemSize: 0 } }]`)
      assert.include(error.message, "buckets.0.cache.ttl (line 1, column ")
      assert.include(error.message, "a duration with its unit, from 0 millis to 8760 hours")
      assert.include(error.message, "buckets.0.cache.maxItemSize")
    }))

  it.effect("every fault has its path, line, column and bound, and a misspelt option its name", () =>
    Effect.gen(function*() {
      const error = yield* failing(`listen:
  port: 70000
  maxHeaders: [1]
  hedersTimeout: 1 second
buckets:
  - name: a b
    path: /a/
    public: true
    replicas:
      - endpoint: ftp://x
        bucket: b
    cors: { origins: ["https://a.example/path"] }
`)
      const Issues = Schema.Array(Schema.Struct({
        path: Schema.String,
        line: Schema.Int,
        column: Schema.Int,
        suggestion: Schema.optionalKey(Schema.String)
      }))
      const places = Schema.decodeUnknownSync(Issues)(error.details["issues"])
        .map(({ column, line, path, suggestion }) => [path, line, column, suggestion])
      assert.sameDeepMembers(places, [
        ["listen.port", 2, 3, undefined],
        ["listen.maxHeaders", 3, 3, undefined],
        ["listen.hedersTimeout", 4, 3, "headersTimeout"],
        ["buckets.0.name", 6, 5, undefined],
        ["buckets.0.path", 7, 5, undefined],
        ["buckets.0.replicas.0.endpoint", 10, 9, undefined],
        ["buckets.0.cors.origins.0", 12, 23, undefined]
      ])
      assert.include(error.message, "listen.port (line 2, column 3) must be a whole number from 0 to 65535")
      assert.include(error.message, "did you mean headersTimeout?")
    }))

  for (
    const [title, text, expected] of [
      [
        "names of buckets",
        `buckets: [{ name: a, path: /a, public: true, ${replicas} }, { name: a, path: /b, public: true, ${replicas} }]`,
        "buckets.1.name (line 1,"
      ],
      [
        "paths of buckets",
        `buckets: [{ name: a, path: /a, public: true, ${replicas} }, { name: b, path: /a, public: true, ${replicas} }]`,
        "buckets.1.path (line 1,"
      ],
      [
        "a requirement of a public bucket",
        `buckets: [{ name: a, path: /a, public: true, require: { scopes: [x] }, ${replicas} }]`,
        "buckets.0.require"
      ],
      [
        "writes to a public bucket",
        `buckets: [{ name: a, path: /a, public: true, methods: [GET, PUT], ${replicas} }]`,
        "buckets.0.methods"
      ],
      [
        "users of a public bucket",
        `buckets: [{ name: a, path: /a, public: true, rateLimit: { perUser: 1 per second }, ${replicas} }]`,
        "buckets.0.rateLimit.perUser"
      ],
      [
        "credentials of two kinds",
        `buckets: [{ name: a, path: /a, public: true, replicas: [{ endpoint: "https://s", bucket: b, credentials: { env: A, profile: b } }] }]`,
        "exactly one of env, profile"
      ],
      [
        "cookies for every origin",
        `buckets: [{ name: a, path: /a, public: true, cors: { origins: ["*"], credentials: true }, ${replicas} }]`,
        "buckets.0.cors.credentials"
      ],
      ["a cache of an unknown bucket", `${open}\ncache: { enabled: true, buckets: { z: {} } }`, "cache.buckets.z"],
      ["a policy for administrators that is missing", `${open}\nadmin: { enabled: true }`, "admin.auth"],
      [
        "one port for two listeners",
        `${open}\nadmin: { enabled: true, port: 8080 }\nauth: { admin: { issuers: [i], audiences: [admin], algorithms: [RS256] } }`,
        "admin.port"
      ],
      ["no buckets", "buckets: []", "buckets (line 1, column 1) must be a list of 1 to 1000 buckets"],
      ["nothing", "", "the document must be"],
      [
        "a member that stands twice",
        "buckets: []\nbuckets: []",
        "line 2, column 1: expected a member that stands once"
      ],
      ["no YAML", "buckets: [", "not valid YAML at line 1"],
      [
        "a check of the policy",
        `${open}\nauth: { default: { issuers: [i], audiences: [a], algorithms: [RS256], keys: [{ algorithm: ES256, path: k }] } }`,
        "auth.default.keys.0.algorithm"
      ]
    ] as const
  ) {
    it.effect(`fails for ${title}`, () =>
      Effect.map(failing(text), (error) => {
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, expected)
      }))
  }

  it.effect("[R36] administrators have a policy and an audience of their own", () =>
    Effect.gen(function*() {
      const policy = (audience: string) =>
        `{ issuers: [https://idp.example], audiences: [${audience}], algorithms: [RS256] }`
      const closed = (auth: string) =>
        `buckets: [{ name: a, path: /a, auth: ${auth}, ${replicas} }]\nadmin: { enabled: true, port: 0 }\n`
      const config = yield* parsed(
        `${closed("default")}auth: { default: ${policy("assets")}, admin: ${policy("admin")} }`
      )
      assert.strictEqual(config.admin.scope, "gateway:admin")
      const shared = yield* failing(
        `${closed("default")}auth: { default: ${policy("assets")}, admin: ${policy("assets")} }`
      )
      assert.include(shared.message, "auth.admin.audiences.0")
      const used = yield* failing(`${closed("admin")}auth: { admin: ${policy("admin")} }`)
      assert.include(used.message, "admin.auth")
      assert.include(used.message, "a policy that no bucket uses")
    }))

  it.effect("[S4-05] values have variables, whose text cannot change the document", () =>
    Effect.gen(function*() {
      const config = yield* parsed(`${open}\nlisten: { port: "\${PORT}", host: "\${HOST:-::1}" }`, { PORT: "9000" })
      assert.strictEqual(config.listen.port, 9000)
      assert.strictEqual(config.listen.host, "::1")
      const missing = yield* failing(`${open}\nlisten: { port: "\${PORT}" }`)
      assert.strictEqual(missing.code, "CONFIG_VARIABLE_MISSING")
      const injected = yield* parsed(`${open}\nlisten: { host: "\${HOST}" }`, { HOST: "x\nadmin: { enabled: true }" })
      assert.isFalse(injected.admin.enabled)
    }))

  const secret = "s3cr3t-value-of-a-store"
  const withSecrets = `
auth: { default: { issuers: [i], audiences: [a], algorithms: [HS256], keys: [{ algorithm: HS256, secret: "${secret}-0123456789-0123456789" }] } }
rateLimits: { redis: { url: "redis://r", password: ${secret} } }
cache: { enabled: true, layers: [redis], redis: { url: "redis://r", password: ${secret} } }
buckets:
  - name: a
    path: /a
    replicas: [{ endpoint: "https://s", bucket: b, credentials: { static: { accessKeyId: ${secret}, secretAccessKey: ${secret}, sessionToken: ${secret} } } }]
`

  it.effect("[R40] secrets are redacted, and in no error", () =>
    Effect.gen(function*() {
      const config = yield* parsed(withSecrets)
      for (
        const shown of [
          inspect(config, { depth: null }),
          JSON.stringify(config, (_, value: unknown) => typeof value === "bigint" ? 0 : value)
        ]
      ) {
        assert.notInclude(shown, secret)
      }
      const credentials = config.buckets[0]?.replicas[0]?.credentials?.static
      assert.strictEqual(credentials === undefined ? undefined : Redacted.value(credentials.secretAccessKey), secret)
      for (
        const broken of [
          `${withSecrets}\nworkers: 0`,
          `${withSecrets}  - [`,
          withSecrets.replace("sessionToken:", "sesionToken:"),
          withSecrets.replaceAll(secret, `${secret}${"x".repeat(70_000)}`),
          withSecrets.replace("accessKeyId: ", "accessKeyId: *")
        ]
      ) {
        const error = yield* failing(broken)
        assert.notInclude(`${error.message} ${JSON.stringify(error)} ${inspect(error, { depth: null })}`, secret)
      }
    }))

  it.effect("[R40] no codec writes a secret of a store, of Redis or of a key", () =>
    Effect.gen(function*() {
      const config = yield* parsed(withSecrets)
      const redacted = Redacted.make(secret)
      const refuses = Effect.fnUntraced(
        function*<S extends Schema.ConstraintCodec<unknown, unknown>>(schema: S, value: S["Type"]) {
          const exits = [
            yield* Effect.exit(Schema.encodeUnknownEffect(schema)(value)),
            yield* Effect.exit(Schema.encodeUnknownEffect(Schema.toCodecJson(schema))(value)),
            yield* Effect.exit(Schema.encodeUnknownEffect(Schema.toCodecStringTree(schema))(value))
          ]
          for (const exit of exits) {
            assert.isTrue(Exit.isFailure(exit))
            assert.notInclude(inspect(exit, { depth: null }), secret)
          }
        }
      )
      const policy = config.auth["default"]!
      const [bucket] = config.buckets
      const [replica] = bucket!.replicas
      const cache = { ...config.cache.redis! }
      yield* refuses(GatewayConfig.GatewayConfig, config)
      yield* refuses(BucketOptions.Bucket, bucket!)
      yield* refuses(ReplicaOptions.Replica, replica!)
      yield* refuses(ReplicaOptions.Credentials, replica!.credentials!)
      yield* refuses(ReplicaOptions.StaticCredentials, { accessKeyId: redacted, secretAccessKey: redacted })
      yield* refuses(RateLimitOptions.RateLimitStore, config.rateLimits)
      yield* refuses(RateLimitOptions.RateLimitRedis, config.rateLimits.redis!)
      yield* refuses(CacheOptions.Redis, cache)
      yield* refuses(AuthOptions.Auth, policy)
    }))
})

/** A YAML document of random parts. */
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.array(
    fc.constantFrom(
      "buckets:",
      "\n",
      "  ",
      "- ",
      "name: a",
      "path: /a",
      "listen:",
      "cache: ",
      "jwt:",
      "s3:",
      "{",
      "}",
      "[",
      "]",
      "&a ",
      "*a",
      "<<: ",
      "!!js/function ",
      "|",
      "null",
      "1",
      "true",
      "\"",
      ": ",
      "auth: {enabled: false}",
      "replicas: ",
      "token_sources: [1]",
      "keys: [x]",
      "enabled: true"
    ),
    { maxLength: 30 }
  )
    .map((parts) => parts.join(""))
)

const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, true, "true", "x", 1, -1, "https://a.example", "1 second", "10.0.0.0/8"),
    fc.string({ maxLength: 5 })
  ),
  node: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("leaf"),
    fc.array(tie("node"), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        "listen",
        "server",
        "auth",
        "jwt",
        "cache",
        "memory",
        "disk",
        "redis",
        "buckets",
        "name",
        "path",
        "path_prefix",
        "s3",
        "replicas",
        "credentials",
        "address",
        "rate_limit",
        "per_ip",
        "enabled",
        "keys",
        "algorithm",
        "token_sources",
        "claims",
        "claim",
        "operator",
        "value",
        "ip_filter",
        "allowlist",
        "circuit_breaker",
        "logging",
        "audit_log",
        "constructor",
        "__proto__"
      ),
      tie("node"),
      { maxKeys: 6 }
    )
  )
})).node

describe("properties of GatewayConfig", () => {
  const quiet = Effect.provideService(Logger.CurrentLoggers, new Set())

  it("no text makes parse die", (context) =>
    forAllEffect(
      context,
      3000,
      hostile,
      (text) => Effect.map(quiet(Effect.exit(parsed(text))), (exit) => assert.isFalse(Exit.hasDies(exit)))
    ))

  it("no data makes decode die, under today's and older names", (context) =>
    forAllEffect(
      context,
      3000,
      value,
      (input) =>
        Effect.map(quiet(Effect.exit(GatewayConfig.decode(input))), (exit) => assert.isFalse(Exit.hasDies(exit)))
    ))

  it.effect("[R40] a document that is nested too deeply, or whose aliases multiply, fails", () =>
    Effect.gen(function*() {
      const bomb = [
        "a: &a [x, x, x, x, x, x, x, x, x]",
        ..."bcdefghij".split("").map((name, index) =>
          `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefghij"[index]}`).join(", ")}]`
        )
      ].join("\n")
      for (
        const text of [
          "[".repeat(1000),
          "{a: ".repeat(1000),
          `${"[".repeat(100)}${"]".repeat(100)}`,
          bomb,
          "a: &a [*a]"
        ]
      ) {
        const error = yield* failing(text)
        assert.strictEqual(error.code, "INVALID_CONFIG")
      }
    }))
})
