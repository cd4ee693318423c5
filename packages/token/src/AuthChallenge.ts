/**
 * Reads the challenges of a response: the header `WWW-Authenticate`, which may have several, with parameters in quotes.
 *
 * @see RFC 9110, 11.2 and 11.6.1
 */

/** A challenge to authenticate. */
export interface AuthChallenge {
  /** The authentication scheme in lower case, such as `bearer`. */
  readonly scheme: string
  /** The parameters by their names in lower case, without quotes and escapes. */
  readonly parameters: ReadonlyMap<string, string>
  /** The data of a scheme without parameters, such as `Negotiate`. */
  readonly token68: string | undefined
}

/** Upper bound of a header's characters. */
const maxLength = 8_192

const token = String.raw`[!#$%&'*+.^_\`|~\w-]+`
/** The text between quotes: a quotation mark and a backslash are escaped. */
const quotedText = String.raw`(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*`
/** An element of the list ends at a comma or at the end of the header. */
const end = String.raw`(?=[ \t]*(?:,|$))`

const separator = /[ \t,]*/y
const parameter = new RegExp(String.raw`(${token})[ \t]*=[ \t]*(?:(${token})|"(${quotedText})")${end}`, "y")
const scheme = new RegExp(String.raw`(${token})(?:${end}| +)`, "y")
const data = new RegExp(String.raw`[\w.~+/-]+=*${end}`, "y")

interface Draft {
  readonly scheme: string
  readonly parameters: Map<string, string>
  token68: string | undefined
}

/** Reads what `pattern` matches at a place of the header. */
const at = (pattern: RegExp, header: string, index: number): RegExpExecArray | null => {
  pattern.lastIndex = index
  return pattern.exec(header)
}

/** Adds a parameter. A challenge has each name once (RFC 9110, 11.2), and no parameters beside `token68`. */
const addParameter = (draft: Draft | undefined, [, name = "", word, text = ""]: RegExpExecArray): boolean => {
  const key = name.toLowerCase()
  if (draft === undefined || draft.token68 !== undefined || draft.parameters.has(key)) return false
  draft.parameters.set(key, word ?? text.replaceAll(/\\(.)/g, "$1"))
  return true
}

/**
 * Returns the challenges of a header, in their order. Returns `undefined` for a header that is malformed, names a parameter of a
 * challenge twice, or has more than 8192 characters: what it means is ambiguous, and nothing of it is used.
 *
 * **Example** (Two challenges in one header)
 *
 * ```ts import.meta.vitest
 * import { AuthChallenge } from "@keelson/token"
 *
 * const header = "Basic realm=\"a, b\", Bearer error=\"insufficient_scope\", scope=\"files:write\""
 * const challenges = AuthChallenge.parse(header) ?? []
 * challenges.map(({ scheme }) => scheme) // => ["basic", "bearer"]
 * challenges[1]?.parameters.get("scope") // => "files:write"
 * ```
 */
export const parse = (header: string): ReadonlyArray<AuthChallenge> | undefined => {
  if (header.length > maxLength) return undefined
  const challenges: Array<Draft> = []
  let index = at(separator, header, 0)?.[0].length ?? 0
  while (index < header.length) {
    const own = at(parameter, header, index)
    const name = own === null ? at(scheme, header, index) : null
    if (own !== null) {
      if (!addParameter(challenges.at(-1), own)) return undefined
      index += own[0].length
    } else if (name === null) {
      return undefined
    } else {
      const draft: Draft = { scheme: (name[1] ?? "").toLowerCase(), parameters: new Map(), token68: undefined }
      challenges.push(draft)
      index += name[0].length
      // After a scheme and a space: its first parameter, or its data. A comma ends the challenge.
      if (name[0].endsWith(" ") && header[index] !== "," && index < header.length) {
        const first = at(parameter, header, index) ?? at(data, header, index)
        if (first === null) return undefined
        if (first[1] === undefined) draft.token68 = first[0]
        else addParameter(draft, first)
        index += first[0].length
      }
    }
    index += at(separator, header, index)?.[0].length ?? 0
  }
  return challenges.length === 0 ? undefined : challenges
}
