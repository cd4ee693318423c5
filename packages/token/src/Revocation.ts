/**
 * Whether a token was revoked before its time: a list of tokens, sessions and subjects that are no longer let in.
 *
 * A validator asks on every use of a token, also of one that it remembers. What can't be told is not let in either: a
 * store that fails is a 503.
 */
import { KeelsonError } from "@keelson/core"
import { Context, type DateTime, type Effect } from "effect"
import type { Registered } from "./Claims.ts"

/** What a token is known by. Its text never is: one token may be spelt in more than one way. */
export type Identity = Pick<Registered, "iss" | "jti" | "sid" | "sub" | "iat">

/**
 * What is revoked, at one issuer:
 *
 * - `jti`: one token (RFC 7519, 4.1.7);
 * - `sid`: all tokens of a session (OpenID Connect Back-Channel Logout 1.0, 2.4);
 * - `sub`: all tokens of a subject that were issued (`iat`) up to now, and those that do not say when.
 */
export type Subject =
  | { readonly issuer: string; readonly jti: string }
  | { readonly issuer: string; readonly sid: string }
  | { readonly issuer: string; readonly sub: string }

/**
 * Whether a token was revoked can't be told, or a revocation not be kept, since the store did not do it
 * (`AUTHORIZATION_UNAVAILABLE`): a 503, which says nothing about the token.
 */
export class RevocationUnavailable extends KeelsonError.Coded<"AUTHORIZATION_UNAVAILABLE"> {
  readonly _tag = "RevocationUnavailable"
  override readonly name = "RevocationUnavailable"
  /** `store`: it failed, or did not answer in time; `full`: it holds as many entries as it may. */
  readonly reason: "store" | "full"
  constructor(options: { readonly reason: "store" | "full" }) {
    super({ code: "AUTHORIZATION_UNAVAILABLE", details: { reason: options.reason } })
    this.reason = options.reason
  }
}

/** The list of what is revoked. */
export class Revocation extends Context.Service<Revocation, {
  /** Whether a token is on the list. Fails with `RevocationUnavailable`. */
  readonly isRevoked: (token: Identity) => Effect.Effect<boolean, RevocationUnavailable>
  /**
   * Puts something on the list. It stays there until the tokens meant are past their expiry, with the clock tolerance of
   * the validators: after that it may be forgotten.
   *
   * Fails with `RevocationUnavailable`.
   */
  readonly revoke: (subject: Subject, until: DateTime.Utc) => Effect.Effect<void, RevocationUnavailable>
}>()("@keelson/token/Revocation") {}
