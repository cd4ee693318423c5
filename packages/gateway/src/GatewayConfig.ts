/**
 * The configuration of a gateway: checked, immutable data from YAML or code.
 */
import * as AuditOptions from "@keelson/audit/AuditOptions"
import * as CacheOptions from "@keelson/cache/CacheOptions"
import * as Configuration from "@keelson/core/Configuration"
import * as EnvSubstitution from "@keelson/core/EnvSubstitution"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as ParsedDocument from "@keelson/core/unstable/ParsedDocument"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Auth, type AuthOptions } from "./AuthOptions.ts"
import { Bucket, type BucketOptions } from "./BucketOptions.ts"
import { configChecks } from "./internal/config/checks.ts"
import { current } from "./internal/config/current.ts"
import { faultOf } from "./internal/config/faults.ts"
import type { Current } from "./internal/config/olderShape.ts"
import type { Place } from "./internal/config/places.ts"
import { readYaml } from "./internal/config/readYaml.ts"
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
  readonly audit?: AuditOptions.Options | undefined
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
  audit: Schema.optionalKey(AuditOptions.WithOlderNames),
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

const codec = Schema.toCodecStringTree(GatewayConfig)

/** The cache's own options of buckets are those of the buckets. */
const withCacheBuckets = (config: GatewayConfig): GatewayConfig => {
  const own = config.buckets.flatMap(({ cache, name }) => cache === undefined ? [] : [[name, cache] as const])
  return { ...config, cache: { ...config.cache, buckets: { ...config.cache.buckets, ...Object.fromEntries(own) } } }
}

/** The result of decoding a document, with all its faults. */
const checked = (
  result: Effect.Effect<GatewayConfig, ConfigurationError>,
  document: Current,
  placeOf: (path: string) => Place | undefined
): Effect.Effect<GatewayConfig, ConfigurationError> =>
  Effect.matchEffect(result, {
    onFailure: (error) => Effect.fail(faultOf(error, document, placeOf) ?? error),
    onSuccess: (config) => {
      const fault = faultOf(undefined, document, placeOf)
      if (fault !== undefined) return Effect.fail(fault)
      return Effect.as(
        document.ignored.length === 0
          ? Effect.void
          : Effect.logWarning(`These older options have no effect: ${document.ignored.join(", ")}`),
        withCacheBuckets(config)
      )
    }
  })

/**
 * Checks options given in code, as `Options`. Fails with `ConfigurationError` (`INVALID_CONFIG`) naming each option and its bound.
 */
export const decode = (input: unknown): Effect.Effect<GatewayConfig, ConfigurationError> => {
  const document = current(input)
  return checked(Configuration.decode(GatewayConfig)(document.tree), document, () => undefined)
}

/**
 * Reads a configuration in YAML, after replacing `${VAR}` in its values; see `EnvSubstitution`. The variables are those of `env`, or else
 * those of the `ConfigProvider` in context, which has the environment.
 *
 * The names of older configurations are accepted, and what no longer has an effect is logged. Fails with `ConfigurationError`:
 * `CONFIG_VARIABLE_MISSING` with `var_name`; `INVALID_CONFIG` with `path`, `expected`, `line` and `column` of every fault. No value
 * appears in an error.
 *
 * **Example** (A misspelt option)
 *
 * ```ts import.meta.vitest
 * import { GatewayConfig } from "@keelson/gateway"
 * import { Effect } from "effect"
 *
 * const replica = `{ endpoint: "https://s3.example", bucket: a }`
 * const text = `buckets: [{ name: a, path: /a, public: true, replicas: [${replica}] }]\nworker: 2`
 * const error = await Effect.runPromise(Effect.flip(GatewayConfig.parse(text)))
 * error.message // => "Invalid configuration: worker (line 2, column 1) is not an option; did you mean workers?"
 * ```
 */
export const parse = (
  text: string,
  env?: Readonly<Record<string, string | undefined>>
): Effect.Effect<GatewayConfig, ConfigurationError> =>
  Effect.gen(function*() {
    const { placeOf, tree } = yield* readYaml(text)
    // An alias can refer to a value that has it.
    if (!ParsedDocument.isBounded(tree)) return yield* ParsedDocument.unbounded([])
    const substituted = EnvSubstitution.substituteAll(tree)
    const document = current(
      yield* env === undefined
        ? substituted
        : Effect.provideService(
          substituted,
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: defined(env) })
        )
    )
    return yield* checked(Configuration.decode(codec)(ParsedDocument.stringTree(document.tree)), document, placeOf)
  })

const defined = (env: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(env).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]))
