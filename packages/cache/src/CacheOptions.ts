/**
 * Options of caches: checked data from code, a file or the environment.
 */
import * as Configuration from "@keelson/core/Configuration"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** The options of one bucket. Every one may be left out. */
export interface BucketOptions {
  /** Whether the bucket is cached. Default true. */
  readonly enabled?: boolean | undefined
  /** How long entries of the bucket live; 0 seconds means for ever. Without it, as long as the tier says. From 0 millis to 8760 hours. Default none. */
  readonly ttl?: Configuration.DurationInput | undefined
  /** The largest item of the bucket. Without it, that of the tier. From 1 bytes to 1024 GiB. Default none. */
  readonly maxItemSize?: Field.SizeInput | undefined
}

/** The options of the tier in memory. Every one may be left out. */
export interface MemoryOptions {
  /** The largest item. From 1 bytes to 1024 GiB. Default 10 MiB. */
  readonly maxItemSize?: Field.SizeInput | undefined
  /** What all entries together may count with. From 1 bytes to 1024 GiB. Default 1 GiB. */
  readonly maxSize?: Field.SizeInput | undefined
  /** How long entries live; 0 seconds means for ever. From 0 millis to 8760 hours. Default 1 hour. */
  readonly ttl?: Configuration.DurationInput | undefined
}

/** The options of the tier on disk. Every one may be left out. */
export interface DiskOptions {
  /** The directory, which belongs to the cache alone. Made if it does not exist. From 1 to 4096 characters. Default /var/cache/keelson. */
  readonly dir?: string | undefined
  /** The largest item. From 1 bytes to 1024 GiB. Default 1 GiB. */
  readonly maxItemSize?: Field.SizeInput | undefined
  /** What all entries together may take on the disk. From 1 bytes to 1024 GiB. Default 10 GiB. */
  readonly maxSize?: Field.SizeInput | undefined
  /** How long entries live; 0 seconds means for ever. From 0 millis to 8760 hours. Default 1 hour. */
  readonly ttl?: Configuration.DurationInput | undefined
}

/** The options of the tier in Redis. Every one may be left out. */
export interface RedisOptions {
  /** The URL of the server, as `redis://host:6379`. Required by `CacheOptions`, not by `RedisCache.make`. Default none. */
  readonly url?: string | undefined
  /** The password. From 1 to 4096 characters. Default none. */
  readonly password?: Redacted.Redacted | undefined
  /** The number of the database. From 0 to 65535. Default 0. */
  readonly database?: number | undefined
  /**
   * What the names of all entries begin with. No other data in the database may begin with it: `clear` removes everything that does.
   * From 1 to 128 characters. Default keelson:cache:.
   */
  readonly prefix?: string | undefined
  /** The largest item. From 1 bytes to 512 MiB. Default 10 MiB. */
  readonly maxItemSize?: Field.SizeInput | undefined
  /** How long entries live; 0 seconds means for ever. From 0 millis to 8760 hours. Default 1 hour. */
  readonly ttl?: Configuration.DurationInput | undefined
  /** How long a call to Redis may take. From 1 milli to 1 minute. Default 1 second. */
  readonly timeout?: Configuration.DurationInput | undefined
}

const maxSize = "1024 GiB"

const ttl = () => Field.duration("0 millis", "8760 hours")
const maxItemSize = () => Field.size(1, maxSize)

/** The largest item must fit into its tier. */
export const itemFits = Schema.makeFilter((
  o: { readonly maxItemSize: ByteSize.ByteSize; readonly maxSize: ByteSize.ByteSize }
) =>
  o.maxItemSize <= o.maxSize ||
  { path: ["maxItemSize"], issue: `at most the maxSize of the tier, which is ${Field.writtenSize(o.maxSize)}` }
)

/** Checked options of a bucket. */
export const Bucket = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, true),
  ttl: Schema.optionalKey(ttl()),
  maxItemSize: Schema.optionalKey(maxItemSize())
})
export type Bucket = typeof Bucket.Type

/** Checked options of the tier in memory. */
export const Memory = Schema.Struct({
  maxItemSize: Field.defaulted(maxItemSize(), ByteSize.mebibytes(10)),
  maxSize: Field.defaulted(Field.size(1, maxSize), ByteSize.gibibytes(1)),
  ttl: Field.defaulted(ttl(), Duration.hours(1))
}).check(itemFits)
export type Memory = typeof Memory.Type

/** Checked options of the tier on disk. */
export const Disk = Schema.Struct({
  dir: Field.defaulted(Field.text(1, 4096), "/var/cache/keelson"),
  maxItemSize: Field.defaulted(maxItemSize(), ByteSize.gibibytes(1)),
  maxSize: Field.defaulted(Field.size(1, maxSize), ByteSize.gibibytes(10)),
  ttl: Field.defaulted(ttl(), Duration.hours(1))
}).check(itemFits)
export type Disk = typeof Disk.Type

const redisUrl = Schema.String.check(
  Schema.makeFilter((text: string) => URL.canParse(text) && ["redis:", "rediss:"].includes(new URL(text).protocol), {
    expected: "a URL that begins with redis:// or rediss://"
  })
)

/** Checked options of the tier in Redis. */
export const Redis = Schema.Struct({
  url: Schema.optionalKey(redisUrl),
  password: Schema.optionalKey(
    Schema.RedactedFromValue(Field.text(1, 4096), { label: "password", disallowEncode: true })
  ),
  database: Field.defaulted(Field.int(0, 65_535), 0),
  prefix: Field.defaulted(Field.text(1, 128), "keelson:cache:"),
  maxItemSize: Field.defaulted(Field.size(1, "512 MiB"), ByteSize.mebibytes(10)),
  ttl: Field.defaulted(ttl(), Duration.hours(1)),
  timeout: Field.defaulted(Field.duration("1 millis", "1 minute"), Duration.seconds(1))
})
export type Redis = typeof Redis.Type

/** The options of a cache of several tiers. Every one may be left out. */
export interface Options {
  /** Whether there is a cache at all. Nothing else is checked if not. Default false. */
  readonly enabled?: boolean | undefined
  /** The tiers, fastest first. From 1 to 3 of memory, disk and redis, each at most once. Default memory. */
  readonly layers?: ReadonlyArray<"memory" | "disk" | "redis"> | undefined
  /** The options of the tier in memory. Without them, its defaults. Default none. */
  readonly memory?: MemoryOptions | undefined
  /** The options of the tier on disk. Without them, its defaults. Default none. */
  readonly disk?: DiskOptions | undefined
  /** The options of the tier in Redis. Without them, its defaults. Default none. */
  readonly redis?: RedisOptions | undefined
  /** Options of single buckets, by name. Default none. */
  readonly buckets?: Readonly<Record<string, BucketOptions>> | undefined
}

/** Checked options of buckets, by name. */
export const Buckets = Field.defaulted(Schema.Record(Field.text(1, 255), Bucket), {})
export type Buckets = Readonly<Record<string, Bucket>>

const layers = ["memory", "disk", "redis"] as const

/** A tier of a cache, by name. */
export type LayerName = (typeof layers)[number]

const expectedLayers = "a list of 1 to 3 of memory, disk and redis, each at most once"

/** Checked options of a cache of several tiers. */
export const CacheOptions = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, false),
  layers: Field.defaulted(
    Schema.Array(Schema.Literals(layers)).check(
      Schema.makeFilter((list: ReadonlyArray<LayerName>) => list.length > 0 && new Set(list).size === list.length, {
        expected: expectedLayers
      })
    ),
    ["memory"]
  ),
  memory: Schema.optionalKey(Memory),
  disk: Schema.optionalKey(Disk),
  redis: Schema.optionalKey(Redis),
  buckets: Buckets
}).check(
  // A section of a tier that is not used is a mistake: its author expects it to take effect.
  Schema.makeFilter((o: { readonly layers: ReadonlyArray<LayerName> } & { readonly [K in LayerName]?: unknown }) => {
    const unused = layers.find((name) => o[name] !== undefined && !o.layers.includes(name))
    return unused === undefined || { path: [unused], issue: `left out, or listed in layers` }
  }),
  Schema.makeFilter((o: { readonly layers: ReadonlyArray<LayerName>; readonly redis?: Redis }) =>
    !o.layers.includes("redis") || o.redis?.url !== undefined || { path: ["redis", "url"], issue: "the URL of Redis" }
  )
)

export type CacheOptions = typeof CacheOptions.Type

const Disabled = Schema.Struct({
  enabled: Field.defaulted(Schema.Literal(false), false),
  layers: Schema.optionalKey(Schema.Unknown),
  memory: Schema.optionalKey(Schema.Unknown),
  disk: Schema.optionalKey(Schema.Unknown),
  redis: Schema.optionalKey(Schema.Unknown),
  buckets: Schema.optionalKey(Schema.Unknown)
})

const off: CacheOptions = { enabled: false, layers: ["memory"], buckets: {} }

/** The options of a disabled cache are not checked, beyond their names. */
const unlessOff = (
  disabled: Effect.Effect<typeof Disabled.Type, ConfigurationError>,
  enabled: Effect.Effect<CacheOptions, ConfigurationError>
): Effect.Effect<CacheOptions, ConfigurationError> =>
  Effect.matchEffect(disabled, { onSuccess: () => Effect.succeed(off), onFailure: () => enabled })

/**
 * Checks options given in code, as `Options`. Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Two tiers)
 *
 * ```ts import.meta.vitest
 * import { CacheOptions } from "@keelson/cache"
 * import { Effect } from "effect"
 *
 * const options = { enabled: true, layers: ["memory", "disk"], memory: { maxSize: "64 MiB", maxItemSize: "1 MiB" } }
 * const { layers } = await Effect.runPromise(CacheOptions.decode(options))
 * layers // => ["memory", "disk"]
 * ```
 */
export const decode = (input: unknown): Effect.Effect<CacheOptions, ConfigurationError> =>
  unlessOff(Configuration.decode(Disabled)(input), Configuration.decode(CacheOptions)(input))

/** The same from JSON or YAML; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<CacheOptions, ConfigurationError> =>
  unlessOff(Configuration.decodeText(Disabled, input), Configuration.decodeText(CacheOptions, input))

/** The same from the environment below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<CacheOptions, ConfigurationError> =>
  unlessOff(Configuration.fromEnvironment(Disabled, path), Configuration.fromEnvironment(CacheOptions, path))
