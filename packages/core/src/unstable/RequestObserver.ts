/**
 * Observes what the security of a server decides about its requests: who calls, and who is rejected.
 */
import * as Context from "effect/Context"
import type * as ErrorCode from "../ErrorCode.ts"

/** Receives the decisions. Both functions return at once and never throw. */
export interface RequestObserver {
  /** The caller of the current request is known: `sub` of its token, else `username`; `undefined` if it has neither. */
  readonly authenticated: (user: string | undefined, context: Context.Context<never>) => void
  /** The caller of the current request was rejected. `code` is the reason. */
  readonly rejected: (code: ErrorCode.ErrorCode, context: Context.Context<never>) => void
}

/** The observer of the current request. `undefined` by default, which costs one lookup. */
export const RequestObserver: Context.Reference<RequestObserver | undefined> = Context.Reference(
  "@keelson/core/RequestObserver",
  { defaultValue: (): RequestObserver | undefined => undefined }
)
