/**
 * Options from data: a plain object, JSON or YAML text, or the environment, decoded by one schema.
 *
 * Unknown keys, wrong types, values out of range and contradictions fail; nothing is replaced silently. The error names the
 * path and the bound, never the value, since that may be a secret.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { Equals } from "effect/Types"
import * as EnvSubstitution from "./EnvSubstitution.ts"
import { readEnvironment } from "./internal/configuration/environment.ts"
import { toConfigurationError } from "./internal/configuration/issue.ts"
import { type Repeated, repeatedMember } from "./internal/configuration/repeatedMember.ts"
import { yamlLine } from "./internal/configuration/yamlLine.ts"
import { ConfigurationError } from "./KeelsonError.ts"
import type { DurationInput } from "./unstable/Field.ts"
import * as InvalidConfig from "./unstable/InvalidConfig.ts"

/** The path of the options, as in `["keelson", "retry"]`. Never empty: no options take a whole environment. */
export type Path = readonly [string, ...ReadonlyArray<string>]

export type { DurationInput }

const options = { onExcessProperty: "error", errors: "all" } as const

const isPlain = (input: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(input)
  return prototype === null || prototype === Object.prototype
}

/** More than any options need. Deeper or larger input is a mistake, a cycle, or YAML aliases that multiply. */
const maxDepth = 64
const maxMembers = 100_000

const isBounded = (tree: unknown): boolean => {
  let left = maxMembers
  const visit = (node: unknown, depth: number): boolean => {
    if (!Array.isArray(node) && !(Predicate.isObject(node) && isPlain(node))) return true
    return depth < maxDepth && Object.values(node).every((child) => left-- > 0 && visit(child, depth + 1))
  }
  return visit(tree, 0)
}

const unbounded = (path: ReadonlyArray<string>) =>
  InvalidConfig.option(path.join("."), `at most ${maxDepth} levels and ${maxMembers} members`, {
    message: `Invalid configuration: ${path.length === 0 ? "the document" : path.join(".")} is too deep or too large`
  })

/** Plain data as option schemas decode it: each `Duration` as text, and the value of each `Redacted`. */
const plain = (input: unknown): unknown => {
  if (Redacted.isRedacted(input)) return plain(Redacted.value(input))
  if (Duration.isDuration(input)) return String(input)
  if (Array.isArray(input)) return input.map(plain)
  if (!Predicate.isObject(input)) return input
  // A `Map` or `Date` has no own members, and must not be decoded as an empty object.
  if (!isPlain(input)) return Object.prototype.toString.call(input)
  return Object.fromEntries(
    Object.entries(input).flatMap(([key, value]) => value === undefined ? [] : [[key, plain(value)]])
  )
}

/**
 * Decodes a plain object. Durations are `Duration` values or text with a unit (`"250 millis"`).
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`); its details have `path` and `expected` of every issue.
 */
export const decodeResult = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  path: ReadonlyArray<string> = []
) => {
  const decode = Schema.decodeUnknownResult(schema, options)
  return (input: unknown): Result.Result<S["Type"], ConfigurationError> =>
    isBounded(input)
      ? Result.mapError(
        decode(plain(input)),
        (error) => toConfigurationError(error.issue, path, { ast: SchemaAST.toEncoded(schema.ast) })
      )
      : Result.fail(unbounded(path))
}

/**
 * `decodeResult` as an effect.
 *
 * **Example** (Options of an application)
 *
 * ```ts import.meta.vitest
 * import * as Configuration from "@keelson/core/Configuration"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const decode = Configuration.decode(Schema.Struct({ retries: Schema.Int }))
 * const error = await Effect.runPromise(Effect.flip(decode({ retries: 1, retires: 2 })))
 * error.message // => "Invalid configuration: retires is not an option; did you mean retries?"
 * ```
 */
export const decode = <S extends Schema.ConstraintDecoder<unknown>>(schema: S, path: ReadonlyArray<string> = []) => {
  const run = decodeResult(schema, path)
  return (input: unknown): Effect.Effect<S["Type"], ConfigurationError> => Effect.fromResult(run(input))
}

/** `decodeResult` for options given in code: throws the `ConfigurationError`. */
export const decodeUnsafe = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  path: ReadonlyArray<string> = []
) => {
  const run = decodeResult(schema, path)
  return (input: unknown): S["Type"] => Result.getOrThrowWith(run(input), (error) => error)
}

const missingSection = (key: string) =>
  new ConfigurationError({
    code: "CONFIG_MISSING",
    message: `The configuration has no section ${key}`,
    details: { missing_key: key }
  })

/** The place where a parser stopped, from its message, without the text at that place. */
const placeOf = (cause: unknown): string | undefined =>
  cause instanceof Error ? /\b(?:line|flow offset|position) \d+/.exec(cause.message)?.[0] : undefined

const unreadable = (format: "json" | "yaml", cause: unknown) => {
  const place = placeOf(cause)
  return new ConfigurationError({
    code: "INVALID_CONFIG",
    message: `The configuration is not valid ${format === "json" ? "JSON" : "YAML"}${
      place === undefined ? "" : ` at ${place}`
    }`,
    details: { expected: format, ...(place === undefined ? undefined : { place }) }
  })
}

/** A member that stands twice: which of the two was meant cannot be known. */
const repeated = (found: Repeated | undefined) => {
  const path = found?.path.join(".") ?? ""
  return InvalidConfig.option(path, "a member that stands once", {
    message: `Invalid configuration: ${path} (line ${found?.line}) stands twice`,
    details: { line: found?.line }
  })
}

/** Every leaf as text, so that a number from `${VAR}` decodes as a number. */
const stringTree = (tree: unknown): unknown => {
  if (Array.isArray(tree)) return tree.map(stringTree)
  if (typeof tree === "object" && tree !== null) {
    return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, stringTree(value)]))
  }
  return typeof tree === "number" || typeof tree === "boolean" || typeof tree === "bigint" ? String(tree) : tree
}

const pick = (tree: unknown, section: ReadonlyArray<string>): Effect.Effect<unknown, ConfigurationError> => {
  let current = tree
  for (const [index, key] of section.entries()) {
    if (!Predicate.isObject(current) || !Object.hasOwn(current, key)) {
      return Effect.fail(missingSection(section.slice(0, index + 1).join(".")))
    }
    current = current[key]
  }
  return Effect.succeed(current)
}

/** Configuration as text. */
export interface Text {
  /** The format of `text`. Required. */
  readonly format: "json" | "yaml"
  /** The document. Required. */
  readonly text: string
  /** Where in the document the options are, with dots: `keelson.retry`. Default none: the whole document. */
  readonly section?: string | undefined
}

/**
 * Decodes one section of JSON or YAML text, after replacing `${VAR}` (see `EnvSubstitution`). `section` is a path with dots;
 * without it the whole document is decoded. Numbers and booleans may be quoted.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` with `missing_key`, `CONFIG_VARIABLE_MISSING` with `var_name`,
 * `INVALID_CONFIG` with `path` and `expected`, for YAML also with the `line`. A member that stands twice is refused.
 */
export const decodeText = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  input: Text
): Effect.Effect<S["Type"], ConfigurationError> => {
  const path = input.section === undefined ? [] : input.section.split(".")
  const codec = Schema.toCodecStringTree(schema)
  const decode = Schema.decodeUnknownResult(codec, options)
  return Effect.try({
    try: (): unknown => input.format === "json" ? JSON.parse(input.text) : Yaml.parse(input.text),
    catch: (cause) => unreadable(input.format, cause)
  }).pipe(
    Effect.filterOrElse(
      () => input.format === "yaml" || repeatedMember(input.text) === undefined,
      () => Effect.fail(repeated(repeatedMember(input.text)))
    ),
    Effect.flatMap((tree) => pick(tree, path)),
    Effect.filterOrFail(isBounded, () => unbounded(path)),
    Effect.flatMap(EnvSubstitution.substituteAll),
    Effect.flatMap((tree) => Effect.fromResult(decode(stringTree(tree)))),
    Effect.mapError((error) =>
      error instanceof ConfigurationError ? error : toConfigurationError(error.issue, path, {
        ast: SchemaAST.toEncoded(codec.ast),
        lineOf: input.format === "yaml" ? (own) => yamlLine(input.text, [...path, ...own]) : undefined
      })
    )
  )
}

/**
 * Decodes the options under `path` of the `ConfigProvider` in context: `KEELSON_RETRY_MAX_ATTEMPTS` is `maxAttempts`
 * under `["keelson", "retry"]`. Lists are written with commas, or as `..._0`, `..._1`.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` with `missing_key` if nothing is set under `path`; `INVALID_CONFIG` with
 * `path` and `expected`. An unknown option fails, as in a file.
 */
export const fromEnvironment = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  path: Path
): Effect.Effect<S["Type"], ConfigurationError> => {
  const codec = Schema.toCodecStringTree(schema)
  const decode = Schema.decodeUnknownResult(codec, options)
  return ConfigProvider.ConfigProvider.pipe(
    Effect.flatMap((provider) => readEnvironment(codec.ast, provider, path)),
    Effect.flatMap((tree) => Effect.fromResult(decode(tree))),
    Effect.mapError((error) =>
      error instanceof ConfigurationError
        ? error
        : toConfigurationError(error.issue, path, { ast: SchemaAST.toEncoded(codec.ast) })
    )
  )
}

type Decodable = Schema.ConstraintDecoder<unknown>
type Primitive = string | number | bigint | boolean | symbol | null | undefined
type IsOptional<A, K> = K extends keyof A ? {} extends Pick<A, K> ? true : false : false

/** The type in code of a value of a schema with the type `A` and the encoded form `E`. */
type Written<A, E> = A extends Duration.Duration ? DurationInput
  : A extends Primitive | Redacted.Redacted<unknown> ? A
  : A extends ReadonlyArray<infer Item> ? ReadonlyArray<Written<Item, E extends ReadonlyArray<infer EItem> ? EItem : E>>
  : WrittenStruct<A, Extract<E, object>>

type WrittenStruct<A, E> = Flat<
  & { readonly [K in keyof A as IsOptional<E, K> extends true ? never : K]: WrittenMember<A, E, K> }
  & { readonly [K in keyof A as IsOptional<E, K> extends true ? K : never]?: WrittenMember<A, E, K> | undefined }
>
type Flat<A> = { readonly [K in keyof A]: A[K] }
type WrittenMember<A, E, K extends keyof A> = Written<Exclude<A[K], undefined>, K extends keyof E ? E[K] : never>

/** The names of the options in which an interface and a schema differ. */
type Differing<Options, A, E> = {
  [K in keyof Options | keyof A]-?: K extends keyof Options & keyof A
    ? Equals<Pick<Options, K>, Pick<WrittenStruct<A, E>, K & keyof WrittenStruct<A, E>>> extends true ? never : K
    : K
}[keyof Options | keyof A]

/** A member for each option in which the interface `Options` differs from what the schema `S` takes from code. */
export type Mismatch<Options, S extends Decodable> = {
  readonly [
    K in Differing<Options, S["Type"], S["Encoded"]> as `${K & string} differs between the interface and the schema`
  ]: never
}

/** The four ways to checked options; see `decoders`. */
export interface Decoders<Options, A> {
  /** From code. Throws `ConfigurationError` (`INVALID_CONFIG`). */
  readonly make: {} extends Options ? (options?: Options) => A : (options: Options) => A
  /** From a plain object, as `decode` does. */
  readonly decode: (input: unknown) => Effect.Effect<A, ConfigurationError>
  /** From JSON or YAML, as `decodeText` does. */
  readonly decodeText: (input: Text) => Effect.Effect<A, ConfigurationError>
  /** From the environment, as `fromEnvironment` does. */
  readonly config: (path: Path) => Effect.Effect<A, ConfigurationError>
}

/**
 * The decoders of one schema: `make` for code, `decode` for plain objects, `decodeText` for JSON and YAML, `config` for
 * the environment.
 *
 * `Options` is the interface of options in code. It does not compile unless it has exactly the options of the schema, with
 * the same types: `DurationInput` for a `Duration`, and optional if the schema has a default.
 */
export const decoders = <Options, S extends Decodable>(
  schema: S & Mismatch<Options, S>
): Decoders<Options, S["Type"]> => {
  const make = decodeUnsafe<S>(schema)
  return {
    make: (options?: Options) => make(options ?? {}),
    decode: decode<S>(schema),
    decodeText: (input) => decodeText<S>(schema, input),
    config: (path) => fromEnvironment<S>(schema, path)
  }
}
