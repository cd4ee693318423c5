import { assert, describe, it } from "@effect/vitest"
import { CacheOptions } from "@keelson/cache"
import * as Aliases from "@keelson/core/unstable/Aliases"
import { ByteSize, ConfigProvider, Duration, Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const yaml = (text: string) => CacheOptions.decodeText({ format: "yaml", text })

describe("CacheOptions", () => {
  it.effect("[S4-04] reads a bucket with 7200 seconds and 5 MB, in the older names and the current ones", () =>
    Effect.gen(function*() {
      const older = yield* yaml(`
enabled: true
buckets:
  products: { enabled: true, ttl_seconds: 7200, max_item_size_mb: 5 }
`)
      const current = yield* yaml(`
enabled: true
buckets:
  products: { enabled: true, ttl: 7200 seconds, maxItemSize: 5 MiB }
`)
      assert.deepStrictEqual(older, current)
      assert.deepStrictEqual(older.buckets["products"], {
        enabled: true,
        ttl: Duration.seconds(7200),
        maxItemSize: ByteSize.mebibytes(5)
      })
      for (const wrong of ["ttl_seconds: -1", "max_item_size_mb: 0", "max_item_size_mb: some"]) {
        const error = yield* Effect.flip(yaml(`enabled: true\nbuckets: { products: { ${wrong} } }`))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.match(error.message, /buckets\.products\.(ttl|maxItemSize) .*from/)
      }
    }))

  it.effect("[S4-01] [S4-02] [S4-03] [S4-05] reads all older names, with values of the environment", () =>
    Effect.gen(function*() {
      const { disk, layers, memory, redis } = yield* yaml(`
enabled: true
cache_layers: [memory, disk, redis]
memory:
  max_item_size_mb: 20
  max_cache_size_mb: 2048
  default_ttl_seconds: \${TTL}
disk:
  enabled: true
  cache_dir: \${DIR}
  max_disk_cache_size_gb: 20
redis:
  enabled: true
  redis_url: redis://h:6379
  redis_password: \${SECRET}
  redis_db: 2
  redis_key_prefix: "app:"
  redis_ttl_seconds: 60
`).pipe(
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { TTL: "120", DIR: "/data", SECRET: "hunter2${DIR}" } })
        )
      )
      assert.deepStrictEqual(layers, ["memory", "disk", "redis"])
      assert.deepStrictEqual(memory, {
        maxItemSize: ByteSize.mebibytes(20),
        maxSize: ByteSize.gibibytes(2),
        ttl: Duration.minutes(2)
      })
      assert.deepInclude(disk, { dir: "/data", maxSize: ByteSize.gibibytes(20) })
      assert.deepInclude(redis, { url: "redis://h:6379", database: 2, prefix: "app:", ttl: Duration.minutes(1) })
      // What an environment variable has is not read again.
      assert.strictEqual(Redacted.value(redis!.password!), "hunter2${DIR}")
    }))

  it("[S4-01] every older name has the option and the unit that the table states", () => {
    const fields = new Map<string, object>([
      ["", CacheOptions.CacheOptions.fields],
      ["memory", CacheOptions.Memory.fields],
      ["disk", CacheOptions.Disk.fields],
      ["redis", CacheOptions.Redis.fields],
      ["buckets", CacheOptions.Bucket.fields]
    ])
    const guide = readFileSync(join(import.meta.dirname, "../../../docs/guides/caching.md"), "utf8")
    const nested = (keys: ReadonlyArray<string>, value: unknown) =>
      keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)
    for (const [path, { name, unit }] of Object.entries(CacheOptions.aliases)) {
      const sections = path.replace("*", "any").split(".")
      const key = sections.pop() ?? ""
      assert.property(fields.get(sections[0] ?? ""), name)
      assert.include(guide, `\`${key}\``)
      for (const value of [3, " 3.5 "]) {
        const shown = unit === undefined ? value : `${String(value).trim()} ${unit}`
        assert.deepStrictEqual(
          Aliases.rename(CacheOptions.aliases)(nested([...sections, key], value)),
          nested([...sections, name], shown)
        )
      }
    }
  })

  it.effect("[S4-03] a section that is off is left out, unless it is a layer; a switch that is on says nothing", () =>
    Effect.gen(function*() {
      const off = yield* yaml("enabled: true\nlayers: [memory]\ndisk: { enabled: false, cache_dir: /d }")
      assert.isUndefined(off.disk)
      const on = yield* CacheOptions.decode({ enabled: true, layers: ["disk"], disk: { enabled: true } })
      assert.isDefined(on.disk)
      for (
        const text of [
          "enabled: true\nlayers: [disk]\ndisk: { enabled: false }",
          "enabled: true\nmemory: { enabled: false }",
          "enabled: true\nlayers: [disk]\ndisk: { enabled: maybe }",
          "enabled: true\nlayers: [memory]\ndisk: { enabled: true }"
        ]
      ) assert.strictEqual((yield* Effect.flip(yaml(text))).code, "INVALID_CONFIG", text)
      assert.deepInclude(yield* yaml("enabled: false\ncache_layers: [tape]"), { enabled: false })
    }))

  it.effect("[S4-01] what is no object is refused", () =>
    Effect.gen(function*() {
      for (const input of ["enabled", 1, null, [true]]) {
        assert.strictEqual((yield* Effect.flip(CacheOptions.decode(input))).code, "INVALID_CONFIG")
      }
    }))

  it.effect("[S4-01] an older name beside the current one is refused, and one in another section", () =>
    Effect.gen(function*() {
      for (
        const options of [
          { memory: { max_item_size_mb: 1, maxItemSize: "1 MiB" } },
          { memory: { max_cache_size_mb: 1, max_size_mb: 2 } },
          { layers: ["memory"], cache_layers: ["memory"] },
          { memory: { redis_url: "redis://h" } },
          { max_item_size_mb: 1 }
        ]
      ) {
        const error = yield* Effect.flip(CacheOptions.decode({ enabled: true, ...options }))
        assert.match(error.message, /is not an option/, JSON.stringify(options))
      }
    }))
})
