import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import { failureOf } from "./failure.ts"

/** The part of `ReadableStream` used here; its full types differ between platforms. */
export interface Body {
  readonly getReader: () => {
    readonly read: () => Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
  }
}

const tooLarge = (hop: number) => new KeelsonError.NetworkError({ code: "RESPONSE_TOO_LARGE", details: { hop } })

/** Collects bytes in one buffer that doubles, so that a body in many tiny chunks takes no more memory than others. */
const collector = (limit: number) => {
  let buffer = new Uint8Array(Math.min(limit, 16_384))
  let size = 0
  return {
    /** Appends the bytes. Returns `false`, without appending, if they exceed the limit. */
    add: (bytes: Uint8Array): boolean => {
      const total = size + bytes.byteLength
      if (total > limit) return false
      if (total > buffer.byteLength) {
        const larger = new Uint8Array(Math.min(limit, Math.max(total, 2 * buffer.byteLength)))
        larger.set(buffer.subarray(0, size))
        buffer = larger
      }
      buffer.set(bytes, size)
      size = total
      return true
    },
    bytes: () => buffer.slice(0, size)
  }
}

/**
 * Reads a body to its end. Fails with `RESPONSE_TOO_LARGE` once it exceeds the limit; the caller must then close the
 * connection, as after any other failure.
 */
export const readBody = Effect.fnUntraced(function*(
  body: Body,
  limit: number,
  hop: number
): Effect.fn.Return<Uint8Array, KeelsonError.NetworkError> {
  const reader = body.getReader()
  const collected = collector(limit)
  while (true) {
    const { done, value } = yield* Effect.tryPromise({
      try: () => reader.read(),
      catch: (cause) => failureOf(cause, hop)
    })
    if (done || value === undefined) return collected.bytes()
    if (!collected.add(value)) return yield* tooLarge(hop)
  }
})

/**
 * Fails with `RESPONSE_TOO_LARGE` if the `Content-Length` exceeds the limit. It is the size before decompression, which is
 * taken as a lower bound of the size after it.
 */
export const checkLength = (length: string | null, limit: number, hop: number) =>
  length !== null && Number(length) > limit ? Effect.fail(tooLarge(hop)) : Effect.void
