/**
 * A whole validator from one section of a file or of the environment: its policy, and where its keys are.
 *
 * Keys are either given (`keys`) or fetched (`jwks`), and not both. For several issuers with key sets of their own, provide
 * a `KeySource` of a `JwksRegistry`, or of several caches (`KeySource.layerFirstOf`).
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
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
import type { Revocation } from "./Revocation.ts"
import * as ValidationPolicy from "./ValidationPolicy.ts"

/** What is said of a key set here; its issuer is the one of the policy. */
const Jwks = Schema.Struct(
  Struct.omit(JwksOptions.JwksOptions.fields, ["issuer"])
)

/** Fields of the options. */
export const fields = {
  ...ValidationPolicy.fields,
  /** The keys themselves, as `StaticKeys` has them, for all of the issuers. From 1 to 100 keys. Default none. */
  keys: Schema.optionalKey(StaticKeys.StaticKeys.fields.keys),
  /** The key set of the one issuer, with the options of `JwksOptions` but its issuer. Default none. */
  jwks: Schema.optionalKey(Jwks)
}

const Fields = Schema.Struct(fields)

type Fields = typeof Fields.Type

/** A key of an algorithm that no token may be signed with would never be used. */
const unusedKey = ({ algorithms, keys = [] }: Fields): number =>
  keys.findIndex(({ algorithm }) => !algorithms.includes(algorithm))

const secretAlgorithm = ({ algorithms, jwks }: Fields): number =>
  jwks === undefined ? -1 : algorithms.findIndex(Algorithm.isSecretAlgorithm)

/** Checked options. */
export const ValidatorOptions = Fields.check(
  Schema.makeFilter(({ jwks, keys }: Fields) => (jwks === undefined) !== (keys === undefined), {
    expected: "a section with exactly one of keys and jwks"
  }),
  Schema.makeFilter(({ issuers, jwks }: Fields) =>
    jwks === undefined || issuers.length === 1 ||
    { path: ["issuers"], issue: "one issuer where there is jwks, which is the key set of one" }
  ),
  Schema.makeFilter((options: Fields) => {
    const index = unusedKey(options)
    return index === -1 || { path: ["keys", index, "algorithm"], issue: "one of algorithms" }
  }),
  Schema.makeFilter((options: Fields) => {
    const index = secretAlgorithm(options)
    return index === -1 ||
      { path: ["algorithms", index], issue: "one of public keys where there is jwks, which has no secrets" }
  })
)
export type ValidatorOptions = typeof ValidatorOptions.Type

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<ValidatorOptions, KeelsonError.ConfigurationError> =
  Configuration.decode(ValidatorOptions)

/** Options from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (
  input: Configuration.Text
): Effect.Effect<ValidatorOptions, KeelsonError.ConfigurationError> => Configuration.decodeText(ValidatorOptions, input)

/** Options from the environment, below a path; see `Configuration.fromEnvironment`. Static keys are one variable in JSON. */
export const config = (path: Configuration.Path): Effect.Effect<ValidatorOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(ValidatorOptions, path)

const policyNames = Struct.keys(ValidationPolicy.fields)

/** The policy in the options: what `Tokens.layer` takes. */
export const policyOf = (options: ValidatorOptions): ValidationPolicy.ValidationPolicy =>
  Struct.pick(options, policyNames)

/** An issuer by the name that a key source has it under. */
const nameOf = (issuer: string | ValidationPolicy.IssuerTemplate): string =>
  typeof issuer === "string" ? issuer : issuer.template

/**
 * The keys that the options speak of. A key set is fetched in the background: an issuer that is down is no failure.
 *
 * Fails as `StaticKeys.makeFiles` does, or as `KeySource.layerJwks` does.
 */
export const keySource = (
  { issuers, jwks, keys }: ValidatorOptions
): Layer.Layer<KeySource.KeySource, KeySource.BuildError, Egress.Egress | FileSystem.FileSystem> => {
  const names = issuers.map(nameOf)
  if (keys !== undefined) return StaticKeys.layerFiles({ issuers: names, keys })
  const [issuer = ""] = names
  return Layer.provide(KeySource.layerFromCache, JwksCache.layer({ ...jwks, issuer }))
}

/** The tag of a validator, which takes a policy. */
interface Tag<Self> {
  readonly layer: (
    policy: ValidationPolicy.ValidationPolicy
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource>
  readonly layerRevocable: (
    policy: ValidationPolicy.ValidationPolicy
  ) => Layer.Layer<Self, KeelsonError.ConfigurationError, KeySource.KeySource | Revocation>
}

/** A validator with its keys: `ValidatorOptions.layer(Tokens, options)`. Fails as `keySource` does. */
export const layer = <Self>(
  tag: Tag<Self>,
  options: ValidatorOptions
): Layer.Layer<Self, KeySource.BuildError, Egress.Egress | FileSystem.FileSystem> =>
  Layer.provide(tag.layer(policyOf(options)), keySource(options))

/** The same, which asks on every use of a token whether it was revoked. */
export const layerRevocable = <Self>(
  tag: Tag<Self>,
  options: ValidatorOptions
): Layer.Layer<Self, KeySource.BuildError, Egress.Egress | FileSystem.FileSystem | Revocation> =>
  Layer.provide(tag.layerRevocable(policyOf(options)), keySource(options))

/**
 * A validator with its keys, from one section of the environment: `ValidatorOptions.layerConfig(Tokens, ["app", "auth"])`.
 *
 * Fails with `ConfigurationError` (`CONFIG_MISSING`, `INVALID_CONFIG`, or for a key as `StaticKeys.make` does), and with
 * `NetworkError` (`EGRESS_REFUSED`) for a URL that may not be fetched.
 */
export const layerConfig = <Self>(
  tag: Tag<Self>,
  path: Configuration.Path
): Layer.Layer<Self, KeySource.BuildError, Egress.Egress | FileSystem.FileSystem> =>
  Layer.unwrap(Effect.map(config(path), (options) => layer(tag, options)))
