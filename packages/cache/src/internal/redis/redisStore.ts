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
import { clearScript, removeScript, updateScript, writeScript } from "./scripts.ts"
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
 * How long a chunk lives whose entry is not written yet, in milliseconds. A process that is killed before that leaves chunks that
 * nothing names, and a body that takes longer is not stored.
 */
const pendingLife = "3600000"

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
  get #chunkPrefix(): string {
    return `${this.#prefix}#`
  }
  #chunkName(generation: string, index: number): string {
    return `${this.#chunkPrefix}${generation}:${index}`
  }
  #chunksOf(body: StoredEntry["body"]): ReadonlyArray<string> {
    return body._tag === "Bytes" ? [] : body.hashes.map((_, index) => this.#chunkName(body.generation, index))
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
      const chunks = this.#chunksOf(found.entry.body)
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
  /**
   * Writes an entry, and removes the chunks of the one that it replaces, both at once. Fails if a chunk of it is gone: the body took
   * too long, or the cache was cleared meanwhile.
   */
  write(
    key: CacheKey.CacheKey,
    { body }: Pick<StoredEntry, "body">,
    text: string,
    millis: number | undefined
  ): Effect.Effect<void, CacheError> {
    const chunks = this.#chunksOf(body)
    return Effect.flatMap(
      this.#send(
        "set",
        "EVAL",
        writeScript,
        String(chunks.length + 1),
        this.nameOf(key),
        ...chunks,
        text,
        String(millis ?? 0),
        this.#chunkPrefix
      ),
      (reply) => reply === 1 ? Effect.void : Effect.fail(failed("set"))
    )
  }
  /** Writes a chunk, which lives for an hour until its entry is written. */
  writeChunk(generation: string, index: number, bytes: Uint8Array): Effect.Effect<void, CacheError> {
    return Effect.asVoid(
      this.#send("set", "SET", this.#chunkName(generation, index), Base64.encode(bytes), "PX", pendingLife)
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
    return Effect.ignore(this.#send("delete", "UNLINK", ...names))
  }
  /** Removes an entry with its chunks, both at once. Returns it, or whether there was something that is no entry. */
  remove(key: CacheKey.CacheKey): Effect.Effect<StoredEntry | boolean, CacheError> {
    return Effect.flatMap(
      this.#send("delete", "EVAL", removeScript, "1", this.nameOf(key), this.#chunkPrefix),
      (value) =>
        typeof value === "string"
          ? Effect.orElseSucceed(readStored(value, undefined), () => true)
          : Effect.succeed(false)
    )
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
  /** Removes entries with their chunks. Returns how many entries there were. */
  clear(bucket: string | undefined): Effect.Effect<number, CacheError> {
    let count = 0
    const remove = (entries: ReadonlyArray<string>) =>
      entries.length === 0
        ? Effect.void
        : Effect.map(
          this.#send("clear", "EVAL", clearScript, String(entries.length), ...entries, this.#chunkPrefix),
          (removed) => {
            count += Number(removed)
          }
        )
    return Effect.map(
      this.scan(bucket, (names) => {
        const chunks = names.filter((name) => name.startsWith(this.#chunkPrefix))
        // Chunks that no entry has, too.
        const others = chunks.length === 0 ? Effect.void : this.#send("clear", "UNLINK", ...chunks)
        return Effect.andThen(others, remove(names.filter((name) => !name.startsWith(this.#chunkPrefix))))
      }),
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
