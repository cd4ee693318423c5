import { REDACTED } from "./limits.ts"
import { isHarmlessWord, sensitivity } from "./sensitivity.ts"
import { isOpaque, isScrambled } from "./shape.ts"

const begin = /-{2,5} ?BEGIN[ _][A-Z0-9 _]{0,40}PRIVATE[ _]KEY/gi
const end = /-{2,5} ?END[ _][A-Z0-9 _]{0,60}-{2,5}/gi

/** Private keys in PEM, also on one line with escaped line ends. A key without an end extends to the end of the text. */
export const pem = (text: string): string => {
  let out = ""
  let from = 0
  begin.lastIndex = 0
  for (let found = begin.exec(text); found !== null; found = begin.exec(text)) {
    out += text.slice(from, found.index) + REDACTED
    end.lastIndex = begin.lastIndex
    from = end.test(text) ? end.lastIndex : text.length
    begin.lastIndex = from
  }
  return from === 0 ? text : out + text.slice(from)
}

// `{"`, `{ ` and `{` with a line end, in base64. After a letter, as in publicKeyJwk, the first part must look random.
const jose = /([A-Za-z0-9])?((?:eyJ|eyA|ewo|ew0)[\w-]{5,})(?:[.~][\w-]*)*/g

/** JWS and JWE in compact form, complete, unsecured or truncated, and SD-JWT with its disclosures. */
export const jwt = (text: string): string =>
  text.replaceAll(
    jose,
    (whole, before: string | undefined, first: string) =>
      before === undefined || isScrambled(first) ? (before ?? "") + REDACTED : whole
  )

const known = new RegExp(
  [
    "(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z0-9]{16,}", // AWS
    "gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\\w{16,}", // GitHub
    "gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-[\\w.-]{16,}", // GitLab
    "xox[a-z](?:\\.xox[a-z])?-[\\w-]{8,}|xapp-\\d-[\\w-]{8,}", // Slack
    "hooks\\.slack\\.com/(?:services|workflows)/[\\w/-]{8,}",
    "AIza[\\w-]{30,}|ya29\\.[\\w-]{10,}|GOCSPX-[\\w-]{16,}|1//0[\\w-]{20,}", // Google
    "[sr]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[\\w+/=-]{16,}", // Stripe
    "npm_[A-Za-z0-9]{30,}|pypi-[\\w-]{30,}|rubygems_[a-f0-9]{32,}|dckr_(?:pat|oat)_[\\w-]{16,}", // registries
    "SG\\.[\\w-]{16,64}\\.[\\w-]{16,}|key-[0-9a-f]{32}|SK[0-9a-f]{32}", // SendGrid, Mailgun, Twilio
    "sk-(?:proj|svcacct|admin|ant|or)-[\\w-]{16,}|hf_[A-Za-z0-9]{20,}|(?:r8|gsk)_[A-Za-z0-9]{30,}", // models
    "do[opr]_v1_[0-9a-f]{32,}|dapi[0-9a-f]{32,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32,}",
    "hv[sbr]\\.[\\w-]{20,}|(?<![\\w-])[\\w-]{6,32}\\.atlasv1\\.[\\w-]{30,}", // Vault, Terraform
    "dp\\.(?:pt|st|ct|sa|scim|audit)\\.[\\w.-]{20,}",
    "glsa_\\w{20,}|glc_[\\w+/=]{20,}|NRAK-[A-Z0-9]{20,}|PMAK-[\\w-]{30,}|lin_(?:api|oauth)_\\w{20,}|ntn_\\w{30,}",
    "ATATT3[\\w=-]{20,}|ATCTT3[\\w=-]{20,}|sq0[a-z]{3}-[\\w-]{20,}|pscale_(?:tkn|pw|oauth)_[\\w.-]{20,}",
    "sbp_[0-9a-f]{30,}",
    "sntry[su]_[\\w+/=-]{20,}|nfp_\\w{30,}|figd_[\\w-]{20,}|(?<!\\d)\\d{8,10}:AA[\\w-]{30,}",
    "AGE-SECRET-KEY-1[A-Z0-9]{40,}|(?<![\\w~.-])[\\w~.-]{3}\\dQ~[\\w~.-]{31,34}" // age, Entra ID
  ].join("|"),
  "g"
)

/** Tokens with a prefix that their issuer documents. */
export const prefixed = (text: string): string => text.replaceAll(known, REDACTED)

// 24 or more characters of base64url, or 40 or more of base64, without context: only what looks random.
const url64 = /(?<![\w-])[\w-]{24,}={0,2}/g
const plain64 = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,}={0,2}/g

/** Redacts words that look random. Hexadecimal, UUIDs, ULIDs, paths and identifiers do not. */
export const random = (text: string): string => {
  const replace = (found: string) => isScrambled(found) ? REDACTED : found
  return text.replaceAll(url64, replace).replaceAll(plain64, replace)
}

const sentence = new RegExp(
  "((?<![A-Za-z])(token|secret|password|passphrase|passcode|credential|api[ -]?key|key|pin|otp|code)s?" +
    "( (?:is|was|of|value|:))? {1,2}[\"'`(<]?)([^\\s\"'`<>()[\\]{},;=&]{4,})",
  "gi"
)

/** Redacts a value after the word for it: "invalid token 4f9a2b7c1d", "the password is hunter2". */
export const sentences = (text: string): string =>
  text.replaceAll(sentence, (whole, before: string, name: string, is: string | undefined, value: string) => {
    const bare = value.replace(/[.:!?]{1,3}$/, "")
    const said = is !== undefined && /^(?:pass|secret)/i.test(name) && /\d/.test(bare)
    return said || isOpaque(bare) ? before + REDACTED : whole
  })

const option = /(^|[\s"'])(--?)([A-Za-z][\w.-]{0,63})([ \t]{1,4})(?!-)([^\s"']+|"[^"]*"|'[^']*')/g

/** Redacts options of a command line: `--password x`. */
export const options = (text: string): string =>
  text.replaceAll(option, (whole, before: string, dashes: string, name: string, space: string, value: string) => {
    const kind = sensitivity(name)
    const secret = kind === "strong" || kind === "word" || kind === "header"
    return secret && !isHarmlessWord(value) ? `${before}${dashes}${name}${space}${REDACTED}` : whole
  })

const element = /<([A-Za-z][\w:.-]{0,63})>([^<>]+)(?=<\/)/g
const part = /(name="([^"\n]{1,64})"[^\n]{0,256}\n(?:[\w-]{1,64}:[^\n]{0,256}\n){0,3}\r?\n)([^]*?)(?=\r?\n--|$)/g

/** Redacts XML elements and parts of a multipart form with the name of a secret. */
export const documents = (text: string): string => {
  const hides = (name: string, form: boolean) => {
    const kind = sensitivity(name)
    return kind !== undefined && kind !== "jwk" && (form || kind !== "weak")
  }
  return text
    .replaceAll(element, (whole, name: string) => hides(name, false) ? `<${name}>${REDACTED}` : whole)
    .replaceAll(part, (whole, before: string, name: string) => hides(name, true) ? before + REDACTED : whole)
}
