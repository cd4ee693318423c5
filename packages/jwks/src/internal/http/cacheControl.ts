/** A directive of a `Cache-Control`: its name in lower case, its value without quotes. */
export interface Directive {
  readonly name: string
  readonly value: string | undefined
}

/** What stands between commas, but for those in a quoted string. One that is not closed reaches to the end. */
const members = /(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?$))+/gsu

const quoted = /^"((?:[^"\\]|\\.)*)"$/su

const unquoted = (value: string): string => quoted.exec(value)?.[1]?.replaceAll(/\\(.)/gsu, "$1") ?? value

/** The directives of a `Cache-Control` in their order (RFC 9111, 5.2). Space around a `=` is tolerated. */
export const parse = (header: string): ReadonlyArray<Directive> =>
  (header.match(members) ?? []).map((member) => {
    const at = member.indexOf("=")
    return at === -1
      ? { name: member.trim().toLowerCase(), value: undefined }
      : { name: member.slice(0, at).trim().toLowerCase(), value: unquoted(member.slice(at + 1).trim()) }
  })

/** The most seconds that count, which stands for all that is more (RFC 9111, 1.2.2). */
export const maxSeconds = 2 ** 31

/** Seconds as HTTP writes them, digits alone; `undefined` for anything else. */
export const deltaSeconds = (value: string | undefined): number | undefined =>
  value !== undefined && /^\d+$/u.test(value) ? Math.min(Number(value), maxSeconds) : undefined

/**
 * The seconds that a directive gives; `undefined` where it is absent. Zero where its value is invalid, or where it
 * stands there with values that differ: such a response is to be taken as stale (RFC 9111, 4.2.1).
 */
export const seconds = (directives: ReadonlyArray<Directive>, name: string): number | undefined => {
  const stated = directives.filter((directive) => directive.name === name)
  const [first, ...others] = new Set(stated.map(({ value }) => deltaSeconds(value) ?? 0))
  return others.length === 0 ? first : 0
}
