/**
 * The configuration of a gateway: checked, immutable data from YAML or code.
 */
import * as CacheOptions from "@keelson/cache/CacheOptions"
import * as Field from "@keelson/core/unstable/Field"
import * as Schema from "effect/Schema"
import { Auth, type AuthOptions } from "./AuthOptions.ts"
import { Bucket, type BucketOptions } from "./BucketOptions.ts"
import { configChecks } from "./internal/config/checks.ts"
import {
  Admin,
  type AdminOptions,
  Drain,
  type DrainOptions,
  Listen,
  type ListenOptions,
  Log,
  type LogOptions
} from "./ListenOptions.ts"
import { RateLimitStore, type RateLimitStoreOptions } from "./RateLimitOptions.ts"

/** The options of a gateway. */
export interface Options {
  /** The listener for clients. Without it, its defaults. Default none. */
  readonly listen?: ListenOptions | undefined
  /** The policies that check tokens, by name; `default` is that of a bucket that names none. At most 64 policies. Default none. */
  readonly auth?: Readonly<Record<string, AuthOptions>> | undefined
  /** The cache. Without it, there is none. Default none. */
  readonly cache?: CacheOptions.Options | undefined
  /** The audit log. Without it, there is none. Default none. */
  readonly audit?: unknown
  /** The listener for administrators. Without it, there is none. Default none. */
  readonly admin?: AdminOptions | undefined
  /** The buckets. From 1 to 1000 buckets. Required. */
  readonly buckets: ReadonlyArray<BucketOptions>
  /** Where requests are counted for rate limits. Without it, in this process. Default none. */
  readonly rateLimits?: RateLimitStoreOptions | undefined
  /** The processes that share the port, each with its own cache and audit file. From 1 to 256. Default 1. */
  readonly workers?: number | undefined
  /** How the gateway ends. Without it, its defaults. Default none. */
  readonly drain?: DrainOptions | undefined
  /** What the gateway logs. Without it, its defaults. Default none. */
  readonly log?: LogOptions | undefined
}

/** A section that has its defaults where it is left out. */
const section = <S extends Schema.Top>(schema: S, value: S["Type"]) => Field.defaulted(schema, value)

const empty = <S extends Schema.ConstraintDecoder<unknown>>(schema: S): S["Type"] =>
  Schema.decodeUnknownSync(schema)({})

const expectedBuckets = "a list of 1 to 1000 buckets"

/** A checked configuration. */
export const GatewayConfig = Schema.Struct({
  listen: section(Listen, empty(Listen)),
  auth: Field.defaulted(
    Schema.Record(Field.text(1, 64), Auth).check(
      Schema.makeFilter((auth: Readonly<Record<string, Auth>>) => Object.keys(auth).length <= 64, {
        expected: "a section of at most 64 policies"
      })
    ),
    {}
  ),
  cache: section(CacheOptions.CacheOptions, empty(CacheOptions.CacheOptions)),
  audit: Schema.optionalKey(Schema.Unknown),
  admin: section(Admin, empty(Admin)),
  buckets: Schema.Array(Bucket).check(
    Schema.isMinLength(1, { expected: expectedBuckets }),
    Schema.isMaxLength(1000, { expected: expectedBuckets })
  ),
  rateLimits: section(RateLimitStore, empty(RateLimitStore)),
  workers: Field.defaulted(Field.int(1, 256), 1),
  drain: section(Drain, empty(Drain)),
  log: section(Log, empty(Log))
}).check(...configChecks)
export type GatewayConfig = typeof GatewayConfig.Type
