/** What the store says about caching a response (RFC 9111, 5.2.2). */
export interface StoreControl {
  /** Whether the response may be stored. */
  readonly isStorable: boolean
  /** How long it is fresh, in seconds; `undefined` if the store does not say. */
  readonly maxAge: number | undefined
}

const unsaid: StoreControl = { isStorable: true, maxAge: undefined }
const unstorable: StoreControl = { isStorable: false, maxAge: undefined }

const directivesOf = (header: string): ReadonlyArray<readonly [name: string, value: string | undefined]> =>
  header.split(",").flatMap((directive) => {
    const [name = "", value] = directive.split("=", 2)
    const trimmed = name.trim().toLowerCase()
    return trimmed === "" ? [] : [[trimmed, value?.trim().replaceAll("\"", "")] as const]
  })

/** A number of seconds; one that is not valid is stale at once (RFC 9111, 4.2.1). */
const seconds = (value: string | undefined): number =>
  value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : 0

/** Reads the `Cache-Control` of a store. A response that would be stale at once is not stored. */
export const readCacheControl = (header: string | undefined): StoreControl => {
  if (header === undefined) return unsaid
  const directives = new Map(directivesOf(header))
  if (["no-store", "no-cache", "private"].some((name) => directives.has(name))) return unstorable
  const name = ["s-maxage", "max-age"].find((one) => directives.has(one))
  if (name === undefined) return unsaid
  const maxAge = seconds(directives.get(name))
  return maxAge === 0 ? unstorable : { isStorable: true, maxAge }
}
