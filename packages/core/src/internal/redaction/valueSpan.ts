import { REDACTED } from "./limits.ts"
import type { Name } from "./nameBefore.ts"
import { isScheme, trimmedEnd } from "./schemes.ts"

/** The position of a value, without its quotes and without a scheme before credentials. */
export interface Span {
  readonly start: number
  readonly end: number
  /** Whether the value is in quotes, brackets or a block, and ends with them. */
  readonly delimited: boolean
  /** Whether the value extends to the end of its line. */
  readonly line: boolean
}

const opening = /(?:[A-Za-z_][\w.]{0,31}\(|[bBuUrR]{1,2})?(?:(\\*)(["'`])|(\\+u00(?:22|27)|&quot;|&#3[49];))/iy
const blanks = /[ \t]{0,32}/y
const lines = /\s{1,64}(?=\\*["'`[{])/y
const block = /[|>][+-]?\d?[ \t]*\r?\n[ \t][^\n]*(?:\n[ \t][^\n]*)*/y
const lineEnd = /[\r\n]/g
const tokenEnd = /[\s&"<>]|$/g
const credentials = /([A-Za-z][\w-]{1,31})([ \t]{1,8})/y

const sticky = (pattern: RegExp, text: string, from: number): number => {
  pattern.lastIndex = from
  return pattern.test(text) ? pattern.lastIndex : from
}

const next = (pattern: RegExp, text: string, from: number): number => {
  pattern.lastIndex = from
  return pattern.exec(text)?.index ?? text.length
}

/** The end of a string in quotes that are escaped `level` times with a backslash; the end of the text without one. */
const quoteEnd = (text: string, from: number, quote: string, level: number): number => {
  for (let at = text.indexOf(quote, from); at !== -1; at = text.indexOf(quote, at + 1)) {
    let slashes = 0
    while (at - slashes > from && text[at - slashes - 1] === "\\") slashes++
    if (slashes > level && (slashes - level) % (2 * (level + 1)) !== 0) continue
    if (quote === "'" && level === 0 && at > from && text[at + 1] === "'") {
      at++
      continue
    }
    return at - Math.min(slashes, level)
  }
  return text.length
}

/** The end of the string that begins with an opening quote. */
const closing = (text: string, from: number, open: RegExpExecArray): number => {
  const [, slashes = "", quote, other = ""] = open
  if (quote !== undefined) return quoteEnd(text, from, quote, slashes.length)
  const end = text.indexOf(other, from)
  return end === -1 ? text.length : end
}

/** The end of a bracket with its content, strings skipped; the end of the text without one. */
const bracketEnd = (text: string, from: number): number => {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const here = text[at]!
    if (here === "\"" || (here === "'" && /[\s[{,:(]/.test(text[at - 1]!))) at = quoteEnd(text, at + 1, here, 0)
    else if (here === "[" || here === "{") depth++
    else if ((here === "]" || here === "}") && --depth === 0) return at + 1
  }
  return text.length
}

const toLineEnd = (text: string, from: number, name: Name): Span => {
  const end = next(lineEnd, text, from)
  const enclosed = name.around === "" ? -1 : text.indexOf(name.around, from)
  if (enclosed !== -1 && enclosed < end) return { start: from, end: enclosed, delimited: false, line: true }
  credentials.lastIndex = from
  const scheme = credentials.exec(text)
  if (scheme !== null && /^(?:bearer|dpop|basic|negotiate|ntlm)$/i.test(scheme[1]!)) {
    const stop = next(/[\s"'`\\]/g, text, credentials.lastIndex)
    if (stop < end && /["'`\\]/.test(text[stop]!)) return { start: from, end: stop, delimited: false, line: true }
  }
  return { start: from, end: trimmedEnd(text, from, end), delimited: false, line: true }
}

/** A list or object of secrets, as in `"tokens": ["a"]` or the `oth` of a private key. */
const opensStructure = (text: string, start: number, name: Name): boolean => {
  if (name.kind === "weak" || text.startsWith(REDACTED, start)) return false
  return name.kind === "jwk" ? name.text === "oth" && text[start] === "[" : text[start] === "[" || text[start] === "{"
}

/** Finds values from left to right. It remembers the end of the last unquoted one, so that all calls together take linear time. */
export const spans = (text: string) => {
  let known = { from: 0, end: -1 }
  const unquotedEnd = (from: number): number => {
    if (from < known.from || from > known.end) known = { from, end: next(tokenEnd, text, from) }
    return known.end
  }
  const raw = (after: number, separator: string, name: Name): Span => {
    const start = sticky(lines, text, sticky(blanks, text, after))
    opening.lastIndex = start
    const open = opening.exec(text)
    if (open !== null) {
      const from = opening.lastIndex
      return { start: from, end: closing(text, from, open), delimited: true, line: false }
    }
    if (opensStructure(text, start, name)) {
      return { start, end: bracketEnd(text, start), delimited: true, line: false }
    }
    const colon = separator === ":"
    const blockEnd = colon ? sticky(block, text, start) : start
    if (blockEnd > start) return { start, end: blockEnd, delimited: true, line: false }
    if (colon && (name.kind === "header" || (name.kind === "strong" && name.first && !name.query && !name.quoted))) {
      return toLineEnd(text, start, name)
    }
    return { start, end: unquotedEnd(start), delimited: false, line: false }
  }
  /** The value after a separator that ends at `after`. */
  return (after: number, separator: string, name: Name): Span => {
    const span = raw(after, separator, name)
    if (name.kind === "weak" || name.kind === "jwk") {
      return span.delimited ? span : { ...span, end: trimmedEnd(text, span.start, span.end) }
    }
    credentials.lastIndex = span.start
    const scheme = credentials.exec(text)
    if (scheme !== null && isScheme(scheme[1]!)) {
      const after = credentials.lastIndex
      const end = after < span.end ? span.end : next(tokenEnd, text, after)
      const start = name.kind === "header" || /^(?:bearer|dpop)$/i.test(scheme[1]!) ? after : span.start
      return { ...span, start, end: span.delimited ? end : trimmedEnd(text, after, end) }
    }
    return span.delimited || span.line ? span : { ...span, end: trimmedEnd(text, span.start, span.end) }
  }
}
