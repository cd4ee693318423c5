/** The segments of a path in canonical form, so that equal paths are equal texts. */
export type PathSegments = ReadonlyArray<string>

/** An escape of a character that needs none (RFC 3986, 2.3). */
const needlessEscape = /%(?:2D|2E|5F|7E|3\d|[46][1-9A-F]|[57][0-9A])/g

/**
 * Writes escapes in capitals, and decodes those that are not needed (RFC 3986, 6.2.2). Decodes once, as a server does: the result
 * is not decoded again.
 */
const canonical = (segment: string): string =>
  segment.replaceAll(/%[\dA-Fa-f]{2}/g, (escape) => escape.toUpperCase())
    .replaceAll(needlessEscape, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)))

/** A `%` that starts no escape: servers either refuse it or take it literally. */
const brokenEscape = /%(?![\dA-Fa-f]{2})/

/** Characters that some servers treat as the end of a segment, or drop: slashes, backslashes and control characters. */
const separator = /[/\\\p{Cc}]/u

/** How often escapes are decoded, since each of several servers in a row may decode them once. */
const maxDecodings = 8

const decode = (text: string): string =>
  text.replaceAll(/%[\dA-Fa-f]{2}/g, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)))

/** Whether a segment is `.` or `..`, without what some servers take for parameters after `;`. */
const isDotSegment = (text: string): boolean => /^\.{1,2}$/.test(text.replace(/;.*/s, ""))

/** Whether some server could read a segment as several segments or as a dot segment. */
const isAmbiguous = (segment: string): boolean => {
  if (brokenEscape.test(segment)) return true
  let text = segment
  for (let decoding = 0; decoding < maxDecodings; decoding++) {
    if (separator.test(text) || isDotSegment(text)) return true
    const decoded = decode(text)
    if (decoded === text) return false
    text = decoded
  }
  return true
}

/**
 * The segments of the path of a parsed URL, which has no dot segments left. `undefined` if a server might read another path: the
 * path has an escaped slash, backslash or dot segment, however often it is escaped.
 */
export const segmentsOf = (pathname: string): PathSegments | undefined => {
  const segments = pathname.slice(1).split("/")
  return segments.some(isAmbiguous) ? undefined : segments.map(canonical)
}
