/**
 * Every limit of a key set cache: checked data from code, a file or the environment.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as EgressOptions from "./EgressOptions.ts"

/** The pattern of ids (tenant and provider), with the message that names it. */
const id = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

/** A tenant: what is registered under one is never seen under another. */
export const TenantId = id(/^[A-Za-z0-9-]{1,64}$/, "1 to 64 of A-Z, a-z, 0-9 and -")
export type TenantId = typeof TenantId.Type

/** A provider of one tenant. */
export const ProviderId = id(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 of A-Z, a-z, 0-9, _ and -")
export type ProviderId = typeof ProviderId.Type

/** What a provider is called in metrics, spans and snapshots. */
export const Names = Schema.Struct({
  /** The tenant. From 1 to 64 of A-Z, a-z, 0-9 and -. Default default. */
  tenantId: Field.defaulted(TenantId, "default"),
  /** The provider; two of one tenant need two. From 1 to 64 of A-Z, a-z, 0-9, _ and -. Default default. */
  providerId: Field.defaulted(ProviderId, "default")
})
export type Names = typeof Names.Type

/** The fields that say where the key set is, and how it may be fetched. */
export const originFields = {
  /** The issuer (`iss`) whose tokens the keys verify, character by character. From 1 to 2048 characters. Required. */
  issuer: Field.text(1, 2048),
  /**
   * The URL of the key set. Without it the URL is taken from the issuer's metadata; see `discovery`. From 1 to 2048
   * characters. Default none.
   */
  url: Schema.optionalKey(Field.text(1, 2048)),
  /**
   * Where the metadata are: `oidc` (OpenID Connect Discovery 1.0, 4) or `oauth2` (RFC 8414, 3). Has no effect with a
   * `url`. Default oidc.
   */
  discovery: Field.defaulted(Schema.Literals(["oidc", "oauth2"]), "oidc"),
  /** Hosts that may be asked, each with all hosts below it. Those of the egress in any case. Default none. */
  allowedHosts: Schema.optionalKey(Schema.Array(EgressOptions.Host)),
  /** Base64 SHA-256 digests of public keys (SPKI), one of which the server has to prove. Default none. */
  pins: Schema.optionalKey(Schema.Array(EgressOptions.Pin)),
  /** The most bytes of a response, decompressed; the egress has a limit of its own. From 1 to 16777216. Default 1048576. */
  maxBytes: Field.defaulted(Field.int(1, 16_777_216), 1_048_576),
  /** The most redirects that are followed; the egress has a limit of its own. From 0 to 10. Default 3. */
  maxRedirects: Field.defaulted(Field.int(0, 10), 3)
}

/** The fields about lifetimes. */
export const timeFields = {
  /** The lifetime of a response that says nothing about it. From 1 minute to 24 hours. Default 1 hour. */
  ttl: Field.defaulted(Field.duration("1 minute", "24 hours"), Duration.hours(1)),
  /** The least lifetime of a response that states one. From 30 seconds to 24 hours. Default 30 seconds. */
  minTtl: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.seconds(30)),
  /** The longest lifetime of a response that states one. From 30 seconds to 24 hours. Default 24 hours. */
  maxTtl: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.hours(24)),
  /**
   * How long before its end a lifetime is renewed; never before its half. From 1 second to 24 hours. Default 30 seconds.
   */
  refreshEarly: Field.defaulted(Field.duration("1 second", "24 hours"), Duration.seconds(30)),
  /** A renewal comes earlier by up to this, drawn each time. From 0 millis to 1 hour. Default 5 seconds. */
  refreshJitter: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(5)),
  /**
   * How long keys that could not be renewed go on verifying past their lifetime. From 0 millis to 24 hours. Default 1
   * minute.
   */
  staleWindow: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.minutes(1)),
  /**
   * How long after a fetch for an unknown key another one may be made for one: at least 1 second, or `0 millis`, which lets
   * every unknown key ask. From 0 millis to 24 hours. Default 30 seconds.
   */
  negativeCacheTtl: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.seconds(30)),
  /** How long nothing is fetched after a failure; it doubles with each further one. From 100 millis to 1 hour. Default 1 second. */
  failureDelay: Field.defaulted(Field.duration("100 millis", "1 hour"), Duration.seconds(1)),
  /** The longest that it grows to. From 100 millis to 24 hours. Default 1 minute. */
  maxFailureDelay: Field.defaulted(Field.duration("100 millis", "24 hours"), Duration.seconds(60))
}

/** The fields about one fetch. */
export const fetchFields = {
  /** How many attempts a fetch makes at most, the first one included. From 1 to 10. Default 3. */
  maxAttempts: Field.defaulted(Field.int(1, 10), 3),
  /** How long one attempt may take, with its body, redirects and the metadata where they are due. From 100 millis to 1 minute. Default 3 seconds. */
  attemptTimeout: Field.defaulted(Field.duration("100 millis", "1 minute"), Duration.seconds(3)),
  /** The delay before the second attempt; it doubles with each further one. From 1 milli to 1 minute. Default 250 millis. */
  retryDelay: Field.defaulted(Field.duration("1 millis", "1 minute"), Duration.millis(250)),
  /** The longest that it grows to. From 1 milli to 1 minute. Default 2 seconds. */
  maxRetryDelay: Field.defaulted(Field.duration("1 millis", "1 minute"), Duration.seconds(2)),
  /** How these delays are spread; see the jitter of a retry policy. Default full. */
  retryJitter: Field.defaulted(Schema.Literals(["none", "full", "decorrelated"]), "full"),
  /** How long a fetch may take with all its attempts and delays; a lookup that waits for it waits a second longer at most. From 100 millis to 1 minute. Default 8 seconds. */
  deadline: Field.defaulted(Field.duration("100 millis", "1 minute"), Duration.seconds(8)),
  /** Whether the keys are fetched when the cache is built, in the background, or at the first lookup. Default true. */
  prefetch: Field.defaulted(Schema.Boolean, true)
}

const fields = { ...originFields, ...timeFields, ...fetchFields }
const AllFields = Schema.Struct(fields)
type AllFields = typeof AllFields.Type

type DurationField = {
  readonly [K in keyof AllFields]-?: AllFields[K] extends Duration.Duration ? K : never
}[keyof AllFields]

/** One option is not above another, or is below it. */
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
export const JwksOptions = AllFields.check(
  isOrdered("minTtl", "at most", "maxTtl"),
  isOrdered("refreshEarly", "below", "maxTtl"),
  isOrdered("failureDelay", "at most", "maxFailureDelay"),
  isOrdered("retryDelay", "at most", "maxRetryDelay"),
  isOrdered("attemptTimeout", "at most", "deadline"),
  isNegativeTtl
)
export type JwksOptions = typeof JwksOptions.Type

/** What `make` takes. All but `issuer` may be left out; durations are `Duration` values or text with a unit. */
export type Options =
  & { readonly issuer: string }
  & {
    readonly [K in Exclude<keyof JwksOptions, "issuer">]?:
      | (Duration.Duration extends JwksOptions[K] ? Field.DurationInput : JwksOptions[K])
      | undefined
  }

/** Options from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options): JwksOptions => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(JwksOptions)

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<JwksOptions, KeelsonError.ConfigurationError> = Configuration
  .decode(JwksOptions)

/** Options from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<JwksOptions, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(JwksOptions, input)

/** Options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<JwksOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(JwksOptions, path)
