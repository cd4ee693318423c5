/**
 * Reads and writes DER (X.690): the binary form of keys and certificates.
 */

/** A DER element (X.690, 8.1): its tag, and the start and end offsets of its content. */
export interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

/** Tags of DER elements (X.690, 8). `context` is a context-specific constructed tag. */
export const tags = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  context: (number: number): number => 0xa0 + number
} as const
const { integer, sequence } = tags

/** Reads the element at an offset. Returns `undefined` if there is none, or if the element ends after `limit`. */
export const elementAt = (bytes: Uint8Array, offset: number, limit = bytes.length): Element | undefined => {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  // Accepts long-form lengths of one to four bytes: real keys are never larger.
  const count = first < 0x80 ? 0 : first - 0x80
  if (first === 0x80 || count > 4) return undefined
  const start = offset + 2 + count
  const length = count === 0 ? first : bytes.subarray(offset + 2, start).reduce((sum, byte) => sum * 256 + byte, 0)
  return start + length > limit ? undefined : { tag, start, end: start + length }
}

/** The elements between two offsets, one after the other; `undefined` if they do not end where the range ends. */
export const elementsIn = (bytes: Uint8Array, start: number, end: number): ReadonlyArray<Element> | undefined => {
  const elements: Array<Element> = []
  for (let at = start; at < end;) {
    const element = elementAt(bytes, at, end)
    if (element === undefined) return undefined
    elements.push(element)
    at = element.end
  }
  return elements
}

/** The elements of the sequence that the bytes consist of; `undefined` if the bytes are not one sequence. */
export const elementsOf = (bytes: Uint8Array): ReadonlyArray<Element> | undefined => {
  const outer = elementAt(bytes, 0)
  return outer?.tag === sequence && outer.end === bytes.length ? elementsIn(bytes, outer.start, outer.end) : undefined
}

/** Whether the bytes consist of exactly one sequence. */
export const isSequence = (bytes: Uint8Array): boolean => {
  const outer = elementAt(bytes, 0)
  return outer?.tag === sequence && outer.end === bytes.length
}

/** The tags allowed after the first element: integers, bit and octet strings, sequences, and context-specific tags. */
const others: ReadonlySet<number> = new Set([integer, 0x03, 0x04, sequence, 0x81, 0xa0, 0xa1])

/**
 * Whether the bytes have the structure of a key or certificate: a sequence of two or more elements, whose first
 * element is a sequence or an integer, and whose last element ends where the sequence ends. The probability for random
 * bytes is one in 2^35.
 */
export const isKeyLike = (bytes: Uint8Array): boolean => {
  const outer = elementAt(bytes, 0)
  if (outer?.tag !== sequence || outer.end !== bytes.length) return false
  const first = elementAt(bytes, outer.start, outer.end)
  if ((first?.tag !== sequence && first?.tag !== integer) || first.end === outer.end) return false
  for (let at = first.end; at < outer.end;) {
    const element = elementAt(bytes, at, outer.end)
    if (element === undefined || !others.has(element.tag)) return false
    at = element.end
  }
  return true
}

/** An element with this tag and content (X.690, 8.1). */
export const encode = (tag: number, ...contents: ReadonlyArray<Uint8Array>): Uint8Array => {
  const length = contents.reduce((sum, content) => sum + content.length, 0)
  const size = length.toString(16)
  const digits = size.length % 2 === 0 ? size : `0${size}`
  const long = Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16))
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 + long.length, ...long]
  const out = new Uint8Array(head.length + length)
  out.set(head)
  let at = head.length
  for (const content of contents) {
    out.set(content, at)
    at += content.length
  }
  return out
}
