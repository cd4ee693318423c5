/**
 * How certain it is that the value of a name is secret.
 *
 * - `strong`: secret in every notation.
 * - `header`: like `strong`; a value after a colon extends to the end of the line.
 * - `word`: also an everyday word ("Invalid token: expired"). After a colon without quotes, secret only if the value is not prose.
 * - `count`: a plural, which may name a number ("tokens: 5"). Secret unless the value is a number of at most six digits.
 * - `weak`: mostly harmless ("code: 42", "state: open"). Secret in a query or form, elsewhere only if the value is opaque.
 * - `jwk`: a private member of a JSON Web Key.
 */
export type Sensitivity = "strong" | "header" | "word" | "count" | "weak" | "jwk"

const header = /(?:^|_)(?:authorization|cookie|set_?cookie2?)$/
const word = /^(?:token|secret|signature|assertion|credentials?|jwt|jw[se]|bearer|dpop|auth|pin|otp|session|sid|sig)$/
const weak = /^(?:code|user_?code|key|state|nonce|c_?nonce|request_uri)$/
const jwk = /^(?:d|p|q|dp|dq|qi|k|r|t|oth)$/
const count = /(?:tokens|secrets|passwords|cookies|api_?keys)$/
const strong = new RegExp(
  "(?:token|secret|password|passwd|passphrase|passcode|assertion|credentials?|signature(?:_\\d{1,4})?|jwt" +
    "|id_token_hint|dpop|honeycomb_team|private_mac|(?:store|key)_?pass" +
    "|(?:api|private|secret|access|account|signing|encryption|shared|master|auth|session|hmac|client|app|service" +
    "|deploy|ssh|shared_access|subscription|functions?|application)_?key(?:_?id)?|code_?verifier|device_?code|sess(?:ion)?_?id|saml_?response" +
    "|seed_?phrase|connection_?string|(?:^|_)(?:sid|sig|pwd|pass|otp|totp|pin|auth|session|bearer|cookies?|mnemonic))$"
)

/** Removes differences of case and separators: `X-Api-Key`, `apiKey` and `api_key` are one name. */
const normalize = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/[^A-Za-z0-9]+/g, "_")
    .replaceAll(/^_|_$/g, "")
    .toLowerCase()

/** The sensitivity of the name of a member, parameter, header or variable; `undefined` for a harmless name, or one longer than 128. */
export const sensitivity = (name: string): Sensitivity | undefined => {
  if (name.length === 0 || name.length > 128) return undefined
  const normal = normalize(name)
  if (header.test(normal)) return "header"
  if (word.test(normal)) return "word"
  if (weak.test(normal)) return "weak"
  if (strong.test(normal)) return "strong"
  if (count.test(normal)) return "count"
  return jwk.test(normal) ? "jwk" : undefined
}

const harmless = new Set(
  (
    "must is was are has have had not no none null nil undefined true false required missing invalid " +
    "expired empty expected unexpected mismatch mismatched failed rejected revoked unknown unsupported " +
    "too cannot can't should string number boolean object absent optional malformed denied verification " +
    "validation the a an for of in on at by with"
  ).split(" ")
)

/** Whether a value is a word that messages write after a name, such as `missing`. */
export const isHarmlessWord = (value: string): boolean => harmless.has(value.toLowerCase())

/** Whether a value is a phrase of an error message, such as "must be a string": in lower case and without digits. */
export const isHarmlessPhrase = (value: string): boolean =>
  /^(?:must|is|was|are|should|cannot|can't|expected|required|missing|invalid|has|have)\b[a-z '"`,.()-]{0,160}$/.test(
    value
  )

/** Whether a value contains no information: a literal such as `null`, asterisks, or the mark of another redaction. */
export const isPlaceholder = (value: string): boolean =>
  /^(?:null|undefined|true|false|None|\*+|\[REDACTED\]|<redacted(?::[\w .-]{0,64})?>|REDACTED)$/.test(value)
