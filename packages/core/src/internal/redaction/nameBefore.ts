import { type Sensitivity, sensitivity } from "./sensitivity.ts"

/** A sensitive name before a separator. */
export interface Name {
  readonly kind: Sensitivity
  readonly text: string
  /** Whether the name is in quotes, as in JSON. */
  readonly quoted: boolean
  /** Whether the name is a query or form parameter: it follows `?` or `&`. */
  readonly query: boolean
  /** Whether only indentation, list marks and quotes precede the name on its line. */
  readonly first: boolean
  /** The quote around name and value together, as in `-H "Cookie: a"`; else empty. */
  readonly around: string
}

const window = 160
const closing = /[\s"'`\\\]]/
const inName = /[\w.$\-%\\+*~[]/
const quotes = "\"'`"
const entity = /&(?:quot|#3[49]);$/

const character = (_: string, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))

const decoded = (raw: string, lines: boolean): string => {
  const plain = raw
    .replaceAll(/%(?:25)+/g, "%")
    .replaceAll(/%([0-9a-f]{2})/gi, character)
    .replaceAll(/\\+u00([0-9a-f]{2})/gi, character)
  return lines ? plain.replaceAll(/\\+[nrt]/g, "\n") : plain
}

/** The last name in a text, its start, and whether a quote follows it. */
const last = (plain: string): { readonly name: string; readonly start: number; readonly quoted: boolean } => {
  let end = plain.length
  while (end > 0 && closing.test(plain[end - 1]!)) end--
  const quoted = /["'`]/.test(plain.slice(end))
  const index = /\[\w{0,8}$/.exec(plain.slice(Math.max(0, end - 9), end))
  if (index !== null) end -= index[0].length
  let start = end
  while (start > 0 && /[\w.$-]/.test(plain[start - 1]!)) start--
  return { name: plain.slice(start, end), start, quoted }
}

const isFirst = (text: string, begin: number): boolean => {
  let at = begin
  const stop = Math.max(0, begin - 40)
  while (at > stop && " \t-*>\"'{\\".includes(text[at - 1]!)) at--
  return at === 0 || text[at - 1] === "\n" || text[at - 1] === "\r"
}

/** The name that ends before a separator, if it is sensitive. Looks back 160 characters, not beyond `floor`. */
export const nameBefore = (text: string, floor: number, separator: number): Name | undefined => {
  const low = Math.max(floor, separator - window)
  let end = separator
  while (end > low && closing.test(text[end - 1]!)) end--
  const entities = text[end - 1] === ";" ? entity.exec(text.slice(Math.max(low, end - 6), end)) : null
  if (entities !== null) end -= entities[0].length
  let begin = end
  while (begin > low && inName.test(text[begin - 1]!)) begin--
  const raw = text.slice(begin, end)
  const encoded = /[%\\]/.test(raw)
  for (const lines of encoded ? [true, false] : [false]) {
    const plain = encoded ? decoded(raw, lines) : raw
    const { name, quoted, start } = last(plain)
    const kind = sensitivity(name)
    if (kind === undefined) continue
    const before = (start > 0 ? plain[start - 1] : text[begin - 1]) ?? ""
    const closed = quoted || entities !== null || /["'`]/.test(text.slice(end, separator))
    return {
      kind,
      text: name,
      quoted: closed,
      query: before === "?" || before === "&",
      first: start > 0 ? before === "\n" : isFirst(text, begin),
      around: !closed && before !== "" && quotes.includes(before) ? before : ""
    }
  }
  return undefined
}
