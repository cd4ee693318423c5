/** One element of DER (X.690, 8.1): its tag, and where its content starts and ends. */
interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

const integer = 0x02
const sequence = 0x30

/** The element at an offset; `undefined` where there is none, or it reaches past `limit`. */
const elementAt = (bytes: Uint8Array, offset: number, limit = bytes.length): Element | undefined => {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  // Long lengths have one to four bytes here: nobody's key is larger.
  const count = first < 0x80 ? 0 : first - 0x80
  if (first === 0x80 || count > 4) return undefined
  const start = offset + 2 + count
  const length = count === 0 ? first : bytes.subarray(offset + 2, start).reduce((sum, byte) => sum * 256 + byte, 0)
  return start + length > limit ? undefined : { tag, start, end: start + length }
}

/** Whether these bytes are one sequence from their first to their last. */
export const isSequence = (bytes: Uint8Array): boolean => {
  const outer = elementAt(bytes, 0)
  return outer?.tag === sequence && outer.end === bytes.length
}

/** What follows the first element: numbers, strings of bits or octets, sequences, and what has a number for its tag. */
const others: ReadonlySet<number> = new Set([integer, 0x03, 0x04, sequence, 0x81, 0xa0, 0xa1])

/**
 * Whether these bytes are built as keys and certificates are: a sequence of two elements or more, of which the first is a
 * sequence or a number, and the last ends with it. Of random bytes one in 2^35 is.
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

/** The sequence of the object identifier rsaEncryption, 1.2.840.113549.1.1.1, and NULL. */
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
 * An RSAPublicKey as a SubjectPublicKeyInfo, which is what WebCrypto imports.
 *
 * @see RFC 8017, A.1.1 and RFC 5280, 4.1
 */
export const spkiFromPkcs1 = (pkcs1: Uint8Array): Uint8Array =>
  wrapped(sequence, rsaEncryption, wrapped(0x03, Uint8Array.of(0), pkcs1))
