import { Decoder, Encoder } from "@msgpack/msgpack"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Metadata } from "../../CacheEntry.ts"
import { CacheError } from "../../CacheError.ts"
import * as CacheKey from "../../CacheKey.ts"
import { sha256Hex } from "../tier/digest.ts"
import { isTime } from "../tier/rules.ts"

/** The version of the format. A value of another version is not read. */
const version = 1

const time = Schema.Number.check(Schema.makeFilter(isTime))
const count = Schema.Number.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))
const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(schema)

const Value = Schema.Struct({
  version: Schema.Literal(version),
  bucket: Schema.String,
  key: Schema.String,
  keyEtag: optional(Schema.String),
  variant: optional(Schema.String),
  contentType: optional(Schema.String),
  etag: optional(Schema.String),
  headers: optional(Schema.Record(Schema.String, Schema.String)),
  length: count,
  hash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  createdAt: time,
  expiresAt: optional(time),
  staleUntil: optional(time),
  /** The body, if it is in the value. */
  body: optional(Schema.instanceOf(Uint8Array)),
  /** Otherwise the name of its chunks, and their hashes. */
  generation: optional(Schema.String.check(Schema.isPattern(/^[0-9a-f-]{36}$/))),
  chunks: optional(Schema.Array(Schema.String))
})

/** What Redis has of an entry. Times are in milliseconds since 1970. */
export interface StoredEntry {
  readonly key: CacheKey.CacheKey
  readonly metadata: Metadata
  readonly length: number
  readonly hash: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
  readonly staleUntil: number | undefined
  readonly body:
    | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }
    | { readonly _tag: "Chunks"; readonly generation: string; readonly hashes: ReadonlyArray<string> }
}

// Reading values that an attacker may have written: no member is set on a prototype, and no value is larger than Redis sends.
const decoder = new Decoder({ useBigInt64: false })
const encoder = new Encoder({ ignoreUndefined: true })

const decodeValue = Schema.decodeUnknownOption(Value)

/** The longest end of a text that names chunks. */
export const chunksLength = 48

/** The end of the text of an entry, which the scripts in Redis read: the name of its chunks, and their number. */
const endingOf = (body: StoredEntry["body"]): string =>
  body._tag === "Bytes" ? "" : `.${body.generation}.${body.hashes.length}`

/**
 * The text of an entry: MessagePack in base64, since commands to Redis are text; its SHA-256 in hex; and if it has chunks, their name
 * and number. Points separate them.
 */
export const writeStored = ({ body, key, metadata, ...entry }: StoredEntry): Effect.Effect<string> =>
  Effect.suspend(() => {
    const { contentType, etag, headers } = metadata
    const bytes = encoder.encode({
      version,
      bucket: key.bucket,
      key: key.key,
      keyEtag: key.etag,
      variant: key.variant,
      contentType,
      etag,
      headers,
      ...entry,
      ...(body._tag === "Bytes" ? { body: body.bytes } : { generation: body.generation, chunks: body.hashes })
    })
    return Effect.map(sha256Hex(bytes), (check) => `${Base64.encode(bytes)}.${check}${endingOf(body)}`)
  })

const corrupt = (problem: "format" | "version" | "key") => new CacheError({ _tag: "Serialization", problem })

/** Reads the text of an entry. Fails with `Serialization` for any other text, and for an entry of another key. */
export const readStored = (text: string, key: CacheKey.CacheKey | undefined): Effect.Effect<StoredEntry, CacheError> =>
  Effect.suspend(() => {
    const end = text.indexOf(".")
    const bytes = Base64.decode(end === -1 ? text : text.slice(0, end))
    const rest = end === -1 ? "" : text.slice(end + 1)
    if (Result.isFailure(bytes)) return Effect.fail(corrupt("format"))
    return Effect.flatMap(sha256Hex(bytes.success), (check) => {
      const entry = readContent(bytes.success, key)
      if (Result.isSuccess(entry)) {
        return rest === `${check}${endingOf(entry.success.body)}`
          ? Effect.fromResult(entry)
          : Effect.fail(corrupt("format"))
      }
      const { reason } = entry.failure
      // Another version may have another form.
      const isKnown = rest.startsWith(check) || (reason._tag === "Serialization" && reason.problem === "version")
      return Effect.fail(isKnown ? entry.failure : corrupt("format"))
    })
  })

const readContent = (
  bytes: Uint8Array,
  key: CacheKey.CacheKey | undefined
): Result.Result<StoredEntry, CacheError> => {
  const decoded = Result.try((): unknown => decoder.decode(bytes))
  if (Result.isFailure(decoded)) return Result.fail(corrupt("format"))
  const value = Option.getOrUndefined(decodeValue(decoded.success))
  if (value === undefined) {
    const other = decoded.success
    const isOther = typeof other === "object" && other !== null && "version" in other && other.version !== version
    return Result.fail(corrupt(isOther ? "version" : "format"))
  }
  const { body, bucket, chunks, contentType, etag, generation, headers, keyEtag, variant, ...rest } = value
  const own = Result.getOrUndefined(CacheKey.make({ bucket, key: value.key, etag: keyEtag, variant }))
  if (own === undefined || (key !== undefined && own.id !== key.id)) return Result.fail(corrupt("key"))
  const content = body !== undefined
    ? { _tag: "Bytes", bytes: body } as const
    : generation !== undefined && chunks !== undefined
    ? { _tag: "Chunks", generation, hashes: chunks } as const
    : undefined
  if (content === undefined) return Result.fail(corrupt("format"))
  return Result.succeed({
    key: own,
    metadata: {
      ...(contentType === undefined ? undefined : { contentType }),
      ...(etag === undefined ? undefined : { etag }),
      ...(headers === undefined ? undefined : { headers })
    },
    length: rest.length,
    hash: rest.hash,
    createdAt: rest.createdAt,
    expiresAt: rest.expiresAt,
    staleUntil: rest.staleUntil,
    body: content
  })
}
