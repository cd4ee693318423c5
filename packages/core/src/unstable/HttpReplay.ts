/**
 * Whether an HTTP request may be sent again.
 */
export { isReplayable } from "../internal/retry/httpAttempt.ts"
