/**
 * The store behind a bucket, as the gateway uses it: one request, whose body is given chunk by chunk.
 *
 * The interface has callbacks, not effects or streams: the body of a response passes through it chunk by chunk, and each layer between
 * two sockets costs more than the sockets.
 */

/** A request to a store. */
export interface StoreRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE"
  /** The key, decoded and not normalized; the store encodes it as S3 expects. */
  readonly key: string
  /** The headers to send, by name in lower case: ranges, preconditions, content headers. Those of the signature are added. */
  readonly headers: Readonly<Record<string, string>>
  /** The body of a `PUT`: its length, and its chunks. */
  readonly body?: StoreBody | undefined
}

/** The body of a request. */
export interface StoreBody {
  readonly length: number
  readonly chunks: AsyncIterable<Uint8Array>
  /** Whether `chunks` can be read again from the beginning, so that a request may be sent again. Default false. */
  readonly isRepeatable?: boolean | undefined
}

/** Why a store gave no response, or not all of it. */
export type StoreFailure =
  /** It could not be reached, or the connection broke before the response's head. */
  | "unreachable"
  /** It did not answer in time. */
  | "timeout"
  /** The body broke off, or has another length than was announced. */
  | "incomplete"
  /** Nothing was sent: the circuits of all replicas are open, or all connections are in use. */
  | "rejected"
  /** The key or a header cannot be sent to a store. */
  | "invalid"
  /** There are no credentials to sign with. */
  | "credentials"
  /** The caller aborted the request. */
  | "aborted"

/** What a store answered before the body. */
export interface StoreHead {
  readonly status: number
  /** The headers, by name in lower case, without those of the connection (RFC 9110, 7.6.1). */
  readonly headers: Readonly<Record<string, string>>
  /** The replica that answered, as `0` for the first. */
  readonly replica: number
}

/** What receives a response. Exactly one of `onEnd` and `onFailure` is called, once; nothing is called after it. */
export interface StoreHandler {
  /** Called once, before the body. */
  readonly onHead: (head: StoreHead) => void
  /** A chunk of the body. It may be kept. Returns whether the next one may come; after `false` it waits for `resume`. */
  readonly onData: (chunk: Uint8Array) => boolean
  /** The whole body came, with the length that the head announced. */
  readonly onEnd: () => void
  readonly onFailure: (failure: StoreFailure, cause: unknown) => void
}

/** A running request. */
export interface StoreCall {
  /** Lets the chunks come again after `onData` returned `false`. */
  readonly resume: () => void
  /** Ends the request. `onFailure("aborted")` is called, unless it had ended. */
  readonly abort: () => void
}

/** A store: one bucket at one endpoint, or several replicas of it. */
export interface ObjectStore {
  /** Sends a request. It never throws: what goes wrong is given to `onFailure`. */
  readonly dispatch: (request: StoreRequest, handler: StoreHandler) => StoreCall
}
