/** A longer field is not read. */
const maxLength = 2_048

/** Splits at a separator outside of quoted strings; `undefined` if a string has no end. */
const split = (text: string, separator: string): ReadonlyArray<string> | undefined => {
  const parts: Array<string> = []
  let isQuoted = false
  let from = 0
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === "\\" && isQuoted) at++
    else if (char === "\"") isQuoted = !isQuoted
    else if (char === separator && !isQuoted) {
      parts.push(text.slice(from, at).trim())
      from = at + 1
    }
  }
  parts.push(text.slice(from).trim())
  return isQuoted ? undefined : parts
}

interface Item {
  readonly name: string
  readonly parameters: ReadonlyMap<string, string>
}

/** An item is a string, or a token as in drafts before 09. */
const itemName = /^(?:"(?:[^"\\]|\\.)*"|[a-z*][\w!#$%&'*+.^`|~:/-]*)$/i

const itemOf = (text: string): Item | undefined => {
  const [name = "", ...rest] = split(text, ";") ?? []
  if (!itemName.test(name)) return undefined
  const parameters = new Map<string, string>()
  for (const parameter of rest) {
    const [key = "", ...value] = parameter.split("=")
    parameters.set(key, value.join("="))
  }
  return { name, parameters }
}

/** The items of a list; none if any of them is malformed, since such a field is ignored. */
const itemsOf = (field: string | undefined): ReadonlyArray<Item> => {
  if (field === undefined || field.length > maxLength) return []
  const items = (split(field, ",") ?? [""]).map(itemOf)
  return items.every((item) => item !== undefined) ? items : []
}

const integer = (value: string | undefined): number | undefined =>
  value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined

/** The form of draft 07: `limit=100, remaining=0, reset=5`. */
const ofDraft07 = (field: string): number | undefined => {
  if (field.length > maxLength) return undefined
  const members = new Map(
    field.split(",").map((part) => {
      const [key = "", value = ""] = part.split("=")
      return [key.trim(), value.trim()]
    })
  )
  return integer(members.get("remaining")) === 0 ? integer(members.get("reset")) : undefined
}

/**
 * The seconds until the policies of which nothing remains have quota again; `undefined` if something remains of each. A
 * policy without a time to wait (`t`) has its window (`w`), which is as long as it can take.
 *
 * @see draft-ietf-httpapi-ratelimit-headers-10
 */
export const exhausted = (limits: string | undefined, policies: string | undefined): number | undefined => {
  if (limits === undefined) return undefined
  const items = itemsOf(limits)
  if (items.length === 0) return ofDraft07(limits)
  const windows = new Map(itemsOf(policies).map(({ name, parameters }) => [name, integer(parameters.get("w"))]))
  const waits = items
    .filter(({ parameters }) => integer(parameters.get("r")) === 0)
    .map(({ name, parameters }) => integer(parameters.get("t")) ?? windows.get(name))
    .filter((wait) => wait !== undefined)
  return waits.length === 0 ? undefined : Math.max(...waits)
}
