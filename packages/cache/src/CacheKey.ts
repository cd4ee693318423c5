/**
 * The keys of cache entries: a bucket, the key of an object in it, and optionally an ETag and a variant.
 *
 * Nothing is normalized: `a//b`, `a/b`, `A/b` and other Unicode forms of a text are different keys.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"

/** The parts of a key. */
export interface Parts {
  /** The group of the entry, such as a bucket of a store or the name of a lookup. From 1 to 255 characters. Required. */
  readonly bucket: string
  /** The name in the bucket. From 1 to 4096 characters. Required. */
  readonly key: string
  /** The ETag, if each version of an object has an entry of its own. From 1 to 1024 characters. Default none. */
  readonly etag?: string | undefined
  /** What else the content depends on, such as an encoding or a language. From 1 to 1024 characters. Default none. */
  readonly variant?: string | undefined
}

const maximum = { bucket: 255, key: 4096, etag: 1024, variant: 1024 } as const

type Name = keyof Parts

/** A key or its text is not valid (`CACHE_KEY_INVALID`). */
export class CacheKeyInvalid extends KeelsonError.CodedError<"CACHE_KEY_INVALID"> {
  readonly _tag = "CacheKeyInvalid"
  override readonly name = "CacheKeyInvalid"
  constructor(
    options: {
      /** The part that is not valid; `text` for the text form as a whole. Required. */
      readonly part: Name | "text"
      /** What is expected there. Required. */
      readonly expected: string
    }
  ) {
    super({
      code: "CACHE_KEY_INVALID",
      message: `Invalid cache key: ${options.part} must be ${options.expected}`,
      details: { ...options }
    })
  }
}

/** The key of an entry. Two keys with the same parts are equal (`Equal.equals`). Made by `make`. */
export class CacheKey implements Equal.Equal {
  readonly bucket: string
  readonly key: string
  readonly etag: string | undefined
  readonly variant: string | undefined
  /** The parts in one text, which no other key has: NUL, which no part contains, separates them. */
  readonly id: string
  /** Use `make`, which checks the parts. */
  constructor({ bucket, etag, key, variant }: Parts) {
    this.bucket = bucket
    this.key = key
    this.etag = etag
    this.variant = variant
    this.id = etag === undefined && variant === undefined
      ? `${bucket}\0${key}`
      : `${bucket}\0${key}\0${etag ?? ""}\0${variant ?? ""}`
  }
  [Equal.symbol](that: unknown): boolean {
    return that instanceof CacheKey && that.id === this.id
  }
  [Hash.symbol](): number {
    return Hash.string(this.id)
  }
  /** The text form; see `format`. */
  toString(): string {
    return format(this)
  }
  toJSON(): string {
    return format(this)
  }
}

const invalid = (part: Name | "text", expected: string) => Result.fail(new CacheKeyInvalid({ part, expected }))

/** What is wrong with a part. */
const problemOf = (part: Name, value: unknown): string | undefined => {
  if (typeof value !== "string" || value.length < 1 || value.length > maximum[part]) {
    return `text from 1 to ${maximum[part]} characters`
  }
  return value.isWellFormed() && !value.includes("\0") ? undefined : "valid Unicode without NUL"
}

/**
 * Makes a key. Fails with `CacheKeyInvalid` (`CACHE_KEY_INVALID`) naming the part and its bound.
 *
 * **Example** (The text form of a key)
 *
 * ```ts import.meta.vitest
 * import { CacheKey } from "@keelson/cache"
 * import { Result } from "effect"
 *
 * const key = Result.getOrThrow(CacheKey.make({ bucket: "products", key: "a b/1.json" }))
 * CacheKey.format(key) // => "products:a%20b%2F1.json"
 * ```
 */
export const make = (parts: Parts): Result.Result<CacheKey, CacheKeyInvalid> => {
  for (const part of ["bucket", "key", "etag", "variant"] as const) {
    if (parts[part] === undefined && (part === "etag" || part === "variant")) continue
    const problem = problemOf(part, parts[part])
    if (problem !== undefined) return invalid(part, problem)
  }
  return Result.succeed(new CacheKey(parts))
}

/** `make` for keys whose parts are known to be valid, such as constants. Throws `CacheKeyInvalid` (`CACHE_KEY_INVALID`). */
export const makeUnsafe = (parts: Parts): CacheKey => Result.getOrThrowWith(make(parts), (error) => error)

/**
 * The text form: `bucket:key`, with everything but letters, digits and `-_.!~*'()` percent-encoded in both, and `?etag=` and
 * `&variant=` where the key has them.
 */
export const format = ({ bucket, etag, key, variant }: CacheKey): string => {
  const options = [
    ...(etag === undefined ? [] : [`etag=${encodeURIComponent(etag)}`]),
    ...(variant === undefined ? [] : [`variant=${encodeURIComponent(variant)}`])
  ]
  const text = `${encodeURIComponent(bucket)}:${encodeURIComponent(key)}`
  return options.length === 0 ? text : `${text}?${options.join("&")}`
}

const textForm = /^([^:?&=]+):([^:?&=]+)(?:\?(?:etag=([^:?&=]+))?(?:(?:^|&|(?<=\?))variant=([^:?&=]+))?)?$/

const decoded = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : decodeURIComponent(text)

/**
 * Reads the text form. Fails with `CacheKeyInvalid` (`CACHE_KEY_INVALID`) for text that `format` does not write, so that every
 * key has one text form.
 */
export const parse = (text: string): Result.Result<CacheKey, CacheKeyInvalid> => {
  const match = textForm.exec(text)
  const key = match === null ? undefined : Result.getOrUndefined(Result.try(() => ({
    bucket: decodeURIComponent(match[1] ?? ""),
    key: decodeURIComponent(match[2] ?? ""),
    etag: decoded(match[3]),
    variant: decoded(match[4])
  })))
  if (key === undefined) return invalid("text", "the text form of a key, as in bucket:key")
  return Result.flatMap(
    make(key),
    (made) => format(made) === text ? Result.succeed(made) : invalid("text", "in the form that `format` writes")
  )
}
