/**
 * Redaction of free text before it reaches an error, a log or a span, in addition to allowlisted error fields. Each secret
 * becomes `[REDACTED]`; the name before it stays.
 *
 * It finds secrets by their form and by the names around them. It cannot recognize a secret that looks like an ordinary word,
 * so applications must not log secrets themselves.
 */
import type * as Cause from "effect/Cause"
import type * as Logger from "effect/Logger"
import type * as Schema from "effect/Schema"
import { redactError } from "./internal/redaction/error.ts"
import { redactHeaders } from "./internal/redaction/headers.ts"
import { redactValue } from "./internal/redaction/json.ts"
import { redactCause, redactLogger } from "./internal/redaction/logger.ts"
import { redactName, redactText } from "./internal/redaction/text.ts"
import { redactUrl } from "./internal/redaction/url.ts"

/**
 * Redacts a text: tokens and keys by their form, credentials of an authentication scheme, values of sensitive names in any
 * common notation, user and password of URLs, private keys.
 *
 * Takes linear time. A text longer than 65,536 UTF-16 units is first cut at white space and ends in `[TRUNCATED]`; so does a
 * result that would be longer. Applying it twice changes nothing.
 *
 * **Example** (A password in a URL)
 *
 * ```ts import.meta.vitest
 * import * as Redaction from "@keelson/core/Redaction"
 *
 * Redaction.text("connect to https://user:hunter2@db.internal/") // => "connect to https://[REDACTED]@db.internal/"
 * ```
 */
export const text = (input: string): string => redactText(input)

/**
 * Redacts a name, such as the key of an object, a path or a subject: as `text`, but words that only look random stay, since
 * many names are random. A result above `limit` (2,048 UTF-16 units) is cut and ends in `[TRUNCATED]`.
 */
export const name = (input: string, limit = 2_048): string => redactName(input, limit)

/**
 * Redacts a URL. Origin, path and names of parameters stay. The values of parameters and path segments that look like tokens
 * become `[REDACTED]`; user, password and fragment are removed.
 *
 * At most 64 parameters and 64 segments. Text that is neither a URL nor a path from `/` passes through `text`.
 */
export const url = (input: string | URL): string => redactUrl(input)

/**
 * Redacts headers. Names stay. Values stay for an allowlist of headers: those about content, caching, rates and time,
 * `server`, `user-agent`, `x-request-id` and `traceparent`. All other values become `[REDACTED]`.
 */
export const headers = (record: Readonly<Record<string, unknown>>): Record<string, string> =>
  redactHeaders(Object.entries(record))

/**
 * Copies any value as redacted JSON. Members with the name of a secret become `[REDACTED]`. Never throws.
 *
 * At most 8 levels, 256 members each, 8,192 units a string and about 65,536 in all; `[TRUNCATED]` replaces the rest,
 * `[CIRCULAR]` an object within itself, `[UNREADABLE]` a member that throws. Errors show name and message; a `Redacted` is
 * `<redacted>`, a `Map` a list of pairs, bytes their number, a `bigint` its digits. `undefined` members are removed.
 */
export const value = (u: unknown): Schema.Json => redactValue(u)

/**
 * A plain `Error` with the redacted name, message and stack of any error or thrown value, its `cause` to 8 levels and the
 * `errors` of an `AggregateError`, 64 errors in all. All other members of the original are dropped. Never throws.
 */
export const error = (u: unknown): Error => redactError(u)

/** The redacted text of a cause: every failure and defect with their causes and spans. */
export const cause = (self: Cause.Cause<unknown>): string => redactCause(self)

/**
 * A logger that receives redacted messages, annotations, labels of spans, and causes.
 *
 * Strings of a message pass through `text`, errors through `error`, everything else through `value`. Other data that a logger
 * reads from the fiber, such as the tracing span, is not changed.
 */
export const logger = <Output>(self: Logger.Logger<unknown, Output>): Logger.Logger<unknown, Output> =>
  redactLogger(self)
