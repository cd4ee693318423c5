/** The provider of the model test: its responses, and the checks of each request. */
import { KeelsonError } from "@keelson/core"
import { jwk } from "@keelson/testing/scriptedProvider"
import { DateTime, Effect, Exit, Layer } from "effect"
import { Egress } from "../../src/index.ts"
import {
  attemptLimit,
  type CacheHeaders,
  check,
  type Exchange,
  haveClocksDiverged,
  isReached,
  mayFetchUnknown,
  mayRetry,
  type Model,
  type Outcome,
  passed,
  trusted
} from "./model.ts"
import type { Behavior, Caching, Key } from "./modelCommands.ts"

/** The current state of the provider. */
export interface Upstream {
  keys: ReadonlyArray<Key>
  /** Grows with each publication. */
  version: number
  tags: "both" | "etag" | "lastModified" | "none"
  caching: Caching
  behavior: Behavior
  delay: number
  inFlight: number
}

export const makeUpstream = (): Upstream => ({
  keys: [{ kid: "a", version: 0 }],
  version: 0,
  tags: "etag",
  caching: { says: "nothing" },
  behavior: { is: "up" },
  delay: 0,
  inFlight: 0
})

/** The material distinguishes the versions of a kid. */
export const materialOf = ({ kid, version }: Key): string =>
  Buffer.from(`${kid ?? "none"} ${version}`.padEnd(32, ".")).toString("base64url")

const documentOf = (keys: ReadonlyArray<Key>): string =>
  JSON.stringify({ keys: keys.map((key) => jwk(key.kid, { x: materialOf(key) })) })

const httpDate = (millis: number): string => DateTime.toDateUtc(DateTime.makeUnsafe(millis)).toUTCString()

const cacheHeadersOf = ({ caching, tags, version }: Upstream, wall: number): CacheHeaders => {
  const date = 1000 * Math.floor(wall / 1000)
  return {
    date,
    ...(tags === "both" || tags === "etag" ? { etag: `"${version}"` } : undefined),
    ...(tags === "both" || tags === "lastModified"
      ? { lastModified: httpDate(1_577_836_800_000 + 1000 * version) }
      : undefined),
    ...(caching.says === "no-store" ? { maxAge: 0 } : undefined),
    ...(caching.says === "max-age" ? { maxAge: caching.seconds } : undefined),
    ...(caching.says === "expires" ? { expires: date + 1000 * caching.seconds } : undefined)
  }
}

/** The statement of a 304, which has no body. */
const headersOfNotModified = ({ date, expires, maxAge }: CacheHeaders): CacheHeaders => ({
  date,
  ...(expires === undefined ? undefined : { expires }),
  ...(maxAge === undefined ? undefined : { maxAge })
})

const httpHeadersOf = ({ date, etag, expires, lastModified, maxAge }: CacheHeaders, isNoStore: boolean) => ({
  date: httpDate(date),
  ...(etag === undefined ? undefined : { etag }),
  ...(lastModified === undefined ? undefined : { "last-modified": lastModified }),
  ...(maxAge === undefined ? undefined : { "cache-control": isNoStore ? "no-store" : `max-age=${maxAge}` }),
  ...(expires === undefined ? undefined : { expires: httpDate(expires) })
})

interface Answer {
  readonly outcome: Outcome
  readonly response: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  }
}

/** The response to a request; `undefined` for a refused connection. */
const answerTo = (upstream: Upstream, headers: Readonly<Record<string, string>>, wall: number): Answer => {
  const { caching, behavior } = upstream
  const cacheHeaders = cacheHeadersOf(upstream, wall)
  const isNoStore = caching.says === "no-store"
  const failed = (status: number, body: string, retryAfter?: number): Answer => ({
    // A response that is not a key set is not requested again, nor is an address without one.
    outcome: { is: "failed", isFinal: [200, 304, 404].includes(status), retryAfter: 1000 * (retryAfter ?? 0) },
    response: { status, body, headers: retryAfter === undefined ? {} : { "retry-after": String(retryAfter) } }
  })
  if (behavior.is === "garbage") return failed(200, behavior.body)
  if (behavior.is === "status") return failed(behavior.status, "", behavior.retryAfter)
  const tag = headers["if-none-match"]
  const since = headers["if-modified-since"]
  const isUnchanged = tag === undefined
    ? since !== undefined && since === cacheHeaders.lastModified
    : tag === cacheHeaders.etag
  if (isUnchanged || behavior.is === "always304") {
    const isConditional = tag !== undefined || since !== undefined
    const response = { status: 304, body: "", headers: httpHeadersOf(headersOfNotModified(cacheHeaders), isNoStore) }
    return isConditional
      ? { outcome: { is: "notModified", cacheHeaders: headersOfNotModified(cacheHeaders) }, response }
      : { ...failed(304, ""), response }
  }
  return {
    outcome: { is: "document", keys: upstream.keys, cacheHeaders },
    response: { status: 200, body: documentOf(upstream.keys), headers: httpHeadersOf(cacheHeaders, isNoStore) }
  }
}

/** A fetch begins: something must allow it. */
const checkFetch = (model: Model, noCache: boolean): void => {
  const { currentCall, cached, settings } = model
  const at = model.now()
  if (noCache) {
    const isForced = currentCall?.kind === "refresh"
    check(
      model,
      isForced || (model.waits.unknown() && mayFetchUnknown(model)),
      "L3: a fetch for an unknown key, too soon or for none"
    )
    if (!isForced) {
      model.unknownAt = {
        monotonic: at.monotonic + BigInt(settings.negativeCacheTtl) * 1_000_000n,
        wall: at.wall + settings.negativeCacheTtl
      }
    }
    return
  }
  check(model, mayRetry(model), "L3: a fetch before the failure delay passed")
  const isCold = trusted(model) === undefined &&
    (model.waits.any() || model.hasExpired || (settings.prefetch && model.started === 0))
  const isAgain = model.failures > 0
  const isDue = cached !== undefined && isReached(cached.refresh[0], at)
  const haveDiverged = cached !== undefined && haveClocksDiverged(cached, at) && currentCall?.kind === "lookup"
  check(model, isCold || isAgain || isDue || haveDiverged, "L3: a fetch that nothing asks for")
}

/** One more request of a fetch: another attempt, or a repetition because the result could not be used. */
const checkNextRequest = (model: Model, noCache: boolean): void => {
  const { fetch } = model
  const outcome = fetch?.last.outcome
  if (fetch === undefined || outcome?.is === "failed" || outcome?.is === "interrupted") {
    if (fetch !== undefined) fetch.requests++
    return check(model, (fetch?.requests ?? 0) <= model.settings.maxAttempts, "L3: more attempts than allowed")
  }
  const isInvalidated = fetch.epoch !== model.epoch
  const isGone = outcome?.is === "notModified" && fetch.last.cachedAtStart !== model.cached
  check(model, isInvalidated || isGone, "L5: a good answer was not accepted")
  check(model, !isInvalidated || noCache, "L5: a fetch after an invalidation that caches may answer")
  fetch.requests = 1
  fetch.epoch = model.epoch
  fetch.startedAt = model.now()
}

const onRequest = (model: Model, upstream: Upstream, headers: Readonly<Record<string, string>>): Exchange => {
  const noCache = headers["cache-control"] === "no-cache"
  check(model, !model.isClosed, "L8: a request after the scope was closed")
  check(model, upstream.inFlight === 0, "L1: two requests at once")
  const cacheHeaders = trusted(model)?.cacheHeaders
  check(model, headers["if-none-match"] === cacheHeaders?.etag, "S1-08: not conditional by the tag that is cached")
  check(
    model,
    headers["if-modified-since"] === cacheHeaders?.lastModified,
    "S1-08: not conditional by the date that is cached"
  )
  const exchange: Exchange = { sentAt: model.now(), cachedAtStart: model.cached, outcome: undefined }
  if (model.fetch === undefined) {
    checkFetch(model, noCache)
    model.started++
    model.fetch = { epoch: model.epoch, startedAt: exchange.sentAt, requests: 1, last: exchange }
  } else {
    checkNextRequest(model, noCache)
    model.fetch.last = exchange
  }
  return exchange
}

/** Only a timeout or the end of the scope interrupts a request. */
const onInterrupted = (model: Model, exchange: Exchange): void => {
  const at = model.now()
  exchange.outcome = { is: "interrupted" }
  const isLate = passed(exchange.sentAt, at) >= attemptLimit(model) ||
    (model.fetch !== undefined && passed(model.fetch.startedAt, at) >= 8000)
  check(model, model.isClosed || isLate, "L1: a request was interrupted")
}

const refused = new KeelsonError.NetworkError({ code: "NETWORK_ERROR", message: "The connection was refused" })

/** An egress that reaches the provider. */
export const egressOf = (model: Model, upstream: Upstream): Layer.Layer<Egress.Egress> => {
  const get = ({ headers = {}, url }: Egress.EgressRequest) =>
    Effect.suspend(() => {
      const exchange = onRequest(model, upstream, headers)
      upstream.inFlight++
      const { delay, behavior } = upstream
      const answer = Effect.suspend((): Effect.Effect<Egress.EgressResponse, KeelsonError.NetworkError> => {
        if (behavior.is === "down") {
          exchange.outcome = { is: "failed", isFinal: false, retryAfter: 0 }
          return Effect.fail(refused)
        }
        const { outcome, response } = answerTo({ ...upstream, behavior }, headers, model.now().wall)
        exchange.outcome = outcome
        const body = response.body === "\uFFFF" ? Uint8Array.of(0xff) : new TextEncoder().encode(response.body)
        return Effect.succeed({ ...response, body, url: new URL(url) })
      })
      if (behavior.is === "hanging") return ended(exchange, Effect.never)
      // No network responds synchronously.
      return ended(exchange, delay === 0 ? Effect.andThen(Effect.yieldNow, answer) : Effect.delay(answer, delay))
    })
  const ended = <A, E>(exchange: Exchange, self: Effect.Effect<A, E>) =>
    Effect.onExit(self, (exit) =>
      Effect.sync(() => {
        upstream.inFlight--
        if (Exit.isFailure(exit) && Exit.hasInterrupts(exit)) onInterrupted(model, exchange)
      }))
  return Layer.succeed(Egress.Egress, { check: (to) => Effect.succeed(new URL(to)), get })
}
