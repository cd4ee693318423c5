import { base64url } from "jose"

/** Six bits of each character, by its code; 64 where it is not of the alphabet (RFC 4648, 5). */
const values = new Uint8Array(128).fill(64)
for (const [value, char] of Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_").entries()) {
  values[char.charCodeAt(0)] = value
}

/** Bits of the last character that carry nothing, by the length's remainder: they have to be zero. */
const unused = [0, 0, 0b1111, 0b11]

const alphabet = /^[\w-]*$/

/**
 * Whether a text is canonical base64url: no padding, no white space, no unused bits set. Decoders are lenient about these,
 * and one signature would have many spellings (RFC 7515, 2; RFC 4648, 3.5).
 */
export const isCanonical = (text: string): boolean => {
  const rest = text.length % 4
  if (rest === 1 || !alphabet.test(text)) return false
  return rest === 0 || ((values[text.charCodeAt(text.length - 1)] ?? 0) & (unused[rest] ?? 0)) === 0
}

/** The bytes of a text that is canonical. */
export const decodeCanonical = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(base64url.decode(text))
