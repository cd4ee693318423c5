/** Reads the members of a public key. */
import * as Result from "effect/Result"
import * as base64url from "jose/base64url"

/**
 * How an accepted public key deviates from RFC 7518, 2 and 6:
 *
 * - `padding`, `alphabet`, `whitespace`: a member is not base64url, but base64 with padding, with `+` or `/`, or with
 *   white space in it;
 * - `unusedBits`: bits are set in the last character that belong to no byte;
 * - `length`: a number has leading zeros, or a coordinate fewer bytes than its curve;
 * - `null`: an optional member is null, which counts as left out.
 *
 * None of these changes the key. The members of a token are parsed strictly.
 */
export type Deviation = "padding" | "alphabet" | "whitespace" | "unusedBits" | "length" | "null"

/** Receives the deviations of a key. */
export type Note = (deviation: Deviation) => void

/** Upper bound of the characters of a member. The longest that is needed is a modulus of 8192 bits, 1366 characters. */
const maxCharacters = 8192

/** Reads an own member of an object: `undefined` for an inherited one. */
export const own = (members: object, name: string): unknown =>
  Object.hasOwn(members, name) ? Reflect.get(members, name) : undefined

/** Reads an optional own member of an object. Some serializers write `null` for a member that they have no value for. */
export const optional = (members: object, name: string, note: Note): unknown => {
  const value = own(members, name)
  if (value !== null) return value
  note("null")
  return undefined
}

/** Decodes base64 or base64url to bytes. `undefined` for any other text. */
export const bytesOf = (text: string, note: Note): Uint8Array | undefined => {
  if (text.length > maxCharacters) return undefined
  const bare = text.replaceAll(/[\t\n\r ]/g, "")
  const [, digits, padding = ""] = /^([A-Za-z0-9+/_-]+)(={0,2})$/.exec(bare) ?? []
  if (digits === undefined || (padding !== "" && bare.length % 4 !== 0)) return undefined
  const canonical = digits.replaceAll("+", "-").replaceAll("/", "_")
  const bytes = Result.getOrUndefined(Result.try(() => base64url.decode(canonical)))
  if (bytes === undefined || digits.length % 4 === 1) return undefined
  if (bare !== text) note("whitespace")
  if (padding !== "") note("padding")
  if (canonical !== digits) note("alphabet")
  if (base64url.encode(bytes) !== canonical) note("unusedBits")
  return bytes
}

/**
 * Decodes an unsigned big-endian number (RFC 7518, 2), without the leading zeros that some libraries write. Zero has no
 * bytes.
 */
export const numberOf = (text: string, note: Note): Uint8Array | undefined => {
  const bytes = bytesOf(text, note)
  if (bytes === undefined) return undefined
  const first = bytes.findIndex((byte) => byte !== 0)
  if (first !== 0) note("length")
  return first === -1 ? bytes.subarray(bytes.length) : bytes.subarray(first)
}

/**
 * Decodes a coordinate of an elliptic curve to `size` bytes (RFC 7518, 6.2.1.2). Some libraries write it as a number,
 * without its leading zeros or with one more.
 */
export const coordinateOf = (text: string, size: number, note: Note): Uint8Array | undefined => {
  const bytes = bytesOf(text, note)
  if (bytes === undefined || bytes.length === size) return bytes
  note("length")
  const first = bytes.findIndex((byte) => byte !== 0)
  const number = first === -1 ? bytes.subarray(bytes.length) : bytes.subarray(first)
  if (number.length > size) return undefined
  const coordinate = new Uint8Array(size)
  coordinate.set(number, size - number.length)
  return coordinate
}

/** Returns the bit length of a number without leading zeros. */
const bitsOf = (bytes: Uint8Array): number => bytes.length * 8 - (Math.clz32(bytes[0] ?? 0) - 24)

/** Whether a modulus without leading zeros has 2048 to 8192 bits. */
export const isModulus = (bytes: Uint8Array): boolean => {
  const bits = bitsOf(bytes)
  return bits >= 2048 && bits <= 8192
}

/**
 * Whether an exponent without leading zeros is odd, at least 3 and at most 32 bits long: WebCrypto rejects longer
 * exponents on some platforms, and they make verification slow. With the exponent 1, a message is its own signature.
 */
export const isExponent = (bytes: Uint8Array): boolean => {
  const bits = bitsOf(bytes)
  return bits >= 2 && bits <= 32 && ((bytes.at(-1) ?? 0) & 1) === 1
}
