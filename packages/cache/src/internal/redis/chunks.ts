import * as Bytes from "effect/Bytes"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { CacheError } from "../../CacheError.ts"
import { sha256Hex } from "../tier/digest.ts"
import { chunkSize, type RedisStore } from "./redisStore.ts"
import type { StoredEntry } from "./stored.ts"

/** A body that is in Redis, or goes there with its entry. */
export interface StoredBody {
  readonly length: number
  readonly hash: string
  readonly body: StoredEntry["body"]
}

/** Chunks of the same size; the last one may be smaller. An empty body has none. */
const rechunked = <E, R>(body: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> =>
  Stream.suspend(() => {
    let rest: Array<Uint8Array> = []
    let size = 0
    const take = (chunk: Uint8Array): Array<Uint8Array> => {
      rest.push(chunk)
      size += chunk.length
      if (size < chunkSize) return []
      const all = Bytes.concat(rest)
      const whole = Math.floor(size / chunkSize)
      rest = [all.subarray(whole * chunkSize)]
      size -= whole * chunkSize
      return Array.from({ length: whole }, (_, index) => all.subarray(index * chunkSize, (index + 1) * chunkSize))
    }
    return Stream.concat(
      Stream.flatMap(body, (chunk) => Stream.fromIterable(take(chunk))),
      Stream.suspend(() => size === 0 ? Stream.empty : Stream.make(Bytes.concat(rest)))
    )
  })

/**
 * Writes a body. One that fits into a value goes with its entry; a larger one is written in chunks, which are removed if the body
 * fails.
 */
export const writeBody = <E, R>(
  store: RedisStore,
  body: Stream.Stream<Uint8Array, E, R>
): Effect.Effect<StoredBody, E | CacheError, R> =>
  Effect.suspend(() => {
    const generation = SecureRandom.uuidV4Unsafe()
    const hashes: Array<string> = []
    let first: Uint8Array | undefined
    let length = 0
    const writeChunk = Effect.fnUntraced(function*(bytes: Uint8Array) {
      yield* store.writeChunk(generation, hashes.length, bytes)
      hashes.push(yield* sha256Hex(bytes))
    })
    const written = Effect.gen(function*() {
      yield* Stream.runForEach(rechunked(body), (chunk) =>
        Effect.gen(function*() {
          length += chunk.length
          if (first === undefined && hashes.length === 0) {
            first = chunk
            return
          }
          if (first !== undefined) {
            yield* writeChunk(first)
            first = undefined
          }
          yield* writeChunk(chunk)
        }))
      if (hashes.length > 0) {
        const hash = yield* sha256Hex(new TextEncoder().encode(hashes.join("")))
        return { length, hash, body: { _tag: "Chunks", generation, hashes } as const }
      }
      const bytes = first ?? new Uint8Array(0)
      return { length, hash: yield* sha256Hex(bytes), body: { _tag: "Bytes", bytes } as const }
    })
    return Effect.onError(written, () => store.removeGeneration(generation, hashes.length + 1))
  })

/** The chunks of a body, each compared with its hash. */
export const readChunks = (
  store: RedisStore,
  generation: string,
  hashes: ReadonlyArray<string>
): Stream.Stream<Uint8Array, CacheError> =>
  Stream.mapEffect(
    Stream.fromIterable(hashes.map((hash, index) => ({ hash, index }))),
    ({ hash, index }) => store.readChunk(generation, index, hash)
  )
