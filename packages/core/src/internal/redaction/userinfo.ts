import { REDACTED } from "./limits.ts"

const slashes = /\/\/|\\\/\\\//g
const authorityEnd = /[\s/\\?#"'<>`,|]/g
const spaceOrQuote = /[\s"'<>`]/g
const at = /@/g

/** Finds the next match after a position. It remembers the last match, so that all calls together take linear time. */
const finder = (text: string, pattern: RegExp) => {
  let index = -1
  let end = -1
  return (from: number): { readonly index: number; readonly end: number } => {
    if (index < from) {
      pattern.lastIndex = from
      const found = pattern.exec(text)
      index = found === null ? text.length : found.index
      end = found === null ? text.length : found.index + found[0].length
    }
    return { index, end }
  }
}

/** The `user:pa` of an address whose password contains a `/`, `?` or `#`: the text after the colon is not a port. */
const isUnfinished = (authority: string): boolean => {
  const colon = /:/.exec(authority)
  return colon !== null && !authority.startsWith("[") &&
    !/^\d{0,5}$/.test(authority.slice(colon.index + colon[0].length))
}

/** Redacts user and password of every URL in a text, also with escaped slashes. The name `git` stays. */
export const userinfo = (text: string): string => {
  const nextEnd = finder(text, authorityEnd)
  const nextSpace = finder(text, spaceOrQuote)
  const nextAt = finder(text, at)
  let out = ""
  let from = 0
  slashes.lastIndex = 0
  for (let found = slashes.exec(text); found !== null; found = slashes.exec(text)) {
    const start = found.index + found[0].length
    let end = nextEnd(start).index
    if (nextAt(start).index > end && isUnfinished(text.slice(start, Math.min(end, start + 320)))) {
      end = nextSpace(start).index
    }
    let sign = -1
    for (let next = nextAt(start); next.index < end; next = nextAt(next.end)) sign = next.index
    if (sign > start && text.slice(start, sign) !== "git") {
      out += text.slice(from, start) + REDACTED
      from = sign
      slashes.lastIndex = sign
    }
  }
  return out + text.slice(from)
}
