/** Replaces every secret. */
export const REDACTED = "[REDACTED]"

/** Marks the end of a truncated text. */
export const TRUNCATED = "[TRUNCATED]"

/** The longest text that is scanned, in UTF-16 units (64 Ki). */
export const maxLength = 65_536

const whitespace = /\s/

/**
 * The beginning of a text, to the last white space within `limit`, so that a secret across the limit is removed as a whole.
 *
 * `undefined` if the text fits. Nothing of a text without white space is kept.
 */
export const head = (text: string, limit: number): string | undefined => {
  if (text.length <= limit) return undefined
  let end = Math.max(0, limit - TRUNCATED.length - 1)
  while (end > 0 && !whitespace.test(text[end]!)) end--
  while (end > 0 && whitespace.test(text[end - 1]!)) end--
  return text.slice(0, end)
}

/** A text with the marker at its end. */
export const marked = (text: string): string => text === "" ? TRUNCATED : `${text} ${TRUNCATED}`
