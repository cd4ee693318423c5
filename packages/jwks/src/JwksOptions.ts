/**
 * The options of a key set cache: checked data from code, a file or the environment.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as RetryPresets from "@keelson/core/unstable/RetryPresets"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { offlineMillis } from "./internal/cache/refreshDelay.ts"
import { Host, Pin } from "./internal/egress/hostSchemas.ts"

/** Makes the schema of an id from its pattern and the description for errors. */
const id = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

/** The id of a tenant. Providers of one tenant are never visible to another. */
const TenantId = id(/^[A-Za-z0-9-]{1,64}$/, "1 to 64 of A-Z, a-z, 0-9 and -")

/** The id of a provider, unique within its tenant. */
export const ProviderId = id(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 of A-Z, a-z, 0-9, _ and -")
export type ProviderId = typeof ProviderId.Type

/** The ids of a provider in metrics, spans and snapshots. Both may be left out. */
export interface NamesOptions {
  /** The tenant. From 1 to 64 of A-Z, a-z, 0-9 and -. Default default. */
  readonly tenantId?: string | undefined
  /** The provider, unique within its tenant. From 1 to 64 of A-Z, a-z, 0-9, _ and -. Default default. */
  readonly providerId?: string | undefined
}

/** Checked ids of a provider. */
export const Names = Schema.Struct({
  tenantId: Field.defaulted(TenantId, "default"),
  providerId: Field.defaulted(ProviderId, "default")
})
export type Names = typeof Names.Type

/** The options of one provider. All but `issuer` may be left out. */
export interface Options {
  /** The issuer (`iss`) whose tokens the keys verify, compared exactly. From 1 to 2048 characters. Required. */
  readonly issuer: string
  /**
   * The URL of the key set. Without it the URL is taken from the issuer's metadata; see `discovery`. From 1 to 2048
   * characters. Default none.
   */
  readonly url?: string | undefined
  /**
   * Where the metadata are found: `oidc` (OpenID Connect Discovery 1.0, 4) or `oauth2` (RFC 8414, 3). Has no effect with a
   * `url`. Default oidc.
   */
  readonly discovery?: "oidc" | "oauth2" | undefined
  /** Hosts that requests may be sent to, each with all its subdomains. The lists of the egress apply as well. Default none. */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /**
   * Base64 SHA-256 digests of public keys (SPKI), one of which must be in the certificate chain of the server. Default
   * none.
   */
  readonly pins?: ReadonlyArray<string> | undefined
  /**
   * Upper bound of a response body after decompression, in bytes. The limit of the egress applies as well. From 1 to 16777216.
   * Default 1048576.
   */
  readonly maxBytes?: number | undefined
  /** How many redirects are followed. The limit of the egress applies as well. From 0 to 10. Default 3. */
  readonly maxRedirects?: number | undefined
  /** Lifetime of a response that states none. From 1 minute to 24 hours. Default 1 hour. */
  readonly ttl?: Field.DurationInput | undefined
  /**
   * Lower bound of the lifetime that a response states. If it raises a lifetime to a minute or more, and `staleWindow` is at
   * least `deadline`, the keys are refreshed at its end instead of earlier. From 30 seconds to 24 hours. Default 30 seconds.
   */
  readonly minTtl?: Field.DurationInput | undefined
  /** Upper bound of the lifetime that a response states. From 30 seconds to 24 hours. Default 24 hours. */
  readonly maxTtl?: Field.DurationInput | undefined
  /**
   * How long before expiry to refresh; never before half the lifetime. From 1 second to 24 hours. Default 30 seconds.
   */
  readonly refreshEarly?: Field.DurationInput | undefined
  /** Upper bound of a random time by which each refresh is even earlier. From 0 millis to 1 hour. Default 5 seconds. */
  readonly refreshJitter?: Field.DurationInput | undefined
  /** How long keys still verify after expiry if they could not be refreshed. From 0 millis to 24 hours. Default 1 minute. */
  readonly staleWindow?: Field.DurationInput | undefined
  /**
   * Cooldown between fetches for unknown keys: at least 1 second, or `0 millis` to fetch for every unknown key. From 0 millis
   * to 24 hours. Default 30 seconds.
   */
  readonly negativeCacheTtl?: Field.DurationInput | undefined
  /** Delay after a failed fetch; it doubles with each further failure. From 100 millis to 1 hour. Default 1 second. */
  readonly failureDelay?: Field.DurationInput | undefined
  /** Upper bound of `failureDelay`. From 100 millis to 24 hours. Default 1 minute. */
  readonly maxFailureDelay?: Field.DurationInput | undefined
  /** How many attempts a fetch makes, the first one included. From 1 to 10. Default 3. */
  readonly maxAttempts?: number | undefined
  /**
   * Time limit of one attempt, including body, redirects, and the metadata if they are due. From 100 millis to 1 minute. Default
   * 3 seconds.
   */
  readonly attemptTimeout?: Field.DurationInput | undefined
  /** Delay before the second attempt; it doubles with each further attempt. From 1 milli to 1 minute. Default 250 millis. */
  readonly retryDelay?: Field.DurationInput | undefined
  /** Upper bound of `retryDelay`. From 1 milli to 1 minute. Default 2 seconds. */
  readonly maxRetryDelay?: Field.DurationInput | undefined
  /** How the delays between attempts are spread; see the jitter of a retry policy. Default full. */
  readonly retryJitter?: "none" | "full" | "decorrelated" | undefined
  /**
   * Time limit of a fetch with all its attempts and delays. A lookup waits for at most one second longer. From 100 millis to 1
   * minute. Default 8 seconds.
   */
  readonly deadline?: Field.DurationInput | undefined
  /**
   * Whether the keys are fetched in the background when the cache is built; otherwise at the first lookup. Default true.
   */
  readonly prefetch?: boolean | undefined
}

const { attemptTimeout, deadline, initialDelay, jitter, maxAttempts, maxDelay } = RetryPresets.jwks

const AllOptions = Schema.Struct({
  issuer: Field.text(1, 2048),
  url: Schema.optionalKey(Field.text(1, 2048)),
  discovery: Field.defaulted(Schema.Literals(["oidc", "oauth2"]), "oidc"),
  allowedHosts: Schema.optionalKey(Schema.Array(Host)),
  pins: Schema.optionalKey(Schema.Array(Pin)),
  maxBytes: Field.defaulted(Field.int(1, 16_777_216), 1_048_576),
  maxRedirects: Field.defaulted(Field.int(0, 10), 3),
  ttl: Field.defaulted(Field.duration("1 minute", "24 hours"), Duration.hours(1)),
  minTtl: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.seconds(30)),
  maxTtl: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.hours(24)),
  refreshEarly: Field.defaulted(Field.duration("1 second", "24 hours"), Duration.seconds(30)),
  refreshJitter: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(5)),
  staleWindow: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.minutes(1)),
  negativeCacheTtl: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(30)),
  failureDelay: Field.defaulted(Field.duration("100 millis", "1 hour"), Duration.seconds(1)),
  maxFailureDelay: Field.defaulted(Field.duration("100 millis", "24 hours"), Duration.seconds(60)),
  maxAttempts: Field.defaulted(Field.int(1, 10), maxAttempts),
  attemptTimeout: Field.defaulted(Field.duration("100 millis", "1 minute"), attemptTimeout),
  retryDelay: Field.defaulted(Field.duration("1 millis", "1 minute"), initialDelay),
  maxRetryDelay: Field.defaulted(Field.duration("1 millis", "1 minute"), maxDelay),
  retryJitter: Field.defaulted(Schema.Literals(["none", "full", "decorrelated"]), jitter),
  deadline: Field.defaulted(Field.duration("100 millis", "1 minute"), deadline),
  prefetch: Field.defaulted(Schema.Boolean, true)
})
type AllOptions = typeof AllOptions.Type

type DurationField = {
  readonly [K in keyof AllOptions]-?: AllOptions[K] extends Duration.Duration ? K : never
}[keyof AllOptions]

/** Checks that one option is at most another, or below it. */
const isOrdered = (lower: DurationField, relation: "at most" | "below", upper: DurationField) =>
  Schema.makeFilter((o: { readonly [K in DurationField]: Duration.Duration }) =>
    (relation === "below" ? Duration.isLessThan : Duration.isLessThanOrEqualTo)(o[lower], o[upper]) ||
    { path: [lower], issue: `${relation} ${upper}, which is ${Field.written(o[upper])}` }
  )

const isNegativeTtl = Schema.makeFilter((o: { readonly negativeCacheTtl: Duration.Duration }) => {
  const millis = Duration.toMillis(o.negativeCacheTtl)
  return millis === 0 || millis >= 1000 || { path: ["negativeCacheTtl"], issue: "0 millis, or at least 1 second" }
})

/** Checked options of one provider. */
export const JwksOptions = AllOptions.check(
  isOrdered("minTtl", "at most", "maxTtl"),
  isOrdered("refreshEarly", "below", "maxTtl"),
  isOrdered("failureDelay", "at most", "maxFailureDelay"),
  isOrdered("retryDelay", "at most", "maxRetryDelay"),
  isOrdered("attemptTimeout", "at most", "deadline"),
  isNegativeTtl
)
export type JwksOptions = typeof JwksOptions.Type

const fromCode = Decoders.maker<Options, typeof JwksOptions>(JwksOptions)

/**
 * For a provider that forbids caching its key set (`no-store`, `no-cache`), as Keycloak before 23 and the defaults of Spring
 * do: at most one scheduled request in 5 minutes, and keys that outlive an outage of 15 minutes. A withdrawn key is then
 * trusted for up to 5 minutes, and for up to 20 in an outage.
 *
 * **Example** (A provider that forbids caching)
 *
 * ```ts import.meta.vitest
 * import { JwksOptions } from "@keelson/jwks"
 * import { Duration } from "effect"
 *
 * const options = JwksOptions.make({ issuer: "https://idp.example", ...JwksOptions.tolerant })
 * Duration.toMinutes(options.staleWindow) // => 15
 * ```
 */
export const tolerant = { minTtl: "5 minutes", staleWindow: "15 minutes" } as const

/** How long a validator works without the provider of its keys. */
export interface OfflineBound {
  /** The shortest time: the provider becomes unreachable just before a refresh. */
  readonly least: Duration.Duration
  /** The longest time: it becomes unreachable just after a refresh. */
  readonly most: Duration.Duration
}

/**
 * How long keys verify tokens after their provider has become unreachable; then lookups fail with `JWKS_UNAVAILABLE` (503). `stated`
 * is the lifetime that the provider's responses state (`max-age`), if you know it; otherwise the bounds hold for any. A response
 * that states none counts as one that states `ttl`.
 *
 * **Example** (A provider with a `max-age` of an hour)
 *
 * ```ts import.meta.vitest
 * import { JwksOptions } from "@keelson/jwks"
 * import { Duration } from "effect"
 *
 * const options = JwksOptions.make({ issuer: "https://idp.example", staleWindow: "1 hour" })
 * const { least, most } = JwksOptions.offlineBound(options, "1 hour")
 * Duration.format(least) // => "1h 30s"
 * Duration.format(most) // => "2h"
 * ```
 */
export const offlineBound = (options: JwksOptions, stated?: Field.DurationInput): OfflineBound => {
  const { least, most } = offlineMillis(options, stated === undefined ? undefined : Duration.fromInputUnsafe(stated))
  return { least: Duration.millis(least), most: Duration.millis(most) }
}

/** Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make: (options: Options) => JwksOptions = fromCode
