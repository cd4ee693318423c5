/** A directive of a `Cache-Control` header: its name in lower case, its value without quotes. */
export interface Directive {
  readonly name: string
  readonly value: string | undefined
}

/**
 * Matches the parts of a header between commas. Commas inside quoted strings do not count; an unclosed quoted string extends to
 * the end of the header.
 */
const members = /(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?$))+/gsu

const quoted = /^"((?:[^"\\]|\\.)*)"$/su

const unquoted = (value: string): string => quoted.exec(value)?.[1]?.replaceAll(/\\(.)/gsu, "$1") ?? value

/** Parses the directives of a `Cache-Control` header, in order (RFC 9111, 5.2). Space around a `=` is tolerated. */
export const parse = (header: string): ReadonlyArray<Directive> =>
  (header.match(members) ?? []).map((member) => {
    const at = member.indexOf("=")
    return at === -1
      ? { name: member.trim().toLowerCase(), value: undefined }
      : { name: member.slice(0, at).trim().toLowerCase(), value: unquoted(member.slice(at + 1).trim()) }
  })

/** The largest number of seconds; larger numbers are reduced to it (RFC 9111, 1.2.2). */
export const maxSeconds = 2 ** 31

/** Parses a number of seconds, which HTTP writes with digits only. Returns `undefined` for anything else. */
export const deltaSeconds = (value: string | undefined): number | undefined =>
  value !== undefined && /^\d+$/u.test(value) ? Math.min(Number(value), maxSeconds) : undefined

/**
 * Returns the number of seconds in a directive, or `undefined` if the directive is absent. Returns zero if the value is invalid
 * or the directive is repeated with different values: such a response counts as stale (RFC 9111, 4.2.1).
 */
export const seconds = (directives: ReadonlyArray<Directive>, name: string): number | undefined => {
  const stated = directives.filter((directive) => directive.name === name)
  const [first, ...others] = new Set(stated.map(({ value }) => deltaSeconds(value) ?? 0))
  return others.length === 0 ? first : 0
}
