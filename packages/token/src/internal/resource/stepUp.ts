import * as HttpRetry from "@keelson/core/HttpRetry"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as HttpReplay from "@keelson/core/unstable/HttpReplay"
import { after, hasCome, type Instant, now } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Predicate from "effect/Predicate"
import { LRUCache } from "lru-cache"
import type { GuardError, TokenGuard } from "../../TokenGuard.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { maxScopes, tokenChallenge } from "./bearerChallenge.ts"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

/** The errors of a request whose token may be stepped up. */
export type StepUpError = GuardError | TokenProviderError | KeelsonError.ConfigurationError

/** The rules of step-ups. */
export interface StepUpRules {
  /** How often one call may step up. */
  readonly maxStepUps: number
  /** The scopes that may be requested; any if `undefined`. */
  readonly allowedScopes: ReadonlySet<string> | undefined
}

/** How long a set of scopes that the authorization server refused is not requested again, in milliseconds. */
const refusalLifetime = 300_000

/** How many refused sets of scopes are remembered. */
const maxRefusals = 100

/** OAuth errors that mean that the client may not have these scopes (RFC 6749, 5.2; RFC 8707, 2). */
const refusals: ReadonlySet<unknown> = new Set([
  "access_denied",
  "invalid_scope",
  "invalid_target",
  "unauthorized_client"
])

/** Whether the authorization server refused the scopes, rather than being unable to answer: the caller then gets the API's response. */
const isRefusal = (error: TokenProviderError): boolean =>
  Predicate.hasProperty(error, "details") && Predicate.hasProperty(error.details, "error") &&
  refusals.has(error.details.error)

/**
 * The scopes of a client at one resource. They grow by those that its challenges name, so that a token for one operation does not
 * lose the scopes of another (MCP 2026-07-28, "Step-Up Authorization Flow").
 */
export class SteppedScopes {
  readonly #guard: TokenGuard
  readonly #rules: StepUpRules
  readonly #refused = new LRUCache<string, Instant>({ max: maxRefusals })
  readonly #initial: () => ReadonlyArray<string>
  #added: ReadonlyArray<string> = []

  /** `initial` returns the scopes of the guard's own token. */
  constructor(guard: TokenGuard, rules: StepUpRules, initial: () => ReadonlyArray<string>) {
    this.#guard = guard
    this.#rules = rules
    this.#initial = initial
  }
  /** The scopes of the next token. */
  get requested(): ReadonlyArray<string> {
    return [...new Set([...this.#initial(), ...this.#added])]
  }
  /** The guard whose tokens have the scopes of now. */
  get #current(): Effect.Effect<TokenGuard, KeelsonError.ConfigurationError> {
    return this.#added.length === 0
      ? Effect.succeed(this.#guard)
      : this.#guard.scoped({ scope: this.requested.join(" ") })
  }
  /** The scopes to add for a response; `undefined` where a token with more scopes is not asked for, or may not be requested. */
  #lacking(response: Response): ReadonlyArray<string> | undefined {
    if (response.status !== 401 && response.status !== 403) return undefined
    const { requested } = this
    const lacking =
      tokenChallenge(response.headers["www-authenticate"])?.scopes.filter((scope) => !requested.includes(scope)) ?? []
    const { allowedScopes } = this.#rules
    const isAllowed = allowedScopes === undefined || lacking.every((scope) => allowedScopes.has(scope))
    return lacking.length === 0 || !isAllowed || requested.length + lacking.length > maxScopes ? undefined : lacking
  }
  /** Acquires a token with more scopes. `false` if the authorization server refuses it, now or a short while ago. */
  #grow(lacking: ReadonlyArray<string>): Effect.Effect<boolean, TokenProviderError | KeelsonError.ConfigurationError> {
    return Effect.flatMap(Clock.Clock, (clock) => {
      const scope = [...this.requested, ...lacking].toSorted().join(" ")
      const until = this.#refused.get(scope)
      if (until !== undefined && !hasCome(until, clock)) return Effect.succeed(false)
      return this.#guard.scoped({ scope }).pipe(
        Effect.flatMap(({ provider }) => provider.get),
        Effect.map(() => {
          this.#refused.delete(scope)
          this.#added = [...new Set([...this.#added, ...lacking])]
          return true
        }),
        Effect.catch((error) => {
          if (error._tag === "ConfigurationError" || !isRefusal(error)) return Effect.fail(error)
          this.#refused.set(scope, after(now(clock), refusalLifetime))
          return Effect.succeed(false)
        })
      )
    })
  }
  /** Sends a request. If the response asks for more scopes, acquires a token with them and sends the request again. */
  execute(request: Request, stepUps = 0): Effect.Effect<Response, StepUpError> {
    return Effect.flatMap(
      this.#current,
      (guard) =>
        Effect.flatMap(guard.execute(request), (response): Effect.Effect<Response, StepUpError> => {
          const lacking = stepUps < this.#rules.maxStepUps && HttpReplay.isReplayable(request)
            ? this.#lacking(response)
            : undefined
          if (lacking === undefined) return Effect.succeed(response)
          return Effect.flatMap(
            Effect.onError(this.#grow(lacking), () => HttpRetry.discard(response)),
            (isGrown) =>
              isGrown
                ? Effect.andThen(HttpRetry.discard(response), this.execute(request, stepUps + 1))
                : Effect.succeed(response)
          )
        })
    )
  }
}
