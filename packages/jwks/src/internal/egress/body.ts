import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import { failureOf } from "./failure.ts"

/** What is used of a `ReadableStream`, whose types differ between platforms. */
export interface Body {
  readonly getReader: () => {
    readonly read: () => Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
  }
}

const tooLarge = (hop: number) => new KeelsonError.NetworkError({ code: "RESPONSE_TOO_LARGE", details: { hop } })

/** The bytes so far in one buffer that doubles: a body in many tiny pieces takes no more memory than another. */
const collector = (limit: number) => {
  let buffer = new Uint8Array(Math.min(limit, 16_384))
  let size = 0
  return {
    /** Whether they were still within the limit. */
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

/** A body, read to its end or to the limit. Who asked for it closes the connection of one that was not read to its end. */
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

/** Whether a body is announced as too large already. It says the size before decompression, which is not less. */
export const checkLength = (length: string | null, limit: number, hop: number) =>
  length !== null && Number(length) > limit ? Effect.fail(tooLarge(hop)) : Effect.void
