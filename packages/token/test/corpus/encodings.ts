/** Segments in non-canonical encodings of the same bytes (RFC 7515, 2), signed in that encoding if possible. */
import type { TokenError } from "../../src/index.ts"
import { type Case, malformed } from "./case.ts"
import type { Control } from "./control.ts"
import { encode, signSegments } from "./signer.ts"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

type Segment = Exclude<TokenError.Part, "token">
const segments: ReadonlyArray<Segment> = ["header", "payload", "signature"]

/** A JSON text whose encoding contains `-` and `_` and ends in a character with four unused bits. */
const uneven = (members: Readonly<Record<string, unknown>>): string => {
  const text = `${JSON.stringify(members).slice(0, -1)},"x":"???>>>~~~"}`
  return text + " ".repeat((4 - (text.length % 3)) % 3)
}

/** A valid token with one segment in another encoding. Header and payload are signed in that encoding. */
export const respelt = async (
  control: Control,
  segment: Segment,
  spell: (text: string) => string,
  turn = 0
): Promise<string> => {
  const { claims, header, signer } = control
  const spelling = (name: Segment, text: string): string => name === segment ? spell(text) : text
  const token = await signSegments(
    signer,
    spelling("header", encode(uneven(header))),
    spelling("payload", encode(uneven({ ...claims, turn })))
  )
  if (segment !== "signature") return token
  const last = token.lastIndexOf(".") + 1
  const signature = token.slice(last)
  // Changes the claims until the signature contains the characters to be replaced.
  return /-.*_|_.*-/.test(signature.slice(0, -1))
    ? `${token.slice(0, last)}${spell(signature)}`
    : respelt(control, segment, spell, turn + 1)
}

/** A last character that decodes to the same bytes, by its place among all such characters; place 0 is canonical. */
const lastAs = (place: number) => (text: string): string => {
  const last = alphabet.indexOf(text.slice(-1))
  const unused = text.length % 4 === 2 ? 16 : 4
  return `${text.slice(0, -1)}${alphabet.charAt(last - (last % unused) + (place % unused))}`
}

const at = (text: string, place: number, put: string): string => `${text.slice(0, place)}${put}${text.slice(place)}`
const instead = (text: string, place: number, put: string): string =>
  `${text.slice(0, place)}${put}${text.slice(place + 1)}`

const spellings: Readonly<Record<string, (text: string) => string>> = {
  "padded as it should be elsewhere": (text) => text.padEnd(text.length + ((4 - (text.length % 4)) % 4), "="),
  "padded by one": (text) => `${text}=`,
  "padded by three": (text) => `${text}===`,
  "padded before it": (text) => `=${text}`,
  "padded in the middle": (text) => at(text, 8, "="),
  "with a space after it": (text) => `${text} `,
  "with a space before it": (text) => ` ${text}`,
  "with a space in it": (text) => at(text, 7, " "),
  "with a line break after it": (text) => `${text}\n`,
  "with a line break before it": (text) => `\n${text}`,
  "with CRLF in it": (text) => at(text, 20, "\r\n"),
  "with a tab": (text) => at(text, 5, "\t"),
  "with a vertical tab": (text) => at(text, 5, "\v"),
  "with a NUL after it": (text) => `${text}\u0000`,
  "with a NUL in it": (text) => at(text, 9, "\u0000"),
  "with a byte order mark before it": (text) => `\uFEFF${text}`,
  "with a no-break space": (text) => at(text, 6, "\u00A0"),
  "with a zero-width space": (text) => at(text, 6, "\u200B"),
  "with a zero-width joiner": (text) => at(text, 6, "\u200D"),
  "with a line separator": (text) => `${text}\u2028`,
  "with half a surrogate pair": (text) => at(text, 4, "\uD800"),
  "with an emoji": (text) => at(text, 4, "\u{1F511}"),
  "with a soft hyphen": (text) => at(text, 4, "\u00AD"),
  "in the standard alphabet": (text) => text.replaceAll("-", "+").replaceAll("_", "/"),
  "with a plus for a hyphen": (text) => text.replace("-", "+"),
  "with a slash for an underscore": (text) => text.replace("_", "/"),
  "with a full-width letter": (text) => instead(text, 2, String.fromCharCode(text.charCodeAt(2) + 0xFEE0)),
  "with a Cyrillic letter": (text) => instead(text, 3, "\u0410"),
  "with a Greek letter": (text) => instead(text, 3, "\u039F"),
  "with a hyphen of another kind": (text) => text.replace("-", "\u2010"),
  "with a minus sign": (text) => text.replace("-", "\u2212"),
  "with a full-width low line": (text) => text.replace("_", "\uFF3F"),
  "with a character more": (text) => `${text}AAA`.slice(0, text.length + ((5 - (text.length % 4)) % 4 || 3)),
  "percent-encoded": (text) => instead(text, 1, `%${text.charCodeAt(1).toString(16)}`),
  "in quotation marks": (text) => `"${text}"`,
  "with a comma": (text) => at(text, 4, ","),
  "with a tilde after it": (text) => `${text}~`,
  "with an escape": (text) => instead(text, 1, String.raw`\u0065`),
  "with a colon": (text) => at(text, 4, ":")
}

const encoding = (segment: Segment) => malformed(segment, "encoding")

/** All non-canonical last characters: 15 if four bits are unused, 3 if two are. */
const lastCharacters: ReadonlyArray<Case> = segments.flatMap((segment) =>
  Array.from({ length: 15 }, (_, place): Case => ({
    name: `${segment}: another last character, ${place + 1}`,
    mutate: (control) => respelt(control, segment, lastAs(place + 1)),
    reason: encoding(segment),
    // A signature of 32 bytes leaves two unused bits: three other characters.
    ...(segment === "signature" && place >= 3 ? { on: ["RS256", "ES256", "EdDSA"] } : undefined)
  }))
)

export const encodingCases: ReadonlyArray<Case> = [
  ...lastCharacters,
  ...segments.flatMap((segment) =>
    Object.entries(spellings).map(([name, spell]): Case => ({
      name: `${segment}: ${name}`,
      mutate: (control) => respelt(control, segment, spell),
      reason: encoding(segment)
    }))
  )
]
