/**
 * Options of the store of rate limits: checked data from code, a file or the environment.
 */
import type * as Configuration from "@keelson/core/Configuration"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** The options of Redis for rate limits. Every one may be left out but the URL. */
export interface RateLimitRedisOptions {
  /** The URL of the server, as `redis://host:6379`. Required. */
  readonly url: string
  /** The password. From 1 to 4096 characters. Default none. */
  readonly password?: Redacted.Redacted | undefined
  /** The number of the database. From 0 to 65535. Default 0. */
  readonly database?: number | undefined
  /** What the names of all counters begin with. From 1 to 128 characters. Default keelson:rate:. */
  readonly prefix?: string | undefined
  /** How long a call to Redis may delay a request. From 1 milli to 10 seconds. Default 250 millis. */
  readonly timeout?: Configuration.DurationInput | undefined
}

/** Where requests are counted. Every one may be left out. */
export interface RateLimitStoreOptions {
  /** Upper bound of the users and addresses that are counted in this process. The one that was seen longest ago is forgotten. From 1000 to 10000000. Default 100000. */
  readonly maxEntries?: number | undefined
  /** Redis, which counts for all processes. Without it, each process counts by itself. Default none. */
  readonly redis?: RateLimitRedisOptions | undefined
  /**
   * What happens while Redis is down: `local` counts in each process, `allow` admits every request, `reject` admits none. Default local.
   */
  readonly fallback?: "local" | "allow" | "reject" | undefined
}

/** Checked options of Redis. */
export const RateLimitRedis = Schema.Struct({
  url: Schema.String.check(
    Schema.makeFilter((text: string) => /^rediss?:\/\//.test(text) && URL.canParse(text), {
      expected: "a URL that begins with redis:// or rediss://"
    })
  ),
  password: Schema.optionalKey(
    Schema.RedactedFromValue(Field.text(1, 4096), { label: "password", disallowEncode: true })
  ),
  database: Field.defaulted(Field.int(0, 65_535), 0),
  prefix: Field.defaulted(Field.text(1, 128), "keelson:rate:"),
  timeout: Field.defaulted(Field.duration("1 millis", "10 seconds"), Duration.millis(250))
})
export type RateLimitRedis = typeof RateLimitRedis.Type

/** Checked options of the store of rate limits. */
export const RateLimitStore = Schema.Struct({
  maxEntries: Field.defaulted(Field.int(1000, 10_000_000), 100_000),
  redis: Schema.optionalKey(RateLimitRedis),
  fallback: Field.defaulted(Schema.Literals(["local", "allow", "reject"]), "local")
})
export type RateLimitStore = typeof RateLimitStore.Type
