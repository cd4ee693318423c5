/**
 * Options from data: a plain object, JSON or YAML text, or the environment, decoded by one schema.
 *
 * Unknown keys, wrong types, values out of range and contradictions fail; nothing is replaced silently. The error names the
 * path and the bound, never the value, since that may be a secret.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as EnvSubstitution from "./EnvSubstitution.ts"
import { isBounded, parseOptions, plain, unbounded } from "./internal/configuration/decodeResult.ts"
import { readEnvironment } from "./internal/configuration/environment.ts"
import { toConfigurationError } from "./internal/configuration/issue.ts"
import { type Repeated, repeatedMember } from "./internal/configuration/repeatedMember.ts"
import { yamlLine } from "./internal/configuration/yamlLine.ts"
import { ConfigurationError } from "./KeelsonError.ts"
import type { DurationInput } from "./unstable/Field.ts"
import * as InvalidConfig from "./unstable/InvalidConfig.ts"
import { stringTree } from "./unstable/ParsedDocument.ts"

/** The path of the options, as in `["keelson", "retry"]`. Never empty: options never use the root of the environment. */
export type Path = readonly [string, ...ReadonlyArray<string>]

export type { DurationInput }

/**
 * Decodes a plain object. Durations are `Duration` values or text with a unit (`"250 millis"`).
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`); its details have `path` and `expected` of every issue.
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
  // As an effect, so that a default can come from a reference of the caller, such as `LocalDevelopment`.
  const run = Schema.decodeUnknownEffect(schema, parseOptions)
  return (input: unknown): Effect.Effect<S["Type"], ConfigurationError> =>
    isBounded(input)
      ? Effect.mapError(
        run(plain(input)),
        (error) => toConfigurationError(error.issue, path, { ast: SchemaAST.toEncoded(schema.ast) })
      )
      : Effect.fail(unbounded(path))
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

/** The error for a member that occurs twice in an object: which of the two values was meant is unknown. */
const repeated = (found: Repeated | undefined) => {
  const path = found?.path.join(".") ?? ""
  return InvalidConfig.option(path, "a member that stands once", {
    message: `Invalid configuration: ${path} (line ${found?.line}) occurs twice`,
    details: { line: found?.line }
  })
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
 * `INVALID_CONFIG` with `path` and `expected`, for YAML also with the `line`. A member that occurs twice is rejected.
 */
export const decodeText = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  input: Text
): Effect.Effect<S["Type"], ConfigurationError> => {
  const path = input.section === undefined ? [] : input.section.split(".")
  const codec = Schema.toCodecStringTree(schema)
  const decode = Schema.decodeUnknownEffect(codec, parseOptions)
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
    Effect.flatMap((tree) => decode(stringTree(tree))),
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
  const decode = Schema.decodeUnknownEffect(codec, parseOptions)
  return ConfigProvider.ConfigProvider.pipe(
    Effect.flatMap((provider) => readEnvironment(codec.ast, provider, path)),
    Effect.flatMap((tree) => decode(tree)),
    Effect.mapError((error) =>
      error instanceof ConfigurationError
        ? error
        : toConfigurationError(error.issue, path, { ast: SchemaAST.toEncoded(codec.ast) })
    )
  )
}
