import * as Bulkhead from "@keelson/core/Bulkhead"
import * as Retry from "@keelson/core/Retry"
import { waitAtMost } from "@keelson/core/unstable/Bounded"
import { redisReply, type Sender } from "@keelson/core/unstable/RedisConnection"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { CacheError } from "../../CacheError.ts"
import * as CacheKey from "../../CacheKey.ts"
import { sha256Hex } from "../tier/digest.ts"
import { readStored, type StoredEntry, writeStored } from "./stored.ts"

/** The bytes of a body that are in one value of Redis: with larger ones a command would hold up all others. */
export const chunkSize = 1_048_576

/** Names that `SCAN` returns at once. */
const scanCount = "500"

/** In place of a reply: a full Redis responds, and its circuit stays closed for lookups. */
const full = Symbol("full")

const failed = (operation: string, cause?: unknown) => new CacheError({ _tag: "Redis", operation }, cause)

/** Redis has reached `maxmemory`, and evicts nothing. */
const isFull = (error: unknown): boolean => redisReply(error) === "OOM"

/** Text in which the characters that `SCAN` matches as patterns stand for themselves. */
const literally = (text: string): string => text.replaceAll(/[*?[\]\\^-]/g, String.raw`\$&`)

/**
 * Replaces the value of the first key if it still is the given one, and gives it and the other keys a lifetime in milliseconds;
 * 0 means for ever.
 */
const updateScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
for _, name in ipairs(KEYS) do
  if ARGV[3] == '0' then redis.call('PERSIST', name) else redis.call('PEXPIRE', name, ARGV[3]) end
end
return 1`

/** Runs a command between what protects Redis. Its own errors are those of the breaker, the retries and the queue. */
export type Execute = <A>(call: Effect.Effect<A, CacheError>) => Effect.Effect<A, unknown>

/** The error of a command that was not answered. */
const errorOf = (operation: string, error: unknown): CacheError => {
  if (error instanceof CacheError) return error
  const last = error instanceof Retry.RetryExhausted ? error.error : error
  return last instanceof Bulkhead.BulkheadFull
    ? new CacheError({ _tag: "RedisBusy", operation }, error)
    : failed(operation, error)
}

/** The commands of a cache in Redis. Each waits no longer than the timeout. */
export class RedisStore {
  readonly #redis: Sender
  readonly #prefix: string
  readonly #timeout: Duration.Duration
  readonly #execute: Execute

  constructor(
    redis: Sender,
    options: {
      readonly prefix: string
      readonly timeout: Duration.Duration
      readonly execute: Execute
    }
  ) {
    this.#redis = redis
    this.#prefix = options.prefix
    this.#timeout = options.timeout
    this.#execute = options.execute
  }
  #send(operation: string, command: string, ...args: ReadonlyArray<string>): Effect.Effect<unknown, CacheError> {
    const sent = Effect.catch(
      Effect.suspend(() => waitAtMost(this.#redis.send(command, ...args), this.#timeout)),
      (error) => isFull(error) ? Effect.succeed(Option.some<unknown>(full)) : Effect.fail(failed(operation))
    )
    const call = Effect.flatMap(
      // A defect of the client must not end its caller.
      Effect.catchDefect(sent, () => Effect.fail(failed(operation))),
      Option.match({ onNone: () => Effect.fail(failed(operation)), onSome: Effect.succeed })
    )
    return Effect.flatMap(
      Effect.mapError(this.#execute(call), (error) => errorOf(operation, error)),
      (reply) => reply === full ? Effect.fail(new CacheError({ _tag: "StorageFull" })) : Effect.succeed(reply)
    )
  }
  nameOf(key: CacheKey.CacheKey): string {
    return this.#prefix + CacheKey.format(key)
  }
  /** No key has such a name: keys have no `#` in their text form. */
  #chunkName(generation: string, index: number): string {
    return `${this.#prefix}#${generation}:${index}`
  }
  /** The stored entry of a key; `undefined` if there is none. Fails with `Serialization` for another value. */
  read(key: CacheKey.CacheKey): Effect.Effect<StoredEntry | undefined, CacheError> {
    return Effect.map(this.#readText(key), (found) => found?.entry)
  }
  #readText(
    key: CacheKey.CacheKey
  ): Effect.Effect<{ readonly text: string; readonly entry: StoredEntry } | undefined, CacheError> {
    return Effect.flatMap(this.#send("get", "GET", this.nameOf(key)), (value) => {
      if (value === null || value === undefined) return Effect.undefined
      return typeof value === "string"
        ? Effect.map(readStored(value, key), (entry) => ({ text: value, entry }))
        : Effect.fail(new CacheError({ _tag: "Serialization", problem: "format" }))
    })
  }
  /** Replaces an entry by one with the same body, unless another has replaced it meanwhile. Returns whether it did. */
  update(
    key: CacheKey.CacheKey,
    change: (entry: StoredEntry) => { readonly entry: StoredEntry; readonly millis: number | undefined } | undefined
  ): Effect.Effect<boolean, CacheError> {
    return Effect.flatMap(this.#readText(key), (found) => {
      const changed = found === undefined ? undefined : change(found.entry)
      if (found === undefined || changed === undefined) return Effect.succeed(false)
      const { body } = found.entry
      const chunks = body._tag === "Bytes"
        ? []
        : body.hashes.map((_, index) => this.#chunkName(body.generation, index))
      return Effect.map(
        Effect.flatMap(writeStored(changed.entry), (text) =>
          this.#send(
            "refresh",
            "EVAL",
            updateScript,
            String(chunks.length + 1),
            this.nameOf(key),
            ...chunks,
            found.text,
            text,
            String(changed.millis ?? 0)
          )),
        (reply) => reply === 1
      )
    })
  }
  /** Writes an entry, and removes the chunks of the one that it replaces. */
  write(key: CacheKey.CacheKey, text: string, millis: number | undefined): Effect.Effect<void, CacheError> {
    const life = millis === undefined ? [] : ["PX", String(millis)]
    return Effect.flatMap(
      this.#send("set", "SET", this.nameOf(key), text, ...life, "GET"),
      (previous) => Effect.asVoid(this.#removeChunks(previous))
    )
  }
  writeChunk(
    generation: string,
    index: number,
    bytes: Uint8Array,
    millis: number | undefined
  ): Effect.Effect<void, CacheError> {
    const life = millis === undefined ? [] : ["PX", String(millis)]
    return Effect.asVoid(
      this.#send("set", "SET", this.#chunkName(generation, index), Base64.encode(bytes), ...life)
    )
  }
  /** A chunk with the right hash. Fails with `NotFound` if it is gone. */
  readChunk(generation: string, index: number, hash: string): Effect.Effect<Uint8Array, CacheError> {
    return Effect.flatMap(this.#send("get", "GET", this.#chunkName(generation, index)), (value) => {
      if (typeof value !== "string") return Effect.fail(new CacheError({ _tag: "NotFound" }))
      const bytes = Base64.decode(value)
      const corrupt = Effect.fail(new CacheError({ _tag: "Serialization", problem: "hash" }))
      if (Result.isFailure(bytes)) return corrupt
      return Effect.flatMap(
        sha256Hex(bytes.success),
        (found) => found === hash ? Effect.succeed(bytes.success) : corrupt
      )
    })
  }
  removeGeneration(generation: string, chunks: number): Effect.Effect<void> {
    const names = Array.from({ length: chunks }, (_, index) => this.#chunkName(generation, index))
    return names.length === 0 ? Effect.void : Effect.ignore(this.#send("delete", "UNLINK", ...names))
  }
  /** Removes an entry with its chunks. Returns whether there was one. */
  remove(key: CacheKey.CacheKey): Effect.Effect<StoredEntry | boolean, CacheError> {
    return Effect.flatMap(this.#send("delete", "GETDEL", this.nameOf(key)), (value) => {
      return Effect.map(this.#removeChunks(value), (stored) => stored ?? (value !== null && value !== undefined))
    })
  }
  /** Removes the chunks of a value that was removed. Returns its entry, if it is one. */
  #removeChunks(value: unknown): Effect.Effect<StoredEntry | undefined> {
    if (typeof value !== "string") return Effect.undefined
    return Effect.flatMap(Effect.orElseSucceed(readStored(value, undefined), () => undefined), (stored) =>
      Effect.as(
        stored?.body._tag === "Chunks"
          ? this.removeGeneration(stored.body.generation, stored.body.hashes.length)
          : Effect.void,
        stored
      ))
  }
  /** Whether all chunks are there: Redis may have evicted one of them. */
  hasChunks(generation: string, chunks: number): Effect.Effect<boolean, CacheError> {
    const names = Array.from({ length: chunks }, (_, index) => this.#chunkName(generation, index))
    return Effect.map(this.#send("get", "EXISTS", ...names), (count) => count === chunks)
  }
  /** The names of the entries of a bucket, or of all, in batches; `withChunks` also those of chunks. */
  scan<A>(
    bucket: string | undefined,
    use: (names: ReadonlyArray<string>) => Effect.Effect<A, CacheError>
  ): Effect.Effect<void, CacheError> {
    const pattern = `${literally(this.#prefix + (bucket === undefined ? "" : `${encodeURIComponent(bucket)}:`))}*`
    const from = (cursor: string): Effect.Effect<void, CacheError> =>
      Effect.flatMap(this.#send("scan", "SCAN", cursor, "MATCH", pattern, "COUNT", scanCount), (reply) => {
        if (!Array.isArray(reply) || !Array.isArray(reply[1])) return Effect.fail(failed("scan"))
        const next = String(reply[0])
        const names = reply[1].filter((name): name is string => typeof name === "string")
        const used = names.length === 0 ? Effect.void : use(names)
        return Effect.flatMap(used, () => next === "0" ? Effect.void : from(next))
      })
    return from("0")
  }
  /** Removes entries, and with `bucket` their chunks. Returns how many entries there were. */
  clear(bucket: string | undefined): Effect.Effect<number, CacheError> {
    let count = 0
    const isChunk = (name: string) => name.startsWith(`${this.#prefix}#`)
    return Effect.map(
      this.scan(bucket, (names) =>
        bucket === undefined
          ? Effect.map(this.#send("clear", "UNLINK", ...names), () => {
            count += names.filter((name) => !isChunk(name)).length
          })
          : Effect.forEach(names, (name) =>
            Effect.flatMap(this.#send("clear", "GETDEL", name), (value) => {
              if (value !== null && value !== undefined) count++
              return this.#removeChunks(value)
            }), { discard: true, concurrency: 16 })),
      () => count
    )
  }
  /** The bytes of values in Redis. */
  sizesOf(names: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<number>, CacheError> {
    return Effect.forEach(names, (name) => Effect.map(this.#send("stats", "STRLEN", name), Number), { concurrency: 16 })
  }
  /** The bucket of a name; `undefined` for that of a chunk, and of what is not the cache's. */
  bucketOf(name: string): string | undefined {
    const key = CacheKey.parse(name.slice(this.#prefix.length))
    return Result.isSuccess(key) ? key.success.bucket : undefined
  }
}
