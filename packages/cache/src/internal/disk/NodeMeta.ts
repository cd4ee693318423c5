import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Metadata } from "../../CacheEntry.ts"
import * as CacheKey from "../../CacheKey.ts"
import { isTime } from "../tier/rules.ts"
import { sha256 } from "./NodeFiles.ts"

/** The version of the format. A file of another version is removed. */
const version = 1

/** What a `.meta` file has. Times are in milliseconds since 1970. */
export interface Meta {
  readonly key: CacheKey.CacheKey
  readonly metadata: Metadata
  readonly length: number
  /** SHA-256 of the body, in hex. */
  readonly hash: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
  readonly staleUntil: number | undefined
}

const time = Schema.Number.check(Schema.makeFilter(isTime))

const File = Schema.Struct({
  version: Schema.Literal(version),
  key: Schema.Struct({
    bucket: Schema.String,
    key: Schema.String,
    etag: Schema.optionalKey(Schema.String),
    variant: Schema.optionalKey(Schema.String)
  }),
  metadata: Schema.Struct({
    contentType: Schema.optionalKey(Schema.String),
    etag: Schema.optionalKey(Schema.String),
    headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  }),
  length: Schema.Number.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0)),
  hash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  createdAt: time,
  expiresAt: Schema.optionalKey(time),
  staleUntil: Schema.optionalKey(time)
})

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(File))

/** Without members that are `undefined`, which JSON does not have. */
const defined = <A extends object>(value: A): Partial<A> =>
  // oxlint-disable-next-line no-unsafe-type-assertion -- some members of the same object
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Partial<A>

/** The text of a `.meta` file: a line of JSON, and one with its SHA-256. */
export const writeMeta = ({ key: { bucket, etag, key, variant }, metadata, ...rest }: Meta): string => {
  const json = JSON.stringify({
    version,
    key: defined({ bucket, key, etag, variant }),
    metadata: defined(metadata),
    ...defined(rest)
  })
  return `${json}\n${sha256(json)}\n`
}

/** Reads the text of a `.meta` file; `undefined` if it is not one, one of another version, or was changed. */
export const readMeta = (text: string): Meta | undefined => {
  const [json = "", check, ...rest] = text.split("\n")
  if (check !== sha256(json) || rest.join("") !== "") return undefined
  const file = Option.getOrUndefined(decode(json))
  const key = file === undefined ? undefined : Result.getOrUndefined(CacheKey.make(file.key))
  if (file === undefined || key === undefined) return undefined
  const { createdAt, expiresAt, hash, length, metadata, staleUntil } = file
  return { key, metadata, length, hash, createdAt, expiresAt, staleUntil }
}
