/**
 * The decoders of options: one schema and the interface that users write, kept the same by the compiler.
 */
import type * as ByteSize from "effect/ByteSize"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Equals } from "effect/Types"
import * as Configuration from "../Configuration.ts"
import { decodeResult } from "../internal/configuration/decodeResult.ts"
import type { ConfigurationError } from "../KeelsonError.ts"
import type { DurationInput, SizeInput } from "./Field.ts"

/** Decodes options given in code: throws the `ConfigurationError`. */
export const decodeUnsafe = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  path: ReadonlyArray<string> = []
) => {
  const run = decodeResult(schema, path)
  return (input: unknown): S["Type"] => Result.getOrThrowWith(run(input), (error) => error)
}

type Decodable = Schema.ConstraintDecoder<unknown>
type Primitive = string | number | bigint | boolean | symbol | null | undefined
type IsOptional<A, K> = K extends keyof A ? {} extends Pick<A, K> ? true : false : false

/** The type in code of a value of a schema with the type `A` and the encoded form `E`. */
type Written<A, E> = A extends Duration.Duration ? DurationInput
  : A extends ByteSize.ByteSize ? SizeInput
  : A extends Primitive | Redacted.Redacted<unknown> | ((...args: ReadonlyArray<never>) => unknown) ? A
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

/** Four ways to create checked options; see `decoders`. */
export interface Decoders<Options, A> {
  /** From code. Throws `ConfigurationError` (`INVALID_CONFIG`). */
  readonly make: {} extends Options ? (options?: Options) => A : (options: Options) => A
  /** From a plain object, as `decode` does. */
  readonly decode: (input: unknown) => Effect.Effect<A, ConfigurationError>
  /** From JSON or YAML, as `decodeText` does. */
  readonly decodeText: (input: Configuration.Text) => Effect.Effect<A, ConfigurationError>
  /** From the environment, as `fromEnvironment` does. */
  readonly config: (path: Configuration.Path) => Effect.Effect<A, ConfigurationError>
}

/**
 * `decoders` for options in code alone. A bundle then contains no reader of files and of the environment.
 */
export const maker = <Options, S extends Decodable>(
  schema: S & Mismatch<Options, S>
): Decoders<Options, S["Type"]>["make"] => {
  const make = decodeUnsafe<S>(schema)
  return (options?: Options) => make(options ?? {})
}

/**
 * The decoders of one schema: `make` for code, `decode` for plain objects, `decodeText` for JSON and YAML, `config` for
 * the environment.
 *
 * `Options` is the interface of options in code. It does not compile unless it has exactly the options of the schema, with
 * the same types: `DurationInput` for a `Duration`, `SizeInput` for a `ByteSize`, and optional if the schema has a default.
 */
export const decoders = <Options, S extends Decodable>(
  schema: S & Mismatch<Options, S>
): Decoders<Options, S["Type"]> => {
  return {
    make: maker<Options, S>(schema),
    decode: Configuration.decode<S>(schema),
    decodeText: (input) => Configuration.decodeText<S>(schema, input),
    config: (path) => Configuration.fromEnvironment<S>(schema, path)
  }
}
