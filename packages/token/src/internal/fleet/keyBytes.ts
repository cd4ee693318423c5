import * as Result from "effect/Result"
import * as base64url from "jose/base64url"

/** The bytes of a key in base64 or base64url, with or without padding; `undefined` if the text is neither. */
export const keyBytes = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  const bare = text.replace(/={1,2}$/, "")
  if (!/^(?:[\w-]{43}|[A-Za-z0-9+/]{43})$/.test(bare)) return undefined
  const decoded = Result.getOrUndefined(
    Result.try(() => base64url.decode(bare.replaceAll("+", "-").replaceAll("/", "_")))
  )
  return decoded?.byteLength === 32 ? new Uint8Array(decoded) : undefined
}

export const expectedKey = "base64 of 32 random bytes, as `openssl rand -base64 32` prints it"

/** Of 32 random bytes, fewer than 20 different ones occur once in more than 10^9 keys. */
const leastDifferent = 20

/** Whether all bytes are visible ASCII, as those of a passphrase. Random bytes are once in 10^13 keys. */
const isText = (bytes: Uint8Array): boolean => bytes.every((byte) => byte >= 0x20 && byte <= 0x7e)

/** Whether consecutive bytes all differ by the same number, as in 0, 1, 2, 3. */
const isRow = (bytes: Uint8Array): boolean =>
  bytes.every((byte, index) => {
    const previous = bytes[index - 1]
    return previous === undefined || ((byte - previous) & 255) === (((bytes[1] ?? 0) - (bytes[0] ?? 0)) & 255)
  })

/** Whether a text is 32 bytes that look random. */
export const isKeyText = (text: string): boolean => {
  const bytes = keyBytes(text)
  return bytes !== undefined && new Set(bytes).size >= leastDifferent && !isText(bytes) && !isRow(bytes)
}
