import * as ErrorCode from "@keelson/core/ErrorCode"
import { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import type { Forbidden, HttpSecurityError } from "../../HttpSecurityError.ts"
import type * as TokenError from "../../TokenError.ts"
import { bindingCodes, type RequestRejection } from "../validation/reasonCodes.ts"
import type { ProtectionSpace } from "./challenge.ts"
import {
  denied,
  nonceRequired,
  otherOrigin,
  requestInvalid,
  scopesMissing,
  tokenMissing,
  tokenRejected
} from "./rejections.ts"
import type { RequestProblem } from "./requestToken.ts"

/** Observes the rejections of an API. */
export interface RejectionObserver {
  readonly count: (name: RequestRejection) => void
  /** What the policy expected instead, for a rejection of its validator. Only called where the log is written. */
  readonly explain: (reason: TokenError.Reason, token: string) => Readonly<Record<string, string>>
}

/** An error, as the effect that fails with it. */
type Rejection<E = HttpSecurityError> = Effect.Effect<never, E>

/** Upper bound of the rejections that are kept for combinations of scopes. */
const maxScopes = 1000

/**
 * Rejects the callers of one API. Each rejection is one error, made once for each reason: rejecting a caller creates no error,
 * and neither a log line nor a span attribute if these are off. The log level is `Debug`, since any client can cause the line.
 */
export class Rejector implements ProtectionSpace {
  readonly realm: string
  readonly resourceMetadata: string | undefined
  readonly scopes: ProtectionSpace["scopes"]
  readonly broader: ProtectionSpace["broader"]
  readonly schemes: ProtectionSpace["schemes"]
  readonly algorithms: ProtectionSpace["algorithms"]
  readonly #observer: RejectionObserver | undefined
  readonly #ofRequests = new Map<RequestProblem, Rejection>()
  readonly #ofTokens = new WeakMap<TokenError.TokenError, HttpSecurityError>()
  readonly #ofScopes = new Map<string, Rejection<Forbidden>>()
  #missing: Rejection | undefined
  #otherOrigin: Rejection | undefined
  #denied: Rejection<Forbidden> | undefined
  #ofNonce: { readonly nonce: string; readonly error: HttpSecurityError } | undefined

  constructor(
    { algorithms, broader, realm, resourceMetadata, schemes, scopes }: ProtectionSpace,
    observer?: RejectionObserver
  ) {
    this.realm = realm
    this.resourceMetadata = resourceMetadata
    this.scopes = scopes
    this.broader = broader
    this.schemes = schemes
    this.algorithms = algorithms
    this.#observer = observer
  }

  /** The request has no token. */
  get tokenMissing(): Rejection {
    return this.#missing ??= this.#make("TokenMissing", () => tokenMissing(this))
  }
  /** A page of another origin sent the cookie. */
  get otherOrigin(): Rejection {
    return this.#otherOrigin ??= this.#make("OtherOrigin", () => otherOrigin(this))
  }
  /** The caller is not allowed to do this. */
  get denied(): Rejection<Forbidden> {
    return this.#denied ??= this.#make("CallerDenied", () => denied(this))
  }
  /** The request sends its token in a way that is not allowed. */
  requestInvalid(problem: RequestProblem): Rejection {
    const existing = this.#ofRequests.get(problem)
    if (existing !== undefined) return existing
    const rejection = this.#make(problem.name, () => requestInvalid(this, problem.description))
    this.#ofRequests.set(problem, rejection)
    return rejection
  }
  /** The token lacks scopes. */
  scopesMissing(scopes: ReadonlyArray<string>): Rejection<Forbidden> {
    const key = scopes.join(" ")
    const existing = this.#ofScopes.get(key)
    if (existing !== undefined) return existing
    const rejection = this.#make("ScopesMissing", () => scopesMissing(this, scopes))
    if (this.#ofScopes.size < maxScopes) this.#ofScopes.set(key, rejection)
    return rejection
  }
  /**
   * The validator rejected the token, or the caller does not prove its key.
   *
   * - `nonce`: for a proof without a current nonce, the one that the next proof needs.
   */
  tokenRejected(cause: TokenError.TokenError, token: string, nonce?: string): Rejection {
    const error = nonce === undefined || cause.reason._tag !== "ProofNonceRequired"
      ? this.#errorOf(cause)
      : this.#errorOfNonce(cause, nonce)
    return this.#reject(cause.reason._tag, error, cause.code, () => ({
      ...(cause.reason._tag in bindingCodes ? { detail: cause.message } : undefined),
      ...this.#observer?.explain(cause.reason, token)
    }))
  }

  /** Made once for each nonce, which changes every few minutes. */
  #errorOfNonce(cause: TokenError.TokenError, nonce: string): HttpSecurityError {
    if (this.#ofNonce?.nonce === nonce) return this.#ofNonce.error
    const error = SharedError.make(() => nonceRequired(this, cause, nonce))
    this.#ofNonce = { nonce, error }
    return error
  }

  #errorOf(cause: TokenError.TokenError): HttpSecurityError {
    const existing = this.#ofTokens.get(cause)
    if (existing !== undefined) return existing
    const error = SharedError.make(() => tokenRejected(this, cause))
    this.#ofTokens.set(cause, error)
    return error
  }
  #make<E extends HttpSecurityError>(name: RequestRejection, create: () => E): Rejection<E> {
    const error = SharedError.make(create)
    return this.#reject(name, error, error.code, () => ({}))
  }
  /** The span and the log have the code of the cause, the response has that of the error. */
  #reject<E extends HttpSecurityError>(
    name: RequestRejection,
    error: E,
    code: ErrorCode.ErrorCode,
    annotations: () => Readonly<Record<string, string>>
  ): Rejection<E> {
    const failure = Exit.fail(error)
    return Effect.withFiber((fiber): Rejection<E> => {
      this.#observer?.count(name)
      fiber.getRef(RequestObserver)?.rejected(code, fiber.context)
      const { minimumLogLevel, span } = fiber.cache
      const { id } = ErrorCode.codeInfo[code]
      if (span?._tag === "Span" && span.status._tag !== "Ended") span.attribute("keelson.error_code", id)
      if (LogLevel.isGreaterThan(minimumLogLevel, "Debug")) return failure
      return Effect.andThen(
        Effect.annotateLogs(Effect.logDebug(`Request rejected: ${name}`), {
          error_code: id,
          error_name: code,
          ...annotations()
        }),
        failure
      )
    })
  }
}

/** The rejector of a principal's API: its own, or one that counts nothing, for a principal made in a test. */
export const rejectorOf = (space: ProtectionSpace): Rejector => space instanceof Rejector ? space : new Rejector(space)
