/** Faults of the scripted S3, and the bodies that it sends with them. */
import type { ServerResponse } from "node:http"
import { bytesOf, type StoredObject } from "./objects.ts"

/** What goes wrong with requests for a key, a bucket, or all. Members can be combined. */
export interface Fault {
  /** Answers with this status in place of the object. */
  readonly status?: number | undefined
  /** The code in the body of the error. Default `SlowDown`. */
  readonly code?: string | undefined
  /** Headers of the response, in addition or in place of its own. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Waits before it answers, in milliseconds of the clock of the server. */
  readonly delay?: number | undefined
  /** Waits for this before it answers. */
  readonly until?: Promise<unknown> | undefined
  /** Resets the connection before any response. */
  readonly reset?: boolean | undefined
  /** Never answers. The connection stays open. */
  readonly stall?: boolean | undefined
  /** Sends nothing more after so many bytes of the body. The connection stays open. */
  readonly stallAfter?: number | undefined
  /** Resets the connection after so many bytes of the body. */
  readonly cutAfter?: number | undefined
  /** Announces so many bytes more than it sends; if negative, fewer. */
  readonly extraLength?: number | undefined
  /** Sends the body without a length, in chunks. */
  readonly chunked?: boolean | undefined
  /** Bytes of the body per second. */
  readonly bytesPerSecond?: number | undefined
  /** Only so many requests. Default all. */
  readonly times?: number | undefined
  /** Only each n-th request, beginning with the first. Default 1. */
  readonly every?: number | undefined
}

/** Faults by `bucket/key`, by `bucket`, or by `*`. */
export class Faults {
  readonly #faults = new Map<string, { readonly fault: Fault; seen: number; applied: number }>()

  set(where: string, fault: Fault | undefined): void {
    if (fault === undefined) this.#faults.delete(where)
    else this.#faults.set(where, { fault, seen: 0, applied: 0 })
  }

  /** The fault of the next request. */
  next(bucket: string, key: string): Fault | undefined {
    for (const where of [`${bucket}/${key}`, bucket, "*"]) {
      const entry = this.#faults.get(where)
      if (entry === undefined) continue
      const isDue = entry.seen++ % (entry.fault.every ?? 1) === 0
      if (!isDue || entry.applied >= (entry.fault.times ?? Number.POSITIVE_INFINITY)) return undefined
      entry.applied++
      return entry.fault
    }
    return undefined
  }
}

export type Sleep = (millis: number) => Promise<void>

/** Waits until there is room for more, or the client has left. */
const afterDrain = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      response.off("drain", end).off("close", end)
      resolve()
    }
    response.on("drain", end).on("close", end)
  })

/** The bytes of a body, chunk by chunk. */
const chunksOf = async function*(
  response: ServerResponse,
  object: StoredObject,
  from: number,
  length: number
): AsyncGenerator<Uint8Array, void> {
  for (let sent = 0; sent < length && !response.destroyed;) {
    const chunk = bytesOf(object, from + sent, length - sent)
    sent += chunk.length
    yield chunk
  }
}

/** Sends a part of an object, as slowly and as incompletely as the fault says. */
export const sendBody = async (
  response: ServerResponse,
  object: StoredObject,
  { from, length }: { readonly from: number; readonly length: number },
  fault: Fault,
  sleep: Sleep
): Promise<void> => {
  const { bytesPerSecond, cutAfter = length, stallAfter = length } = fault
  for await (const chunk of chunksOf(response, object, from, Math.min(length, cutAfter, stallAfter))) {
    const pause = bytesPerSecond === undefined ? undefined : sleep(chunk.length / bytesPerSecond * 1000)
    if (!response.write(chunk)) await afterDrain(response)
    await pause
  }
  if (fault.cutAfter !== undefined && cutAfter <= length) response.socket?.destroySoon()
  else if (fault.stallAfter === undefined) response.end()
}
