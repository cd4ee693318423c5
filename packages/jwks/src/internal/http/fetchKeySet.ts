import type * as Deadline from "@keelson/core/Deadline"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Retry from "@keelson/core/Retry"
import * as RetryPolicy from "@keelson/core/RetryPolicy"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Rules } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import * as KeySet from "../../KeySet.ts"
import type { CachedKeySet, TransitionCause } from "../cache/lifecycle.ts"
import type { ProviderState } from "../cache/providerState.ts"
import { type DocumentAnswer, fetchDocument } from "./fetchDocument.ts"
import { failed, failure, type FetchFailed } from "./fetchFailed.ts"

/** Why and how a fetch is made. */
export interface FetchRequest {
  readonly cause: TransitionCause
  /** Whether caches on the way have to ask the origin, since keys are missing or not believed. */
  readonly noCache: boolean
}

/** What a fetch brought. */
export interface Outcome {
  readonly answer: DocumentAnswer
  readonly url: string
  /** The keys: of the document, or those that are held and were confirmed. */
  readonly held: Pick<CachedKeySet, "body" | "set" | "skipped">
  readonly confirmed: CachedKeySet | undefined
}

/** The egress rules in the options. */
export const rulesOf = ({ allowedHosts, maxBytes, maxRedirects, pins }: JwksOptions): Rules => ({
  allowedHosts,
  maxBytes,
  maxRedirects,
  pins
})

const policyOf = (options: JwksOptions) =>
  RetryPolicy.make({
    maxAttempts: options.maxAttempts,
    initialDelay: options.retryDelay,
    maxDelay: options.maxRetryDelay,
    jitter: options.retryJitter,
    attemptTimeout: options.attemptTimeout,
    deadline: options.deadline
  })

type GaveUp = Retry.RetryExhausted<FetchFailed | Deadline.DeadlineExceeded>

/** The failure of the last attempt: its own, or that it took too long. */
const lastFailure = (error: FetchFailed | GaveUp): FetchFailed => {
  const last = error._tag === "FetchFailed" ? error : error.error
  return last._tag === "FetchFailed" ? last : failed(failure("TIMEOUT", "The provider did not answer in time"))
}

/** The failure of a fetch that ended in no way that was foreseen. */
export const unexpected = (defect: unknown): FetchFailed =>
  failed(
    new KeelsonError.NetworkError({ code: "NETWORK_ERROR", message: "The fetch ended unexpectedly", cause: defect })
  )

/** The keys of a document. A key that `previous` has too is not imported again. */
export const parseKeySet = Effect.fnUntraced(function*(
  engine: ProviderState,
  body: string,
  previous: KeySet.KeySet | undefined
): Effect.fn.Return<KeySet.Parsed, FetchFailed> {
  engine.generation = Math.max(engine.generation, previous?.generation ?? 0)
  const parsed = yield* Effect.mapError(
    KeySet.parse(body, { importKey: engine.parts.importKey, generation: engine.generation + 1, previous }),
    (error) => failed(error)
  )
  engine.generation = Math.max(engine.generation, parsed.set.generation)
  return parsed
})

const attempt = Effect.fnUntraced(
  function*(engine: ProviderState, noCache: boolean): Effect.fn.Return<Outcome, FetchFailed> {
    const { egress, options, origin, snapshots } = engine.parts
    const url = yield* origin.url
    engine.expire(yield* Clock.Clock)
    const { held } = engine.state
    // Validators are of one URL: a document that has moved is fetched whole.
    const known = held?.url === url ? held : undefined
    const answer = yield* fetchDocument({
      egress,
      url,
      rules: rulesOf(options),
      accept: "application/jwk-set+json, application/json;q=0.9",
      held: known?.headers,
      noCache,
      invalid: "JWKS_INVALID"
    }).pipe(Effect.tapError(({ code }) => code === "UPSTREAM_REJECTED" ? Effect.sync(origin.onGone) : Effect.void))
    if (answer._tag === "NotModified") {
      return known === undefined
        ? yield* Effect.fail(failed(failure("JWKS_INVALID", "A 304 came where nothing is held")))
        : { answer, url, held: known, confirmed: known }
    }
    const parsed = yield* parseKeySet(engine, answer.body, held?.set)
    // The document is only kept to be stored.
    return { answer, url, held: { ...parsed, body: snapshots === undefined ? "" : answer.body }, confirmed: undefined }
  }
)

/** Fetches the key set of a provider with all its attempts; what comes is not accepted yet. */
export const fetchKeySet = (engine: ProviderState, { noCache }: FetchRequest): Effect.Effect<Outcome, FetchFailed> =>
  Effect.suspend(() => attempt(engine, noCache)).pipe(
    Effect.catchDefect((defect) => Effect.fail(unexpected(defect))),
    Retry.retry(policyOf(engine.parts.options), { retryAfter: (error: FetchFailed) => error.retryAfter }),
    Effect.mapError(lastFailure)
  )
