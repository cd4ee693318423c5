/** A DER element (X.690, 8.1): its tag, and the start and end offsets of its content. */
interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

const integer = 0x02
const sequence = 0x30

/** Reads the element at an offset. Returns `undefined` if there is none, or if the element ends after `limit`. */
const elementAt = (bytes: Uint8Array, offset: number, limit = bytes.length): Element | undefined => {
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

const wrapped = (tag: number, ...contents: ReadonlyArray<Uint8Array>): Uint8Array => {
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

/** The sequence of the object identifier `rsaEncryption` (1.2.840.113549.1.1.1) and NULL. */
const rsaEncryption = Uint8Array.from([
  0x30,
  0x0d,
  0x06,
  0x09,
  0x2a,
  0x86,
  0x48,
  0x86,
  0xf7,
  0x0d,
  0x01,
  0x01,
  0x01,
  0x05,
  0x00
])

/**
 * Converts an RSAPublicKey to a SubjectPublicKeyInfo, which WebCrypto can import.
 *
 * @see RFC 8017, A.1.1 and RFC 5280, 4.1
 */
export const spkiFromPkcs1 = (pkcs1: Uint8Array): Uint8Array =>
  wrapped(sequence, rsaEncryption, wrapped(0x03, Uint8Array.of(0), pkcs1))
