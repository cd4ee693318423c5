import * as ErrorCode from "@keelson/core/ErrorCode"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as SharedError from "@keelson/core/unstable/SharedError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Redacted from "effect/Redacted"
import { BackChannelLogoutError, type Reason } from "../../BackChannelLogoutError.ts"
import type { BackChannelLogoutOptions } from "../../BackChannelLogoutOptions.ts"
import type * as Revocation from "../../Revocation.ts"
import type * as TokenError from "../../TokenError.ts"
import type { TokenValidator } from "../../TokenValidator.ts"
import { checkLogoutToken, endedBy, type LogoutClaims, receipt } from "./logoutToken.ts"

/** What ends sessions. */
export interface LogoutConfig {
  readonly options: BackChannelLogoutOptions
  readonly validator: TokenValidator<LogoutClaims>
  readonly revocation: Revocation.Revocation["Service"]
}

const replayed: Reason = { _tag: "TokenReplayed" }
const unavailable: Reason = { _tag: "RevocationUnavailable" }

/** One reason for each of the validator, which makes most of its reasons once. */
const rejections = new WeakMap<TokenError.Reason, Reason>()

const reasonOf = ({ reason }: TokenError.TokenError): Reason => {
  if (reason._tag === "KeysUnavailable") return reason
  const existing = rejections.get(reason)
  if (existing !== undefined) return existing
  const rejection: Reason = { _tag: "TokenRejected", reason }
  rejections.set(reason, rejection)
  return rejection
}

const failures = new WeakMap<Reason, Exit.Exit<never, BackChannelLogoutError>>()

/** Fails for a reason, with one error for each: anyone can send requests. */
const failWith = (reason: Reason): Exit.Exit<never, BackChannelLogoutError> => {
  const existing = failures.get(reason)
  if (existing !== undefined) return existing
  const failure = Exit.fail(SharedError.make(() => new BackChannelLogoutError(reason)))
  failures.set(reason, failure)
  return failure
}

/** The name of a reason in the log. */
const nameOf = (reason: Reason): string => {
  if (reason._tag === "RequestInvalid") return `${reason._tag} (${reason.problem})`
  return reason._tag === "TokenRejected" ? reason.reason._tag : reason._tag
}

/** Rejects a request: counted, and logged at `Debug`, since anyone can cause the line. */
export const reject = (reason: Reason): Effect.Effect<never, BackChannelLogoutError> =>
  Effect.flatMap(Effect.flip(failWith(reason)), ({ code }) => {
    const { id } = ErrorCode.codeInfo[code]
    return Effect.andThen(
      MetricSeries.increment("logoutRequests", { result: id }),
      Effect.andThen(
        Effect.annotateLogs(Effect.logDebug(`Back-channel logout rejected: ${nameOf(reason)}`), {
          error_code: id,
          error_name: code
        }),
        failWith(reason)
      )
    )
  })

/** Ends sessions for logout tokens, each of which is used once. */
export class Logout {
  readonly #config: LogoutConfig
  /** The tokens that are processed now, so that one that is sent twice at once is used once. */
  readonly #inProgress = new Set<string>()

  constructor(config: LogoutConfig) {
    this.#config = config
  }

  readonly end = (token: string | Redacted.Redacted): Effect.Effect<Revocation.Subject, BackChannelLogoutError> =>
    Effect.flatMap(
      Effect.result(this.#config.validator.validate(token)),
      (validated) =>
        validated._tag === "Failure" ? reject(reasonOf(validated.failure)) : this.#endBy(validated.success.claims)
    )

  #endBy(claims: LogoutClaims): Effect.Effect<Revocation.Subject, BackChannelLogoutError> {
    const reason = checkLogoutToken(claims)
    const subject = endedBy(claims, this.#config.options.ends)
    if (reason !== undefined) return reject(reason)
    if (subject === undefined) return reject({ _tag: "SubjectMissing" })
    return Effect.suspend(() => {
      const key = JSON.stringify([claims.iss, claims.jti])
      if (this.#inProgress.has(key)) return reject(replayed)
      this.#inProgress.add(key)
      return Effect.ensuring(this.#endOnce(claims, subject), Effect.sync(() => this.#inProgress.delete(key)))
    })
  }

  /**
   * Stores the revocation before the receipt: a request that is repeated because its first attempt failed halfway is processed
   * again, and revoking the same again changes nothing.
   */
  #endOnce(
    claims: LogoutClaims,
    subject: Revocation.Subject
  ): Effect.Effect<Revocation.Subject, BackChannelLogoutError> {
    const { options: { tokenLifetime }, revocation } = this.#config
    const received = receipt(claims)
    const stored = Effect.gen(function*() {
      const identity = { iss: received.issuer, jti: received.jti, sid: undefined, sub: undefined, iat: undefined }
      if (yield* revocation.isRevoked(identity)) return false
      yield* revocation.revoke(subject, DateTime.addDuration(yield* DateTime.now, tokenLifetime))
      yield* revocation.revoke(received, DateTime.makeUnsafe(claims.exp * 1000))
      return true
    })
    return Effect.flatMap(Effect.result(stored), (result) => {
      if (result._tag === "Failure") return reject(unavailable)
      if (!result.success) return reject(replayed)
      return Effect.as(MetricSeries.increment("logoutRequests", { result: "ended" }), subject)
    })
  }
}
