import { REDACTED } from "./limits.ts"
import { type Name, nameBefore } from "./nameBefore.ts"
import { isHarmlessPhrase, isHarmlessWord, isPlaceholder } from "./sensitivity.ts"
import { isOpaque } from "./shape.ts"
import { type Span, spans } from "./valueSpan.ts"

const separators = /=>|[:=]=*/g

const isKeyMaterial = (value: string, keySet: boolean): boolean =>
  keySet ? /^[\w-]+={0,2}$/.test(value) : /^[\w-]{16,}={0,2}$/.test(value)

const isSecret = (text: string, name: Name, span: Span, separator: string, keySet: boolean): boolean => {
  const value = text.slice(span.start, Math.min(span.end, span.start + 2_048))
  if (value === "" || isPlaceholder(value)) return false
  if (span.line && isHarmlessPhrase(value)) return false
  const prose = separator === ":" && !span.delimited && !name.quoted && !name.query
  switch (name.kind) {
    case "weak":
      return name.query || text[span.end] === "&" || isOpaque(value)
    case "jwk":
      return span.delimited && (value.startsWith("[") || isKeyMaterial(value, keySet))
    case "word":
      if (!name.query && (isHarmlessWord(value) || /^\W{1,2}$/.test(value))) return false
      return !prose || isOpaque(value) ||
        (name.first && /^[ \t]*(?:[\r\n]|$)/.test(text.slice(span.end, span.end + 64)))
    case "count":
      return !/^\d{1,6}$/.test(value) && !(prose && isHarmlessWord(value))
    default:
      return !(prose && isHarmlessWord(value)) && !(/^(?:OLD)?PWD$/.test(name.text) && value.startsWith("/"))
  }
}

/**
 * Redacts the values of sensitive names: `name=value` in queries, forms and cookies, members of JSON (at any level of
 * escaping) and of inspected objects and maps, headers, and lines of YAML.
 */
export const pairs = (text: string): string => {
  const keySet = text.includes("kty")
  const valueAfter = spans(text)
  let out = ""
  let from = 0
  separators.lastIndex = 0
  for (let found = separators.exec(text); found !== null; found = separators.exec(text)) {
    const after = separators.lastIndex
    const name = nameBefore(text, from, found.index)
    if (name === undefined) continue
    const separator = found[0]
    const span = valueAfter(after, separator, name)
    if (span.end > span.start && isSecret(text, name, span, separator, keySet)) {
      out += text.slice(from, span.start) + REDACTED
      from = span.end
      separators.lastIndex = from
    }
  }
  return out + text.slice(from)
}
