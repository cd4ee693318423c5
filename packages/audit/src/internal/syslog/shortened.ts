import { escaped } from "../file/lines.ts"

const marker = "[TRUNCATED]"

/** JSON in ASCII without control characters: every other character becomes an escape. */
export const ascii = (json: string): string => json.replaceAll(/[^\x20-\x7e]/g, escaped)

const encoded = (value: unknown): string => ascii(JSON.stringify(value))

/** The first characters of a text that take at most `limit` characters in JSON, and a marker if there are more. */
const cut = (text: string, limit: number): string => {
  if (encoded(text).length - 2 <= limit + marker.length) return text
  let used = 0
  let end = 0
  for (const character of text) {
    used += encoded(character).length - 2
    if (used > limit) break
    end += character.length
  }
  return text.slice(0, end) + marker
}

type Members = ReadonlyArray<readonly [string, unknown]>

const textOf = (members: Members): string => encoded(Object.fromEntries(members))

const cutAll = (members: Members, limit: number): Members =>
  members.map(([name, value]) => [name, typeof value === "string" ? cut(value, limit) : value] as const)

const parsed = (json: string): Members | undefined => {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined
  } catch {
    return undefined
  }
}

/**
 * An entry as JSON of at most `maximum` characters of ASCII. The longest texts are cut, all at the same length, which is as large as
 * possible; each ends in `[TRUNCATED]`. If that does not suffice, the longest members are left out.
 */
export const shortened = (json: string, maximum: number): string => {
  const members = parsed(json)
  if (members === undefined) return encoded({ message: marker })
  let [low, high] = [0, maximum]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (textOf(cutAll(members, middle)).length <= maximum) low = middle
    else high = middle - 1
  }
  const kept = [...cutAll(members, low)]
  while (kept.length > 0 && textOf(kept).length > maximum) {
    const sizes = kept.map((member) => textOf([member]).length)
    kept.splice(sizes.indexOf(Math.max(...sizes)), 1)
  }
  return textOf(kept)
}
