/** An entity tag in a list: quoted, with `W/` if it is weak; or without quotes, as clients of S3 write it. */
const tag = /^[\t ,]*(W\/)?(?:"([\x21\x23-\x7e\x80-\xff]*)"|([\x21\x23-\x2b\x2d-\x7e]+))[\t ]*(?=,|$)/

/** The opaque part of an entity tag, and whether it is weak (RFC 9110, 8.8.3). */
export interface EntityTag {
  readonly opaque: string
  readonly isWeak: boolean
}

/** The entity tag that a response has; `undefined` for none. Text without quotes is a tag as it is. */
export const entityTagOf = (text: string | undefined): EntityTag | undefined => {
  if (text === undefined || text === "") return undefined
  const isWeak = text.startsWith("W/")
  const rest = isWeak ? text.slice(2) : text
  return { isWeak, opaque: rest.length >= 2 && rest.startsWith("\"") && rest.endsWith("\"") ? rest.slice(1, -1) : rest }
}

/** Strong comparison: neither is weak. Weak comparison: the opaque parts are the same (RFC 9110, 8.8.3.2). */
const isSame = (a: EntityTag, b: EntityTag, isStrong: boolean): boolean =>
  a.opaque === b.opaque && !(isStrong && (a.isWeak || b.isWeak))

/**
 * Whether a list of entity tags, or `*`, has the tag of the object. A list that is malformed has none from there on, as the rest
 * cannot be read.
 */
export const listHas = (list: string, current: EntityTag | undefined, isStrong: boolean): boolean => {
  if (list.trim() === "*") return true
  if (current === undefined) return false
  let rest = list
  for (let found = tag.exec(rest); found !== null; found = tag.exec(rest)) {
    const given = { isWeak: found[1] !== undefined, opaque: found[2] ?? found[3] ?? "" }
    if (isSame(given, current, isStrong)) return true
    rest = rest.slice(found[0].length)
  }
  return false
}

/** Whether a single entity tag is the one of the object, compared strongly. */
export const isStrongly = (text: string, current: EntityTag | undefined): boolean => {
  const given = entityTagOf(text)
  return given !== undefined && current !== undefined && isSame(given, current, true)
}
