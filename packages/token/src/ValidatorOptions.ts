/**
 * A validator from one section of a file or of the environment: its policy, and its keys.
 *
 * Keys are either given (`keys`) or fetched (`jwks`). For several issuers with different key sets, provide the `KeySource` of
 * a `JwksRegistry`, or of several caches (`KeySource.layerFirstOf`), to the validator's own layer.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Algorithm from "@keelson/jwks/Algorithm"
import type * as Egress from "@keelson/jwks/Egress"
import * as JwksCache from "@keelson/jwks/JwksCache"
import * as JwksOptions from "@keelson/jwks/JwksOptions"
import * as KeySource from "@keelson/jwks/KeySource"
import * as StaticKeys from "@keelson/jwks/StaticKeys"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { trustDomainId } from "./internal/validation/issuers.ts"
import { hasTrustDomain } from "./internal/validation/trustDomain.ts"
import * as ValidationPolicy from "./ValidationPolicy.ts"

/** Options of a key set whose issuer is the one of the policy. */
export interface KeySetOptions extends Omit<JwksOptions.Options, "issuer"> {}

/** Options of a validator with its keys. Exactly one of `keys` and `jwks` is required. */
export interface Options extends ValidationPolicy.Options {
  /** The keys of all the issuers, with the options of `StaticKeys`. From 1 to 100 keys. Default none. */
  readonly keys?: ReadonlyArray<StaticKeys.KeyOptions> | undefined
  /** The key set of the one issuer, with the options of `JwksOptions` except `issuer`. Default none. */
  readonly jwks?: KeySetOptions | undefined
}

const Fields = Schema.Struct({
  ...ValidationPolicy.ValidationPolicy.fields,
  keys: Schema.optionalKey(StaticKeys.StaticKeys.fields.keys),
  jwks: Schema.optionalKey(Schema.Struct(Struct.omit(JwksOptions.JwksOptions.fields, ["issuer"])))
})

type Fields = typeof Fields.Type

/** The index of a key whose algorithm the policy does not accept, so that it would never be used. */
const unusedKey = ({ algorithms, keys = [] }: Fields): number =>
  keys.findIndex(({ algorithm }) => !algorithms.includes(algorithm))

const secretAlgorithm = ({ algorithms, jwks }: Fields): number =>
  jwks === undefined ? -1 : algorithms.findIndex(Algorithm.isSecretAlgorithm)

/** Checked options. */
export const ValidatorOptions = Fields.check(
  hasTrustDomain,
  Schema.makeFilter(({ jwks, keys }: Fields) => (jwks === undefined) !== (keys === undefined), {
    expected: "a section with exactly one of keys and jwks"
  }),
  Schema.makeFilter(({ issuers, jwks, trustDomain }: Fields) =>
    jwks === undefined || issuers.length === 1 || trustDomain !== undefined ||
    { path: ["issuers"], issue: "one issuer, since jwks is the key set of one" }
  ),
  Schema.makeFilter((options: Fields) => {
    const index = unusedKey(options)
    return index === -1 || { path: ["keys", index, "algorithm"], issue: "one of algorithms" }
  }),
  Schema.makeFilter((options: Fields) => {
    const index = secretAlgorithm(options)
    return index === -1 ||
      { path: ["algorithms", index], issue: "an algorithm of public keys, since jwks has no secrets" }
  })
)
export type ValidatorOptions = typeof ValidatorOptions.Type

/** Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make: (options: Options) => ValidatorOptions = Decoders.decodeUnsafe(ValidatorOptions)

const policyNames = Struct.keys(ValidationPolicy.ValidationPolicy.fields)

/** The policy in checked options, for the layer of a validator. */
export const policyOf = (options: ValidatorOptions): ValidationPolicy.ValidationPolicy =>
  Struct.pick(options, policyNames)

/** The issuer's name in a key source. */
const sourceName = (issuer: string | ValidationPolicy.IssuerTemplate): string =>
  typeof issuer === "string" ? issuer : issuer.template

const keySourceOf = (
  { issuers, jwks, keys, trustDomain }: ValidatorOptions
): Layer.Layer<KeySource.KeySource, KeySource.BuildError, Egress.Egress | FileSystem.FileSystem> => {
  // All issuers of a trust domain have its keys.
  const names = trustDomain === undefined ? issuers.map(sourceName) : [trustDomainId(trustDomain)]
  if (keys !== undefined) return StaticKeys.layerFiles({ issuers: names, keys })
  const [issuer = ""] = names
  return Layer.provide(KeySource.layerFromCache, JwksCache.layer({ ...jwks, issuer }))
}

/**
 * The key source in the options. A key set is fetched in the background: an issuer that is down is not a failure.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`), or as `StaticKeys.layerFiles` and `JwksCache.layer` do.
 */
export const layerKeySource = (
  options: Options
): Layer.Layer<KeySource.KeySource, KeySource.BuildError, Egress.Egress | FileSystem.FileSystem> =>
  Layer.unwrap(Effect.map(Configuration.decode(ValidatorOptions)(options), keySourceOf))

/** The tag of a validator; `R` is what its layer requires in addition to keys, such as `Revocation`. */
interface ValidatorTag<Self, R> {
  readonly layer: (
    policy: ValidationPolicy.Options
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource | R>
}

type ValidatorLayer<Self, R> = Layer.Layer<
  Self,
  KeySource.BuildError,
  Egress.Egress | FileSystem.FileSystem | Exclude<R, KeySource.KeySource>
>

const layerOf = <Self, R>(
  tag: ValidatorTag<Self, R>,
  options: Effect.Effect<ValidatorOptions, KeelsonError.ConfigurationError>
): ValidatorLayer<Self, R> =>
  Layer.unwrap(Effect.map(options, (checked) => Layer.provide(tag.layer(policyOf(checked)), keySourceOf(checked))))

/**
 * A validator with its keys. Fails as `layerKeySource` does.
 *
 * **Example** (A validator from a section of YAML)
 *
 * ```ts import.meta.vitest
 * import { Configuration } from "@keelson/core"
 * import { Claims, TokenValidator, ValidatorOptions } from "@keelson/token"
 * import { Effect, Layer } from "effect"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 *
 * const text = `
 * auth:
 *   profile: accessToken
 *   issuers: [https://idp.example]
 *   audiences: [api]
 *   algorithms: [RS256]
 *   jwks: { url: https://idp.example/jwks }
 * `
 * const options = await Effect.runPromise(
 *   Configuration.decodeText(ValidatorOptions.ValidatorOptions, { format: "yaml", text, section: "auth" })
 * )
 * options.jwks?.url // => "https://idp.example/jwks"
 *
 * // Requires an egress, such as `NodeEgress`, and a file system.
 * const tokens = ValidatorOptions.layer(Tokens, options)
 * Layer.isLayer(tokens) // => true
 * ```
 */
export const layer = <Self, R>(tag: ValidatorTag<Self, R>, options: Options): ValidatorLayer<Self, R> =>
  layerOf(tag, Configuration.decode(ValidatorOptions)(options))

/**
 * A validator with its keys, from a section of JSON or YAML text; see `Configuration.decodeText`. Fails as `layer` does, and
 * with `ConfigurationError` (`CONFIG_MISSING`) for a missing section.
 */
export const layerText = <Self, R>(tag: ValidatorTag<Self, R>, input: Configuration.Text): ValidatorLayer<Self, R> =>
  layerOf(tag, Configuration.decodeText(ValidatorOptions, input))

/**
 * A validator with its keys, from one section of the environment: `ValidatorOptions.layerConfig(Tokens, ["app", "auth"])`.
 *
 * Fails with `ConfigurationError` (`CONFIG_MISSING`, `INVALID_CONFIG`, or for a key as `StaticKeys.make` does), and with
 * `NetworkError` (`EGRESS_REFUSED`) for a URL that must not be fetched.
 */
export const layerConfig = <Self, R>(tag: ValidatorTag<Self, R>, path: Configuration.Path): ValidatorLayer<Self, R> =>
  layerOf(tag, Configuration.fromEnvironment(ValidatorOptions, path))
