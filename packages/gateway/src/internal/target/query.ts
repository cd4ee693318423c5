/** Names of parameters that change what a store answers, in lower case: a version, and the signature of a URL that was signed before. */
const refused: ReadonlySet<string> = new Set(["versionid", "awsaccesskeyid", "signature"])

const nameOf = (part: string): string => {
  const end = part.indexOf("=")
  const raw = end === -1 ? part : part.slice(0, end)
  if (!raw.includes("%")) return raw.toLowerCase()
  try {
    return decodeURIComponent(raw).toLowerCase()
  } catch {
    return raw.toLowerCase()
  }
}

const changesRead = (part: string): boolean => {
  const name = nameOf(part)
  return refused.has(name) || name.startsWith("response-") || name.startsWith("x-amz-")
}

/** `x-id` is what SDKs add to name the operation; it changes nothing. */
const changesWrite = (part: string): boolean => part !== "" && nameOf(part) !== "x-id"

/**
 * Whether a query asks for something that is not served. No parameter reaches the store: for a read, one that has no meaning there is
 * ignored; for a write, which may have another meaning with any parameter, none is.
 */
export const isRefused = (query: string, isWrite: boolean): boolean =>
  query !== "" && query.split("&").some(isWrite ? changesWrite : changesRead)
