/** A directive of a `Cache-Control` header: its name in lower case, its value without quotes. */
export interface Directive {
  readonly name: string
  readonly value: string | undefined
}

/** Splits at commas outside quoted strings. An unclosed quoted string extends to the end. */
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

/** The upper bound of a number of seconds; greater ones are reduced to it (RFC 9111, 1.2.2). */
export const maxSeconds = 2 ** 31

/** Parses seconds in the form of HTTP, digits only; `undefined` for anything else. */
export const deltaSeconds = (value: string | undefined): number | undefined =>
  value !== undefined && /^\d+$/u.test(value) ? Math.min(Number(value), maxSeconds) : undefined

/**
 * Returns the seconds of a directive, or `undefined` if it is absent. Zero if its value is invalid, or if it is repeated with
 * different values: such a response counts as stale (RFC 9111, 4.2.1).
 */
export const seconds = (directives: ReadonlyArray<Directive>, name: string): number | undefined => {
  const stated = directives.filter((directive) => directive.name === name)
  const [first, ...others] = new Set(stated.map(({ value }) => deltaSeconds(value) ?? 0))
  return others.length === 0 ? first : 0
}
