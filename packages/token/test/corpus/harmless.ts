/** Mutations just within each limit, which leave a token valid. They show that the corpus is rejected for the stated reasons only. */
import { adding, withClaims, withHeader, withHeaderText, withPayload } from "./case.ts"
import { audience, canary, type Control, now } from "./control.ts"
import { respelt } from "./encodings.ts"
import { encode, signTexts } from "./signer.ts"

const levels = (count: number): string => `"x":${"[".repeat(count)}1${"]".repeat(count)}`
const members = (count: number): string => Array.from({ length: count }, (_, at) => `"m${at}":0`).join(",")
const asItIs = (text: string): string => text
const added = (text: string) => (control: Control) => withPayload(control, adding(control.claims, text))
const claims = (changes: Readonly<Record<string, unknown>>) => (control: Control) => withClaims(control, changes)
const header = (changes: Readonly<Record<string, unknown>>) => (control: Control) => withHeader(control, changes)

/** The control padded by a claim to the given length, or a few characters less if the exact length is impossible. */
const ofLength = async ({ claims, header, signer }: Control, length: number): Promise<string> => {
  const token = (pad: number) =>
    signTexts(signer, JSON.stringify(header), JSON.stringify({ ...claims, pad: "x".repeat(pad) }))
  const bare = (await token(0)).length
  return token(Math.floor((length - bare) * 3 / 4))
}

export const harmless: Readonly<Record<string, (control: Control) => string | Promise<string>>> = {
  "spelt as the respelt ones are, header": (control) => respelt(control, "header", asItIs),
  "spelt as the respelt ones are, payload": (control) => respelt(control, "payload", asItIs),
  "spelt as the respelt ones are, signature": (control) => respelt(control, "signature", asItIs),
  "as long as it may be": (control) => ofLength(control, 16_384),
  "eight levels": added(levels(7)),
  "256 members": added(members(246)),
  "a list of a thousand numbers": added(`"x":[${"0,".repeat(999)}0]`),
  "64 audiences": claims({ aud: Array.from({ length: 64 }, (_, at) => at === 63 ? audience : `a${at}`) }),
  "four levels in the header": (control) => withHeaderText(control, adding(control.header, levels(3))),
  "64 members in the header": (control) => withHeaderText(control, adding(control.header, members(61))),
  "white space around the header": (control) => withHeaderText(control, ` ${JSON.stringify(control.header)}\n`),
  "white space around the payload": (control) => withPayload(control, `\t${JSON.stringify(control.claims, null, 2)} `),
  "one name in two objects": added(`"a":{"sub":1},"b":{"sub":2},"c":[{"sub":3},{"sub":4}]`),
  "names that differ by case": added(`"SUB":"x","Sub":"y"`),
  "colons and quotation marks in texts": added(String.raw`"x":"a:b\":\"c","y:\"":":\\"`),
  "names of prototypes": added(`"__proto__":{"sub":"x"},"constructor":1,"toString":null,"hasOwnProperty":false`),
  "names of prototypes in the header": (control) =>
    withHeaderText(control, adding(control.header, `"__proto__":{"crit":["x"],"alg":"none"},"constructor":1`)),
  "a whole surrogate pair in escapes": added(String.raw`"x":"\ud83d\udd11"`),
  "a surrogate pair as it is": added(`"x":"\u{1F511}"`),
  "the text of an escape": added(String.raw`"x":"\\ud800"`),
  "a claim that is null": added(`"x":null`),
  "at the end of the tolerance": claims({ exp: now - 29.5 }),
  "at its beginning": claims({ nbf: now + 30, iat: now + 30 }),
  "the last second of the year 9999": claims({ exp: 253_402_300_799 }),
  "fractions of a second": claims({ exp: now + 0.5, iat: now - 0.25 }),
  "no nbf": claims({ nbf: undefined }),
  "a scope that is a list": claims({ scope: undefined, scp: [`${canary}:read`] }),
  "a session of another type, which nothing uses": claims({ sid: 1 }),
  "a scope of another type in a claim that nothing uses": claims({ scope: undefined, scp: { read: true } }),
  "one role as text": claims({ roles: canary }),
  "no kid": header({ kid: undefined }),
  "a type in capitals": header({ typ: "AT+JWT" }),
  "a type by its whole name": header({ typ: "application/at+jwt" }),
  "a content type": header({ cty: "x" }),
  "a key that it brings, which is not looked at": ({ stranger, ...control }) =>
    withHeader({ stranger, ...control }, { jwk: stranger.jwk, jku: `https://${canary}.example`, x5c: [encode("x")] })
}
