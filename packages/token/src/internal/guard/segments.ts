/** The segments of a path, in the one form in which they are compared. */
export type Segments = ReadonlyArray<string>

/** An escape that stands for a character which needs none (RFC 3986, 2.3). */
const needless = /%(?:2D|2E|5F|7E|3\d|[46][1-9A-F]|[57][0-9A])/g

/**
 * Escapes in capitals, and none where none is needed: equal paths are equal texts (RFC 3986, 6.2.2). Once, as a server
 * does: what comes out of it is not read again.
 */
const normalized = (segment: string): string =>
  segment.replaceAll(/%[\dA-Fa-f]{2}/g, (escape) => escape.toUpperCase())
    .replaceAll(needless, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)))

/** A `%` with nothing to escape after it: a server may refuse it, or take it as it is. */
const broken = /%(?![\dA-Fa-f]{2})/

/** What ends a segment for some servers, or stands for nothing: a slash of either kind, and control characters. */
const dividing = /[/\\\p{Cc}]/u

/** Escapes are read as often as there are any: a server behind a server reads them again. */
const maxReadings = 8

const read = (text: string): string =>
  text.replaceAll(/%[\dA-Fa-f]{2}/g, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16)))

/** Whether a segment is a step up or none, what some servers take for parameters after `;` left out. */
const isStep = (text: string): boolean => /^\.{1,2}$/.test(text.replace(/;.*$/s, ""))

/** Whether anybody could read a segment as several, or as a step to another place. */
const isAmbiguous = (segment: string): boolean => {
  if (broken.test(segment)) return true
  let text = segment
  for (let reading = 0; reading < maxReadings; reading++) {
    if (dividing.test(text) || isStep(text)) return true
    const next = read(text)
    if (next === text) return false
    text = next
  }
  return true
}

/**
 * The segments of the path of a parsed URL, whose own dots are gone already. `undefined` where a server might read another
 * path: an escaped slash, backslash or dot segment, however often it is escaped.
 */
export const segmentsOf = (pathname: string): Segments | undefined => {
  const segments = pathname.slice(1).split("/")
  return segments.some(isAmbiguous) ? undefined : segments.map(normalized)
}
