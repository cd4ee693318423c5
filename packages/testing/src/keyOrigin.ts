/** A real origin of key sets that counts requests, its possible responses, caches over it, and a clock to move by hand. */
import type { KeelsonError } from "@keelson/core"
import { type Egress, JwksCache, type JwksOptions } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Clock, Context, Duration, Effect, Layer, Logger, type Scope } from "effect"
import type { ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { type Handle, httpsOrigin, type Origin, type OriginOptions } from "./httpsOrigin.ts"
import { issuer } from "./scriptedProvider.ts"

export interface KeyOrigin extends Origin {
  /** The URL of the key set, by the loopback address. */
  readonly url: string
  /** Sets how it responds from now on. */
  answer: Handle
}

/** An origin of key sets, by default without TLS. */
export const keyOrigin = (
  answer: Handle,
  options: OriginOptions = { plain: true }
): Effect.Effect<KeyOrigin, never, Scope.Scope> =>
  Effect.suspend(() => {
    const script = { answer }
    return Effect.map(
      httpsOrigin((request, response) => script.answer(request, response), options),
      (origin): KeyOrigin =>
        Object.assign(script, origin, {
          url: `${options.plain === true ? "http" : "https"}://127.0.0.1:${origin.port}/jwks`
        })
    )
  })

/** Responds with a document. */
export const sending = (body: string, headers: Readonly<Record<string, string>> = {}): Handle => (_, response) => {
  response.writeHead(200, headers).end(body)
}

/** Responds with a document, or with 304 if the client has it. */
export const revalidating =
  (body: string, etag: string, headers: Readonly<Record<string, string>> = {}): Handle => (request, response) => {
    if (request.headers["if-none-match"] === etag) response.writeHead(304, { etag, ...headers }).end()
    else response.writeHead(200, { etag, ...headers }).end(body)
  }

export const failing = (status: number): Handle => (_, response) => {
  response.writeHead(status).end()
}

/** Redirects. */
export const redirecting = (location: string): Handle => (_, response) => {
  response.writeHead(302, { location }).end()
}

/** Reads the request, and never responds. */
export const hanging: Handle = () => {}

/** Responds with a part of a document, then hangs. */
export const stalling = (part: string): Handle => (_, response) => {
  response.writeHead(200, { "content-length": "100000" }).write(part)
}

/** Responds with a part of a document, then closes the connection. */
export const breaking = (part: string, headers: Readonly<Record<string, string>>): Handle => (request, response) => {
  response.writeHead(200, headers)
  response.write(part, () => request.socket.destroy())
}

/** Resets the connection before any response. */
export const resetting: Handle = (request) => {
  request.socket.resetAndDestroy()
}

/** Sends a byte every few milliseconds until the client disconnects. */
export const dripping: Handle = (_, response) => {
  response.writeHead(200)
  const timer = setInterval(() => response.write(" "), 5)
  response.once("close", () => clearInterval(timer))
}

const mebibyte = Buffer.alloc(1_048_576, " ")

/** Sends this many MiB, as fast as the client reads. */
export const sendingMebibytes = (count: number): Handle => (_, response) => {
  response.writeHead(200)
  const send = (left: number): void => {
    if (response.destroyed) return
    if (left === 0) response.end()
    else response.write(mebibyte, () => send(left - 1))
  }
  send(count)
}

/** Responds with a compressed text, in chunks. */
export const sendingGzip = (text: string): Handle => {
  const packed = gzipSync(text)
  return (_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" })
    for (let at = 0; at < packed.length; at += 100) response.write(packed.subarray(at, at + 100))
    response.end()
  }
}

/** Holds back responses until they are released: first their start, then their end. */
export const inParts = (body: string) => {
  const waiting: Array<ServerResponse> = []
  const half = Math.floor(body.length / 2)
  const handle: Handle = (_, response) => {
    waiting.push(response)
  }
  return {
    handle,
    begin: Effect.sync(() => waiting.forEach((response) => response.writeHead(200).write(body.slice(0, half)))),
    end: Effect.sync(() => waiting.forEach((response) => response.end(body.slice(half))))
  }
}

/** An egress that reaches only the tests' servers, by their addresses. */
export const localEgress: Layer.Layer<Egress.Egress, KeelsonError.ConfigurationError> = NodeEgress.layer({
  allowLocalhost: true,
  proxy: "none"
})

/** One attempt with long limits, so that a slow machine causes no timeout, and no prefetch. */
export const plain = { maxAttempts: 1, attemptTimeout: "1 minute", deadline: "1 minute", prefetch: false } as const

export type Cache = JwksCache.JwksCache["Service"]

/** A cache in the scope, over an origin. Its log is discarded. */
export const cacheAt = (
  { url }: Pick<KeyOrigin, "url">,
  options: Partial<JwksOptions.Options> = {},
  egress: Layer.Layer<Egress.Egress, KeelsonError.ConfigurationError> = localEgress
): Effect.Effect<Cache, KeelsonError.ConfigurationError | KeelsonError.NetworkError, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.provide(JwksCache.layer({ issuer, url, ...plain, ...options }), egress)),
    (context) => Context.get(context, JwksCache.JwksCache)
  ).pipe(Effect.provide(Logger.layer([])))

/** Moves both clocks forward at once, and wakes sleeps that are then due. */
export type Move = (by: Duration.Input) => Effect.Effect<void>

/** Longest delay of one timer; longer sleeps set it again. */
const longestTimer = 2 ** 31 - 1

/** The real clock, which can be moved forward by hand. */
const movableClock = Effect.map(Clock.Clock, (real) => {
  const sleeping = new Set<() => void>()
  let ahead = 0
  const wall = () => real.currentTimeMillisUnsafe() + ahead
  const monotonic = () => real.monotonicTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
  const sleep = (duration: Duration.Duration) =>
    Effect.callback<void>((resume) => {
      const end = Number(monotonic()) / 1_000_000 + Duration.toMillis(duration)
      let timer: NodeJS.Timeout | undefined
      const look = () => {
        clearTimeout(timer)
        const left = end - Number(monotonic()) / 1_000_000
        if (left > 0) timer = setTimeout(look, Math.min(left, longestTimer))
        else if (sleeping.delete(look)) resume(Effect.void)
      }
      sleeping.add(look)
      look()
      return Effect.sync(() => {
        sleeping.delete(look)
        clearTimeout(timer)
      })
    })
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: wall,
    currentTimeMillis: Effect.sync(wall),
    currentTimeNanosUnsafe: () => BigInt(Math.round(wall())) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(wall())) * 1_000_000n),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep
  }
  const move: Move = (by) =>
    Effect.sync(() => {
      ahead += Duration.toMillis(by)
      for (const look of sleeping) look()
    })
  return { clock, move }
})

/** Runs a test on the real clock, which it may move forward. */
export const inTime = <A, E, R>(test: (move: Move) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(movableClock, ({ clock, move }) => Effect.provideService(test(move), Clock.Clock, clock))
