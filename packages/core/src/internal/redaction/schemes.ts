import { REDACTED } from "./limits.ts"
import { isHarmlessWord } from "./sensitivity.ts"

const scheme = new RegExp(
  "(?<![A-Za-z0-9])(bearer|dpop|gnap|ssws|basic|negotiate|ntlm)" +
    "((?:[ \\t]|\\r?\\n[ \\t]){1,8}(?:\\\\{0,3}[\"'`(<])?)([^\\s\"'`<>&]+)",
  "gi"
)
const withParameters = new RegExp(
  "(?<![A-Za-z0-9])((?:digest|hawk|scram-sha-\\d{1,3}|aws4-hmac-sha256)[ \\t]+(?=[\\w-]{1,32}[ \\t]*=)" +
    "|oauth[ \\t]+(?=oauth_|realm)|signature[ \\t]+(?=keyid))[^\\r\\n]*",
  "gi"
)
const words = new Set(
  (
    "token tokens auth authentication authorization authenticated scheme schemes credential credentials " +
    "challenge challenges header headers prefix or and proof proofs nonce nonces bound binding key keys " +
    "keyword format value values type method methods access usage requires login user users realm oauth " +
    "oauth2 jwt jwts http https setup example config configuration retry retries check checks tests test " +
    "request requests response responses client clients server"
  ).split(" ")
)
const challenge = /^(?:realm|error|error_description|error_uri|scope|algs|resource_metadata|charset|title)=/i
const base64 = /^[A-Za-z0-9+/_-]{4,}={0,2}$/

/** The end of a value without the punctuation of the text around it, of which at most 8 characters are removed. */
export const trimmedEnd = (text: string, start: number, end: number): number => {
  const stop = Math.max(start, end - 8)
  while (end > stop && ";,.:)]}'`\\>".includes(text[end - 1]!) && !text.endsWith(REDACTED, end)) end--
  return end
}

const isCredential = (name: string, value: string): boolean => {
  const word = value.toLowerCase()
  if (words.has(word) || isHarmlessWord(word) || isScheme(word) || challenge.test(value)) return false
  if (/^(?:bearer|dpop|gnap|ssws)$/i.test(name)) return /[A-Za-z0-9]/.test(value)
  return base64.test(value) && (value.length >= 24 || /\d|=|[a-z][A-Z]/.test(value))
}

/** Whether a text is the name of an authentication scheme, such as `Basic`. */
export const isScheme = (text: string): boolean =>
  /^(?:bearer|dpop|gnap|ssws|basic|negotiate|ntlm|digest|hawk|oauth|mac|token|apikey|aws4-hmac-sha256)$/i.test(text)

/** Redacts the credentials of an authentication scheme anywhere in a text; the scheme stays. */
export const schemes = (text: string): string => {
  let out = ""
  let from = 0
  scheme.lastIndex = 0
  for (let found = scheme.exec(text); found !== null; found = scheme.exec(text)) {
    const [, name = "", space = "", value = ""] = found
    const start = found.index + name.length + space.length
    const stop = trimmedEnd(text, start, start + value.length)
    if (isCredential(name, text.slice(start, stop))) {
      out += text.slice(from, start) + REDACTED
      from = stop
      scheme.lastIndex = from
    } else {
      scheme.lastIndex = found.index + name.length
    }
  }
  return out + text.slice(from)
}

/** Redacts credentials that are parameters, to the end of the line. */
export const parameters = (text: string): string => text.replaceAll(withParameters, `$1${REDACTED}`)
