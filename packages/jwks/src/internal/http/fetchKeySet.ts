import type * as Deadline from "@keelson/core/Deadline"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Retry from "@keelson/core/Retry"
import * as RetryPolicy from "@keelson/core/RetryPolicy"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Rules } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { CachedKeySet, TransitionCause } from "../cache/lifecycle.ts"
import type { ProviderState } from "../cache/providerState.ts"
import { noteDeviation } from "../keys/deviations.ts"
import * as KeySet from "../keys/keySet.ts"
import { type DocumentResponse, failed, failure, fetchDocument, type FetchFailed } from "./fetchDocument.ts"

/** Why and how a key set is fetched. */
export interface FetchRequest {
  readonly cause: TransitionCause
  /** Whether HTTP caches on the way must revalidate, since keys are missing or suspect. */
  readonly noCache: boolean
}

/** The result of a fetch. */
export interface FetchedKeySet {
  readonly response: DocumentResponse
  readonly url: string
  /** The keys of the document, or the cached ones that a 304 confirmed. */
  readonly keys: Pick<CachedKeySet, "body" | "keySet" | "skipped">
  /** The cached key set that a 304 confirmed. */
  readonly confirmed: CachedKeySet | undefined
}

/** Returns the egress rules in the options. */
export const rulesOf = ({ allowedHosts, maxBytes, maxRedirects, pins }: JwksOptions): Rules => ({
  allowedHosts,
  maxBytes,
  maxRedirects,
  pins
})

const makeRetryPolicy = (
  { attemptTimeout, deadline, maxAttempts, maxRetryDelay, retryDelay, retryJitter }: JwksOptions
) =>
  RetryPolicy.make({
    maxAttempts,
    initialDelay: retryDelay,
    maxDelay: maxRetryDelay,
    jitter: retryJitter,
    attemptTimeout,
    deadline
  })

let last: { readonly key: string; readonly policy: ReturnType<typeof makeRetryPolicy> } | undefined

/** Makes the retry policy from the options. Providers with equal options share one, as most of ten thousand do. */
export const retryPolicyOf = (options: JwksOptions) => {
  const { attemptTimeout, deadline, maxAttempts, maxRetryDelay, retryDelay, retryJitter } = options
  const millis = [attemptTimeout, deadline, maxRetryDelay, retryDelay].map(Duration.toMillis)
  const key = JSON.stringify([maxAttempts, retryJitter, ...millis])
  if (last?.key !== key) last = { key, policy: makeRetryPolicy(options) }
  return last.policy
}

type GaveUp = Retry.RetryExhausted<FetchFailed | Deadline.DeadlineExceeded>

const timedOut = (): FetchFailed => failed(failure("TIMEOUT", "Key set request timed out"))

/** Returns the failure of the last attempt: its error, or `TIMEOUT`. */
const lastFailure = (error: FetchFailed | GaveUp): FetchFailed => {
  const last = error._tag === "FetchFailed" ? error : error.error
  return last._tag === "FetchFailed" ? last : timedOut()
}

/** Converts a defect of a fetch to a failure (`NETWORK_ERROR`). */
export const unexpected = (defect: unknown): FetchFailed =>
  failed(
    new KeelsonError.NetworkError({
      code: "NETWORK_ERROR",
      message: "Key set fetch ended with a defect",
      cause: defect
    })
  )

/** Parses a document. Keys that `previous` contains too are not imported again. */
export const parseKeySet = Effect.fnUntraced(function*(
  state: ProviderState,
  body: string,
  previous: KeySet.KeySet | undefined
): Effect.fn.Return<KeySet.Parsed, FetchFailed> {
  state.generation = Math.max(state.generation, previous?.generation ?? 0)
  const parsed = yield* Effect.mapError(
    KeySet.parse(body, { importKey: state.services.importKey, generation: state.generation + 1, previous }),
    (error) => failed(error)
  )
  state.generation = Math.max(state.generation, parsed.keySet.generation)
  for (const deviation of parsed.deviations) {
    const known = state.deviations ??= new Set()
    yield* noteDeviation(deviation, state.labels, "The key set", known.has(deviation))
    known.add(deviation)
  }
  return parsed
})

const attempt = Effect.fnUntraced(
  function*(state: ProviderState, noCache: boolean): Effect.fn.Return<FetchedKeySet, FetchFailed> {
    const { location, options, services: { egress, snapshots } } = state
    const url = yield* location.url
    state.expire(yield* Clock.Clock)
    const { cached } = state.current
    // Validators belong to one URL: a document that has moved is fetched without them.
    const known = cached?.url === url ? cached : undefined
    const response = yield* fetchDocument({
      egress,
      url,
      rules: rulesOf(options),
      accept: "application/jwk-set+json, application/json;q=0.9",
      cachedHeaders: known?.headers,
      noCache,
      invalid: "JWKS_INVALID"
    }).pipe(
      Effect.tapError(({ code }) => code === "UPSTREAM_REJECTED" ? Effect.sync(() => location.expire()) : Effect.void)
    )
    if (response._tag === "NotModified") {
      return known === undefined
        ? yield* Effect.fail(
          failed(failure("JWKS_INVALID", "Provider responded with status 304 to a request without validators"))
        )
        : { response, url, keys: known, confirmed: known }
    }
    const { keySet, skipped } = yield* parseKeySet(state, response.body, cached?.keySet)
    // The document is kept for snapshots only.
    return {
      response,
      url,
      keys: { keySet, skipped, body: snapshots === undefined ? "" : response.body },
      confirmed: undefined
    }
  }
)

/**
 * Time limit of the first attempt for a provider whose last fetch failed. A provider that still hangs then holds its
 * connection and its permit for a shorter time; the attempts after it have the full limit.
 */
const firstAttempt = Duration.seconds(1)

/** Limits the first of several attempts if the last fetch failed. */
const probing = (state: ProviderState) => {
  let isProbe = state.current.failures > 0 && state.options.maxAttempts > 1
  return <A>(self: Effect.Effect<A, FetchFailed>): Effect.Effect<A, FetchFailed> =>
    Effect.suspend(() => {
      if (!isProbe) return self
      isProbe = false
      return Effect.timeoutOrElse(self, { duration: firstAttempt, orElse: () => Effect.fail(timedOut()) })
    })
}

/** Fetches the key set of a provider, with retries. The result is not accepted yet. */
export const fetchKeySet = (
  state: ProviderState,
  { noCache }: FetchRequest
): Effect.Effect<FetchedKeySet, FetchFailed> =>
  Effect.suspend(() => {
    const probe = probing(state)
    return Effect.suspend(() => attempt(state, noCache)).pipe(
      Effect.catchDefect((defect) => Effect.fail(unexpected(defect))),
      probe,
      Retry.retry(state.retryPolicy, { retryAfter: (error: FetchFailed) => error.retryAfter }),
      Effect.mapError(lastFailure)
    )
  })
