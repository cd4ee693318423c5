/** The path of an object in a request, as S3 expects and signs it. */

/** Characters that `encodeURIComponent` keeps and S3 encodes. */
const kept = /[!'()*]/g

const hex: Readonly<Record<string, string>> = { "!": "%21", "'": "%27", "(": "%28", ")": "%29", "*": "%2A" }

/** What needs no encoding at all: most keys. */
const plain = /^[\w./~-]*$/

/** The most bytes of a key (AWS, "Naming Amazon S3 objects"). */
const maxBytes = 1024

/**
 * Encodes a key: every byte of its UTF-8 form but A-Z, a-z, 0-9, `-`, `.`, `_`, `~` and `/`. Nothing is normalized: `a//b`, `./a` and
 * `../a` keep their form. Returns `undefined` for what is no key: an empty one, which would name the bucket, one that is longer than
 * 1024 bytes, one with a NUL, or one that is not well-formed Unicode.
 */
export const encodeKey = (key: string): string | undefined => {
  if (key.length === 0 || key.length > maxBytes) return undefined
  if (plain.test(key)) return key
  if (!key.isWellFormed() || key.includes("\0")) return undefined
  const encoded = encodeURIComponent(key).replace(kept, (char) => hex[char] ?? char).replaceAll("%2F", "/")
  return encoded.length > maxBytes && bytesIn(encoded) > maxBytes ? undefined : encoded
}

/** The bytes that a percent-encoded text stands for. */
const bytesIn = (encoded: string): number => encoded.length - 2 * (encoded.split("%").length - 1)
