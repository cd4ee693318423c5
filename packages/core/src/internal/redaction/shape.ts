const classOf = (code: number): number =>
  code >= 97 && code <= 122 ? 1 : code >= 65 && code <= 90 ? 2 : code >= 48 && code <= 57 ? 4 : 0

/** The kinds of characters in a text (1 lower, 2 upper, 4 digits), and how often neighbours differ in kind. */
const profile = (text: string): { readonly kinds: number; readonly changes: number; readonly letters: number } => {
  let kinds = 0
  let changes = 0
  let letters = 0
  let last = 0
  for (let i = 0; i < text.length && i < 512; i++) {
    const kind = classOf(text.charCodeAt(i))
    if (kind === 0) continue
    letters++
    kinds |= kind
    if (last !== 0 && kind !== last) changes++
    last = kind
  }
  return { kinds, changes, letters }
}

/** Whether a text changes between lower case, upper case and digits more often than words do: random base64 at 0.6 of its places. */
export const isScrambled = (text: string): boolean => {
  const { changes, kinds, letters } = profile(text)
  return kinds === 7 && changes >= letters * 0.38
}

const constant = /^[A-Z][A-Z0-9]{1,31}(?:[_-][A-Z0-9]{1,32}){0,8}$/
const identifier = /^[A-Za-z]{2,32}\d{0,2}(?:[ _.:/-][A-Za-z]{2,32}\d{0,2}){0,8}$/

/** Whether a text may be random: 8 or more letters and digits; or 6 to 8, or at least 16, digits. No word or constant. */
export const isOpaque = (text: string): boolean => {
  const value = text.slice(0, 512)
  if (/^\d+$/.test(value)) return value.length >= 16 || (value.length >= 6 && value.length <= 8)
  if (value.length < 8) return false
  const { changes, kinds, letters } = profile(value)
  if (kinds === 3) return value.length >= 16 && changes >= letters * 0.38
  if ((kinds & 4) === 0 || kinds === 4) return false
  return !constant.test(value) && !identifier.test(value)
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether a path segment looks like a token: 20 or more characters with a part unlike those of a slug, file name or UUID. */
export const isTokenSegment = (segment: string): boolean =>
  segment.length >= 20 && !uuid.test(segment) && (isScrambled(segment) ||
    segment.split(/[-_.~]/).some((part) => part.length >= 16 && /\d/.test(part) && /[A-Za-z]/.test(part)))
