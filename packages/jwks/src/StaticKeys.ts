/**
 * Keys that the application supplies: public keys as PEM, JWK or file, and shared secrets, each for one algorithm.
 *
 * Secrets have a separate option, and each key is imported for its algorithm when the source is made. A token's header
 * cannot make a symmetric key verify an asymmetric algorithm (RFC 8725, 3.1).
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type Algorithm, algorithms, type PublicAlgorithm, type SecretAlgorithm } from "./Algorithm.ts"
import { hasMoreValues } from "./internal/keys/jsonSize.ts"
import { importStaticKey, type ReadFile } from "./internal/static/importStaticKey.ts"
import { maxFileBytes, readKeyFile } from "./internal/static/keyFile.ts"
import { type Encoding, encodings } from "./internal/static/secretKey.ts"
import { type StaticKey, staticLookup } from "./internal/static/staticLookup.ts"
import { JwksNotRegistered } from "./JwksError.ts"
import { KeySource } from "./unstable/KeySourceTag.ts"

const text = (maximum: number) => {
  const expected = `1 to ${maximum} characters`
  return Schema.String.check(Schema.isMinLength(1, { expected }), Schema.isMaxLength(maximum, { expected }))
}

const sources = ["pem", "jwk", "path", "secret"] as const

/** Checked options of one key. */
export const Key = Schema.Struct({
  id: Schema.optionalKey(text(256)),
  algorithm: Schema.Literals(algorithms),
  pem: Schema.optionalKey(Schema.RedactedFromValue(text(maxFileBytes), { label: "pem" })),
  jwk: Schema.optionalKey(Schema.RedactedFromValue(Schema.Record(Schema.String, Schema.Unknown), { label: "jwk" })),
  path: Schema.optionalKey(text(4096)),
  secret: Schema.optionalKey(Schema.RedactedFromValue(text(65_536), { label: "secret", disallowEncode: true })),
  encoding: Schema.optionalKey(Schema.Literals(encodings))
}).check(
  Schema.makeFilter((key) => key.encoding === undefined || key.secret !== undefined, {
    expected: "a key whose encoding is given only with a secret"
  }),
  Schema.makeFilter((key) => sources.filter((source) => key[source] !== undefined).length === 1, {
    expected: "a key with exactly one of pem, jwk, path and secret"
  })
)

const list = <S extends Schema.Constraint>(item: S, what: string) => {
  const expected = `a list of 1 to 100 ${what}`
  return Schema.Array(item).check(Schema.isMinLength(1, { expected }), Schema.isMaxLength(100, { expected }))
}

const Keys = list(Key, "keys")

/** Upper bound of the values in the JSON of a hundred keys, so that a wrong text is not described key by key. */
const maxJsonValues = 5000

const KeysInJson = Schema.String.check(
  Schema.makeFilter((json) => !hasMoreValues(json, maxJsonValues), { expected: "a list of 1 to 100 keys" })
).pipe(Schema.decodeTo(Schema.fromJsonString(Keys)))

/** Checked options. Key material in them is `Redacted`, so that logs and inspection never show it. */
export const StaticKeys = Schema.Struct({
  issuers: list(text(2048), "issuers"),
  keys: Schema.Union([Keys, KeysInJson])
})
export type StaticKeys = typeof StaticKeys.Type

/** The id and algorithm of a key. */
export interface KeyId {
  /**
   * The `kid` of the tokens that the key verifies. Without it, the `kid` of the JWK applies; a key without either is tried
   * for tokens with any `kid` or none. From 1 to 256 characters. Default none.
   */
  readonly id?: string | undefined
  /** The one algorithm that the key verifies. A secret requires HS256, HS384 or HS512; a public key another one. Required. */
  readonly algorithm: Algorithm
}

/** A public key in PEM. */
interface PemMembers extends KeyId {
  /** `PUBLIC KEY` (SPKI), `CERTIFICATE` (X.509) or `RSA PUBLIC KEY` (PKCS#1). From 1 to 1048576 characters. Required. */
  readonly pem: string | Redacted.Redacted
}

/** A public key as JSON Web Key. */
interface JwkMembers extends KeyId {
  /** A public JSON Web Key (RFC 7517). Unknown members are ignored. Required. */
  readonly jwk: object | Redacted.Redacted<object>
}

/** A shared secret. */
interface SecretMembers extends KeyId {
  /** The secret: at least as many bytes as the hash of the algorithm. From 1 to 65536 characters. Required. */
  readonly secret: Redacted.Redacted
  /** How the secret is written: as text, or as bytes in base64 or base64url. Default utf8. */
  readonly encoding?: Encoding | undefined
}

/** A public key in PEM, which cannot be given the algorithm of a secret (RFC 8725, 3.1). */
export type PemKey = PemMembers & { readonly algorithm: PublicAlgorithm }
/** A public key as JSON Web Key, which cannot be given the algorithm of a secret. */
export type JwkKey = JwkMembers & { readonly algorithm: PublicAlgorithm }
/** A shared secret, which cannot be given the algorithm of a public key. */
export type SecretKey = SecretMembers & { readonly algorithm: SecretAlgorithm }

/** A key in any form, with exactly one of `pem`, `jwk`, `path` and `secret`. */
export interface KeyOptions extends KeyId {
  /**
   * A public key in PEM: `PUBLIC KEY` (SPKI), `CERTIFICATE` (X.509) or `RSA PUBLIC KEY` (PKCS#1). From 1 to 1048576
   * characters. Default none.
   */
  readonly pem?: string | Redacted.Redacted | undefined
  /** A public JSON Web Key (RFC 7517). Unknown members are ignored. Default none. */
  readonly jwk?: object | Redacted.Redacted<object> | undefined
  /**
   * A PEM file of at most 1048576 bytes. A relative path starts at the working directory. From 1 to 4096 characters.
   * Default none.
   */
  readonly path?: string | undefined
  /** A secret, for HS only: at least as many bytes as the hash. From 1 to 65536 characters. Default none. */
  readonly secret?: Redacted.Redacted | undefined
  /**
   * How `secret` is written: as text (`utf8`, as without this option), or as bytes in base64 or base64url. Default none.
   */
  readonly encoding?: Encoding | undefined
}

/** The issuers of static keys. */
export interface IssuerOptions {
  /** The issuers whose tokens the keys verify, compared exactly. From 1 to 100 issuers. Required. */
  readonly issuers: ReadonlyArray<string>
}

/** The options of keys in memory. */
export interface Options extends IssuerOptions {
  /** The keys, in the order in which they are tried. From 1 to 100 keys. Required. */
  readonly keys: ReadonlyArray<PemKey | JwkKey | SecretKey>
}

/** The options of keys in memory and in files. */
export interface FileOptions extends IssuerOptions {
  /** The keys, in the order in which they are tried. From 1 to 100 keys. Required. */
  readonly keys: ReadonlyArray<KeyOptions>
}

const noFiles: ReadFile<never> = (path) =>
  Effect.fail(InvalidConfig.option(path, "pem, jwk or secret", {
    message: `Invalid configuration: ${path} must be left out: only makeFiles and layerFiles read files`
  }))

const serve = (issuers: ReadonlyArray<string>, keys: ReadonlyArray<StaticKey>): KeySource["Service"] => {
  const served = new Set(issuers)
  const answer = staticLookup(keys)
  const notRegistered = Effect.fail(new JwksNotRegistered())
  return { find: (issuer, header) => served.has(issuer) ? answer(header) : notRegistered }
}

const load = <R>({ issuers, keys }: StaticKeys, readFile: ReadFile<R>, path: ReadonlyArray<string> = []) =>
  Effect.forEach(keys, (key, index) => importStaticKey(key, [...path, "keys", index].join("."), readFile)).pipe(
    Effect.map((keys) => serve(issuers, keys))
  )

/**
 * A source of keys in memory. A lookup returns at most four keys: those with the `kid` of the token, then those without an
 * id; or all that fit a token without a `kid`. Their trust never ends.
 *
 * - PEM: one block, with any line breaks; white space and a byte order mark around it are ignored.
 * - Only the key of a certificate is used; its dates and issuer are not checked.
 * - A key that is marked for RSASSA-PSS (RFC 4055) verifies the algorithms that its parameters allow, and no RS256.
 * - A JWK is checked like an entry of a key set. Base64 in place of base64url is accepted, logged and counted.
 * - RSA keys have 2048 to 8192 bits, EC keys the curve of their algorithm, secrets as many bytes as the hash.
 * - Keys that share an id are all tried; the order is that of the list.
 *
 * Fails with `ConfigurationError`: `INVALID_CONFIG` for the options, and `KEY_INVALID` for a key that is malformed,
 * private, too weak, or of another kind than its algorithm. Details name the place, as in `keys.1.pem`, and never a key.
 *
 * **Example** (A shared secret)
 *
 * ```ts import.meta.vitest
 * import { StaticKeys } from "@keelson/jwks"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const secret = Redacted.make("a secret of at least 32 characters")
 *   const keys = yield* StaticKeys.make({ issuers: ["https://billing.example"], keys: [{ algorithm: "HS256", secret }] })
 *   return yield* keys.find("https://billing.example", { alg: "HS256" })
 * })
 * const candidates = await Effect.runPromise(program)
 * candidates.map(({ alg }) => alg) // => ["HS256"]
 * ```
 *
 * @see RFC 7515, 4.1.4, RFC 7517, 4.5, RFC 7518, 3 and RFC 8725, 3
 */
export const make = (options: Options): Effect.Effect<KeySource["Service"], KeelsonError.ConfigurationError> =>
  Effect.flatMap(Configuration.decode(StaticKeys)(options), (checked) => load(checked, noFiles))

/**
 * `make` for keys of which some are in files. Each file is read once, when the source is made. It also accepts the results of `decodeText` and `config`.
 *
 * Fails as `make` does, and with `KEY_FILE_UNREADABLE` for a file that is missing, can't be read, is larger than 1 MiB
 * or not a regular file. The details name the option as `path`, and the `file`.
 */
export const makeFiles = (
  options: FileOptions
): Effect.Effect<KeySource["Service"], KeelsonError.ConfigurationError, FileSystem.FileSystem> =>
  Effect.flatMap(Configuration.decode(StaticKeys)(options), (checked) => load(checked, readKeyFile))

/** `make` as a layer, which requires WebCrypto only. */
export const layer = (options: Options): Layer.Layer<KeySource, KeelsonError.ConfigurationError> =>
  Layer.effect(KeySource, make(options))

/** `makeFiles` as a layer. It requires a `FileSystem`; `layer` does not. */
export const layerFiles = (
  options: FileOptions
): Layer.Layer<KeySource, KeelsonError.ConfigurationError, FileSystem.FileSystem> =>
  Layer.effect(KeySource, makeFiles(options))

/** Reads the environment below a path; see `config`. Errors name the full path of the option. */
export const layerConfig = (
  path: Configuration.Path
): Layer.Layer<KeySource, KeelsonError.ConfigurationError, FileSystem.FileSystem> =>
  Layer.effect(
    KeySource,
    Effect.flatMap(Configuration.fromEnvironment(StaticKeys, path), (checked) => load(checked, readKeyFile, path))
  )
