import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { NewEntry } from "../../CacheEntry.ts"
import { CacheError } from "../../CacheError.ts"

const tooLarge = (size: number, maxItemSize: number) => new CacheError({ _tag: "ItemTooLarge", size, maxItemSize })

/** The error of a body that cannot be stored, before it is read. */
export const refuseLength = (
  { body, length }: NewEntry | NewEntry<unknown, unknown>,
  maxItemSize: number
): CacheError | undefined => {
  const announced = body instanceof Uint8Array ? body.length : length
  if (announced !== undefined && announced > maxItemSize) return tooLarge(announced, maxItemSize)
  return body instanceof Uint8Array ? checkLength(length, body.length) : undefined
}

/** The error of a body whose length is not the announced one. */
const checkLength = (announced: number | undefined, received: number): CacheError | undefined =>
  announced === undefined || announced === received
    ? undefined
    : new CacheError({ _tag: "BodyIncomplete", announced, received })

/**
 * The chunks of a body, which fails as soon as it is larger than allowed, and at its end if it has another length than
 * announced.
 */
export const checkedBody = <E, R>(
  body: Stream.Stream<Uint8Array, E, R>,
  announced: number | undefined,
  maxItemSize: number
): Stream.Stream<Uint8Array, E | CacheError, R> =>
  Stream.suspend(() => {
    let received = 0
    const limit = Math.min(announced ?? maxItemSize, maxItemSize)
    return Stream.mapEffect(body, (chunk) => {
      received += chunk.length
      if (received <= limit) return Effect.succeed(chunk)
      return Effect.fail(
        announced === undefined
          ? tooLarge(received, maxItemSize)
          : new CacheError({ _tag: "BodyIncomplete", announced, received })
      )
    }).pipe(
      Stream.concat(Stream.unwrap(Effect.suspend(() => {
        const problem = checkLength(announced, received)
        return problem === undefined ? Effect.succeed(Stream.empty) : Effect.fail(problem)
      })))
    )
  })

/** The whole body in memory. */
export const collect = <E, R>(
  body: Stream.Stream<Uint8Array, E, R>,
  announced: number | undefined,
  maxItemSize: number
): Effect.Effect<Uint8Array, E | CacheError, R> =>
  Effect.map(Stream.runCollect(checkedBody(body, announced, maxItemSize)), Bytes.concat)
