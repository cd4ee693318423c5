/** Requests to a store as effects, and stores of the scripted S3. */
import type { ObjectStore, ReplicaOptions } from "@keelson/gateway"
import * as NodeS3Store from "@keelson/gateway/NodeS3Store"
import type { ScriptedS3 } from "@keelson/testing/scriptedS3"
import { Effect, Redacted } from "effect"

type StoreRequest = ObjectStore.StoreRequest

/** How a request ended, and everything that its handler was called with. */
export interface Outcome {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly replica: number | undefined
  readonly body: Buffer
  /** `end`, or the failure. */
  readonly end: "end" | ObjectStore.StoreFailure
  readonly cause: unknown
}

export interface Running {
  readonly call: ObjectStore.StoreCall
  readonly outcome: Effect.Effect<Outcome>
  /** What was received so far. */
  readonly seen: {
    head: ObjectStore.StoreHead | undefined
    readonly chunks: Array<Uint8Array>
    bytes: number
    /** Whether the next chunks are to be held back. */
    isFull: boolean
    /** How often the request ended: never more than once. */
    ends: number
    /** The calls after its end: none. */
    late: number
  }
}

/** Starts a request. Chunks are kept unless `isCounted`. */
export const start = (
  store: ObjectStore.ObjectStore,
  request: Partial<StoreRequest> & { readonly key: string },
  isCounted = false
): Running => {
  const seen: Running["seen"] = { head: undefined, chunks: [], bytes: 0, isFull: false, ends: 0, late: 0 }
  let finish: (outcome: Outcome) => void = () => {}
  const ended = new Promise<Outcome>((resolve) => finish = resolve)
  const end = (how: Outcome["end"], cause: unknown): void => {
    seen.ends++
    finish({
      status: seen.head?.status,
      headers: seen.head?.headers ?? {},
      replica: seen.head?.replica,
      body: Buffer.concat(seen.chunks),
      end: how,
      cause
    })
  }
  const call = store.dispatch({ method: "GET", headers: {}, ...request }, {
    onHead: (head) => {
      if (seen.ends > 0 || seen.head !== undefined) seen.late++
      seen.head = head
    },
    onData: (chunk) => {
      if (seen.ends > 0 || seen.head === undefined) seen.late++
      seen.bytes += chunk.length
      if (!isCounted) seen.chunks.push(chunk)
      return !seen.isFull
    },
    onEnd: () => end("end", undefined),
    onFailure: end
  })
  return { call, seen, outcome: Effect.promise(() => ended) }
}

/** Sends a request and waits for its end. */
export const send = (
  store: ObjectStore.ObjectStore,
  request: Partial<StoreRequest> & { readonly key: string }
): Effect.Effect<Outcome> => Effect.suspend(() => start(store, request).outcome)

/** A body that can be read as often as its chunks can. */
export const bodyOf = (...chunks: ReadonlyArray<string | Uint8Array>): ObjectStore.StoreBody => {
  const buffers = chunks.map((chunk) => Buffer.from(chunk))
  return {
    length: buffers.reduce((sum, { length }) => sum + length, 0),
    chunks: {
      async *[Symbol.asyncIterator]() {
        yield* buffers
      }
    },
    isRepeatable: true
  }
}

/** The same as one that can be read once. */
export const onceOf = (...chunks: ReadonlyArray<string>): ObjectStore.StoreBody => {
  const { chunks: all, length } = bodyOf(...chunks)
  let isRead = false
  return {
    length,
    chunks: {
      async *[Symbol.asyncIterator]() {
        if (isRead) throw new Error("The body was read twice")
        isRead = true
        yield* all
      }
    }
  }
}

export const keys: ReplicaOptions.CredentialsOptions = {
  static: { accessKeyId: Redacted.make("keelson-test"), secretAccessKey: Redacted.make("keelson-test-secret") }
}

export const bucket = "bucket"

/** The options of a store of a server. */
export const optionsOf = (
  { region, url }: Pick<ScriptedS3, "region" | "url">,
  options: Partial<ReplicaOptions.ReplicaOptions> = {}
): ReplicaOptions.ReplicaOptions => ({ endpoint: url, region, bucket, credentials: keys, ...options })

export const storeOf = (server: Pick<ScriptedS3, "region" | "url">, options?: Partial<ReplicaOptions.ReplicaOptions>) =>
  NodeS3Store.make(optionsOf(server, options))
