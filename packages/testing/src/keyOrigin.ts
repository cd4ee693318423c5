/** A real origin of key sets that counts, what it may do with a request, caches over it, and a clock to move by hand. */
import type { KeelsonError } from "@keelson/core"
import { type Egress, JwksCache, type JwksOptions } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Clock, Context, Duration, Effect, Layer, Logger, type Scope } from "effect"
import type { ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { type Handle, httpsOrigin, type Origin, type OriginOptions } from "./httpsOrigin.ts"
import { issuer } from "./scriptedProvider.ts"

export interface KeyOrigin extends Origin {
  /** Of the key set, by the address of the machine itself. */
  readonly url: string
  /** What it does with the requests from now on. */
  answer: Handle
}

/** An origin without TLS, unless it is told otherwise. */
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

/** Answers with a document. */
export const sending = (body: string, headers: Readonly<Record<string, string>> = {}): Handle => (_, response) => {
  response.writeHead(200, headers).end(body)
}

/** Answers with a document, or with 304 to whoever has it. */
export const revalidating =
  (body: string, etag: string, headers: Readonly<Record<string, string>> = {}): Handle => (request, response) => {
    if (request.headers["if-none-match"] === etag) response.writeHead(304, { etag, ...headers }).end()
    else response.writeHead(200, { etag, ...headers }).end(body)
  }

export const failing = (status: number): Handle => (_, response) => {
  response.writeHead(status).end()
}

/** Leads elsewhere. */
export const redirecting = (location: string): Handle => (_, response) => {
  response.writeHead(302, { location }).end()
}

/** Reads the request, and never answers. */
export const hanging: Handle = () => {}

/** Answers with a part of a document, after which nothing comes. */
export const stalling = (part: string): Handle => (_, response) => {
  response.writeHead(200, { "content-length": "100000" }).write(part)
}

/** Answers with a part of a document, and breaks off. */
export const breaking = (part: string, headers: Readonly<Record<string, string>>): Handle => (request, response) => {
  response.writeHead(200, headers)
  response.write(part, () => request.socket.destroy())
}

/** Resets the connection before any answer. */
export const resetting: Handle = (request) => {
  request.socket.resetAndDestroy()
}

/** Sends a byte every few milliseconds, for as long as somebody listens. */
export const dripping: Handle = (_, response) => {
  response.writeHead(200)
  const timer = setInterval(() => response.write(" "), 5)
  response.once("close", () => clearInterval(timer))
}

const mebibyte = Buffer.alloc(1_048_576, " ")

/** Sends so many MiB, as fast as they are taken. */
export const sendingMebibytes = (count: number): Handle => (_, response) => {
  response.writeHead(200)
  const send = (left: number): void => {
    if (response.destroyed) return
    if (left === 0) response.end()
    else response.write(mebibyte, () => send(left - 1))
  }
  send(count)
}

/** Answers with a text, compressed, in chunks. */
export const sendingGzip = (text: string): Handle => {
  const packed = gzipSync(text)
  return (_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" })
    for (let at = 0; at < packed.length; at += 100) response.write(packed.subarray(at, at + 100))
    response.end()
  }
}

/** Keeps its answers back until it is told: first to begin them, then to end them. */
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

/** What reaches the tests' servers by their addresses, and nothing else. */
export const localEgress: Layer.Layer<Egress.Egress, KeelsonError.ConfigurationError> = NodeEgress.layer({
  allowLocalhost: true,
  proxy: "none"
})

/** A failure comes with the first request, however slow the machine, and nothing is fetched before it is asked for. */
export const plain = { maxAttempts: 1, attemptTimeout: "1 minute", deadline: "1 minute", prefetch: false } as const

export type Cache = JwksCache.JwksCache["Service"]

/** A cache in the scope, over an origin. What it logs goes nowhere. */
export const cacheAt = (
  { url }: Pick<KeyOrigin, "url">,
  options: Partial<JwksOptions.Options> = {},
  egress: Layer.Layer<Egress.Egress, KeelsonError.ConfigurationError> = localEgress
): Effect.Effect<Cache, KeelsonError.ConfigurationError | KeelsonError.NetworkError, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.provide(JwksCache.layer({ issuer, url, ...plain, ...options }), egress)),
    (context) => Context.get(context, JwksCache.JwksCache)
  ).pipe(Effect.provide(Logger.layer([])))

/** Moves time forward at once, on both clocks: who sleeps until then wakes. */
export type Move = (by: Duration.Input) => Effect.Effect<void>

/** Timers take no more than this, and are set again. */
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
