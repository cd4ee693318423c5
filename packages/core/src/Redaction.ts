/**
 * The second line behind allowlisted error fields: free text passes through here before it reaches an error, a log or
 * a span, so that no token, secret or key survives. Each secret becomes `[REDACTED]`; the name before it stays.
 *
 * It finds secrets by their form and by the names around them. An unmarked word can't be told from others: what
 * applications log themselves is theirs to keep clean.
 */
import type * as Cause from "effect/Cause"
import type * as Logger from "effect/Logger"
import type * as Schema from "effect/Schema"
import { redactError } from "./internal/redaction/error.ts"
import { redactHeaders } from "./internal/redaction/headers.ts"
import { redactValue } from "./internal/redaction/json.ts"
import { redactCause, redactLogger } from "./internal/redaction/logger.ts"
import { redactText } from "./internal/redaction/text.ts"
import { redactUrl } from "./internal/redaction/url.ts"

/**
 * A text without secrets: tokens and keys by their form, credentials of an authentication scheme, values of sensitive
 * names in any common notation, user and password of URLs, private keys.
 *
 * Takes linear time. A longer text than 65,536 UTF-16 units is first cut at white space and ends in `[TRUNCATED]`; so
 * does a result that would be longer. Applying it twice changes nothing.
 */
export const text = (input: string): string => redactText(input)

/**
 * A URL with its origin, path and the names of its parameters. Every parameter's value becomes `[REDACTED]`, and so do
 * segments of the path that look like tokens; user, password and fragment are left out.
 *
 * At most 64 parameters and 64 segments. What is neither a URL nor a path from `/` passes through `text`.
 */
export const url = (input: string | URL): string => redactUrl(input)

/**
 * Headers with the values of an allowlist: what describes the content, caching, rates and time, `server`, `user-agent`,
 * `x-request-id` and `traceparent`. Each other value becomes `[REDACTED]`. Names stay.
 */
export const headers = (record: Readonly<Record<string, unknown>>): Record<string, string> =>
  redactHeaders(Object.entries(record))

/**
 * A copy of anything as JSON without secrets; members with a secret's name become `[REDACTED]`. Never throws.
 *
 * At most 8 levels, 256 members each, 8,192 units a string and about 65,536 in all; `[TRUNCATED]` stands for the rest,
 * `[CIRCULAR]` for an object within itself, `[UNREADABLE]` for what throws. Errors show name and message, a `Redacted`
 * is `<redacted>`, a `Map` a list of pairs, bytes only their number, a `bigint` its digits. `undefined` members go.
 */
export const value = (u: unknown): Schema.Json => redactValue(u)

/**
 * A plain `Error` that shows any error, or anything thrown, without secrets: name, message, stack, `cause` to 8 levels
 * and the `errors` of an `AggregateError`, 64 errors in all. Nothing else of the original is kept. Never throws.
 */
export const error = (u: unknown): Error => redactError(u)

/** The pretty text of a cause without secrets: every failure and defect, with their causes and spans. */
export const cause = (self: Cause.Cause<unknown>): string => redactCause(self)

/**
 * A logger that is given message, annotations, labels of spans, and cause without secrets.
 *
 * A message's strings pass through `text`, its errors through `error`, the rest through `value`. What else a logger
 * reads from the fiber (the tracing span, for one) is not changed.
 */
export const logger = <Output>(self: Logger.Logger<unknown, Output>): Logger.Logger<unknown, Output> =>
  redactLogger(self)
