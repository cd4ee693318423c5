import { REDACTED } from "./limits.ts"

const run = /[^\s"<>&?#]+/g
const parameter = /^[\w.\-~[\]%]{1,64}=/
const escapes = /(?:%[0-9A-Fa-f]{2})+/g
const reserved = Array.from("/:@,;$+=[]{}|'()!*")

const decode = (text: string): string =>
  text.replaceAll(escapes, (encoded) => {
    try {
      return decodeURIComponent(encoded)
    } catch {
      return encoded
    }
  })

const escaped = (char: string): string => `%${char.codePointAt(0)!.toString(16).toUpperCase()}`

/** Encodes again, except for characters that were not encoded before. */
const encode = (text: string, original: string): string => {
  try {
    const before = original.toUpperCase()
    const encoded = encodeURIComponent(text).replaceAll(encodeURIComponent(REDACTED), REDACTED)
    return reserved.reduce(
      (out, char) => before.includes(escaped(char)) ? out : out.replaceAll(escaped(char), char),
      encoded
    )
  } catch {
    return REDACTED
  }
}

const cleaned = (found: string, redact: (decoded: string) => string): string => {
  const decoded = decode(found)
  if (decoded === found) return found
  for (const plain of found.includes("+") ? [decoded, decode(found.replaceAll("+", " "))] : [decoded]) {
    const clean = redact(plain)
    if (clean !== plain) return encode(clean, found)
  }
  return found
}

/** Redacts percent-encoded text: decodes it, redacts it, and encodes it again if that changed it. */
export const encodedRuns = (text: string, redact: (decoded: string) => string): string =>
  text.includes("%")
    ? text.replaceAll(run, (found) => {
      if (!found.includes("%")) return found
      const name = parameter.exec(found)?.[0] ?? ""
      return name + cleaned(found.slice(name.length), redact)
    })
    : text
