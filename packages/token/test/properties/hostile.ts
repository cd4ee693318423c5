/** Generates hundreds of thousands of hostile inputs from a seed, signed synchronously. */
import { audience, issuer } from "@keelson/testing/tokens"
import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from "node:crypto"

/** Seconds since 1970. */
export const now = 1_800_000_000

/** Pseudorandom numbers of a seed, from 0 to below 1 (mulberry32). */
export const randomOf = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const secret = "a secret of the tests, of more than 32 bytes"

/** A key that signs synchronously. */
export interface Key {
  readonly alg: "EdDSA" | "HS256"
  readonly kid: string
  readonly sign: (signed: string) => string
  readonly publicKey: KeyObject | undefined
}

const makeKeys = (): readonly [hmac: Key, eddsa: Key] => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  return [
    {
      alg: "HS256",
      kid: "h",
      sign: (signed) => createHmac("sha256", secret).update(signed).digest("base64url"),
      publicKey: undefined
    },
    {
      alg: "EdDSA",
      kid: "e",
      sign: (signed) => signBytes(null, Buffer.from(signed), privateKey).toString("base64url"),
      publicKey
    }
  ]
}
export const trusted = makeKeys()

/** One input, and whether a trusted key signed exactly this text. */
export interface Input {
  readonly token: string
  readonly isSigned: boolean
}

const encode = (text: string): string => Buffer.from(text).toString("base64url")

/** Plausible values of claims, valid or not. */
const likely = [
  `"${audience}"`,
  `["x","${audience}"]`,
  `"${issuer}"`,
  "\"https://evil.example\"",
  "\"x\"",
  "[\"x\",\"y\"]",
  ...[-31, -30, -29, 0, 30, 31, 600].map((seconds) => String(now + seconds)),
  String(now + 0.5)
]

/** Texts in place of a value, valid JSON or almost. */
const values = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "-1",
  "1",
  "1.5",
  "1e5",
  "1e999",
  "-1e999",
  "1e-999",
  "9007199254740993",
  "NaN",
  "01",
  "\"\"",
  "\"x\"",
  "\"\\u0000\"",
  "\"\\ud800\"",
  "\"\\ud83d\\udd11\"",
  "\"\u{1F511}\"",
  "\"\u202E\"",
  "\"'\"",
  "\"\\\"\"",
  "[]",
  "{}",
  "[1]",
  "[\"x\"]",
  "[[]]",
  "[[[[[[[[[]]]]]]]]]",
  "{\"x\":1}",
  "{\"x\":1,\"x\":2}",
  "{\"__proto__\":{}}",
  "[null]",
  `"${audience}"`,
  `["${audience}"]`,
  `["x","${audience}"]`,
  `"${issuer}"`,
  `["${issuer}"]`,
  "\"https://evil.example\"",
  String(now),
  String(now - 29),
  String(now - 30),
  String(now - 31),
  String(now + 30),
  String(now + 31),
  String(now + 600),
  `"${now + 600}"`,
  String(now * 1000),
  "253402300799",
  "253402300800",
  `"${"x".repeat(1000)}"`,
  `[${"0,".repeat(300)}0]`
]
const names = [
  "iss",
  "aud",
  "exp",
  "nbf",
  "iat",
  "sub",
  "jti",
  "client_id",
  "scope",
  "scp",
  "roles",
  "groups",
  "acr",
  "amr",
  "auth_time",
  "sid",
  "azp",
  "nonce",
  "x",
  "",
  "__proto__",
  "constructor",
  "toString",
  "\\u0073ub",
  "\\u0065xp",
  "1",
  "length"
]
const headerNames = [
  "alg",
  "kid",
  "typ",
  "crit",
  "b64",
  "jwk",
  "jku",
  "x5c",
  "cty",
  "zip",
  "enc",
  "x",
  "__proto__",
  "\\u0061lg"
]
const headerValues = [
  "\"none\"",
  "\"HS256\"",
  "\"EdDSA\"",
  "\"RS256\"",
  "\"h\"",
  "\"e\"",
  "\"at+jwt\"",
  "\"JWT\"",
  "[\"exp\"]",
  "[]",
  "{}",
  "null",
  "1",
  "false",
  "true",
  "\"\"",
  "\"DEF\"",
  "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
  "1e999"
]
const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
const strange = [
  ".",
  "=",
  " ",
  "\n",
  "\u0000",
  "+",
  "/",
  "\u00E9",
  "\uD800",
  "\u{1F511}",
  "\uFEFF",
  "%",
  "{",
  "\"",
  "~"
]

/** Generates the inputs of one seed. */
export class Hostile {
  readonly #random: () => number
  constructor(seed: number) {
    this.#random = randomOf(seed)
  }
  /** Returns the next input: some are fuzzed text, almost half are tampered tokens, the others are signed. */
  next(): Input {
    const kind = this.#random()
    if (kind < 0.04) return { token: this.#garbage(), isSigned: false }
    if (kind < 0.12) return { token: this.#edited(this.#good()), isSigned: false }
    return kind < 0.55 ? { token: this.#tampered(), isSigned: false } : { token: this.#signed(), isSigned: true }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
  #one<A>(list: ReadonlyArray<A>): A {
    const found = list[this.#below(list.length)]
    if (found === undefined) throw new Error("the list is empty")
    return found
  }
  /** Picks a key, mostly HMAC, which is fast. */
  #key(): Key {
    const [hmac, eddsa] = trusted
    return this.#random() < 0.85 ? hmac : eddsa
  }
  #text(length: number): string {
    return Array.from({ length }, () => characters[this.#below(64)]).join("")
  }
  #garbage(): string {
    const parts = Array.from(
      { length: this.#below(7) },
      () => this.#random() < 0.5 ? this.#text(this.#below(60)) : this.#one(strange).repeat(this.#below(9))
    )
    return parts.join(this.#random() < 0.8 ? "." : "")
  }

  #header(key: Key, isPlain: boolean): string {
    const members = [`"alg":"${key.alg}"`, `"kid":"${key.kid}"`, `"typ":"at+jwt"`]
    if (!isPlain) this.#add(members, headerNames, headerValues)
    return encode(`{${members.join(",")}}`)
  }
  #claims(changes: number): string {
    const members = [
      `"iss":"${issuer}"`,
      `"aud":"${audience}"`,
      `"exp":${now + 600}`,
      `"iat":${now - this.#below(100)}`,
      `"sub":"user-${this.#below(1e6)}"`,
      `"client_id":"client"`,
      `"jti":"${this.#text(8)}"`
    ]
    for (let count = 0; count < changes; count++) this.#add(members, names, values)
    return encode(`{${members.join(",")}}${this.#random() < 0.01 ? this.#one(["x", "}", ",", "\u0000", "{}"]) : ""}`)
  }
  /** Adds, changes or removes a member. */
  #add(members: Array<string>, names: ReadonlyArray<string>, values: ReadonlyArray<string>): void {
    const what = this.#random()
    const at = this.#below(members.length)
    const value = this.#random() < 0.6 ? this.#one(likely) : this.#one(values)
    if (what < 0.5) members.push(`"${this.#one(names)}":${value}`)
    else if (what < 0.9) members[at] = (members[at] ?? "").replace(/:.*/, () => `:${value}`)
    else members.splice(at, 1)
  }

  #good(): string {
    const key = this.#key()
    const signed = `${this.#header(key, true)}.${this.#claims(0)}`
    return `${signed}.${key.sign(signed)}`
  }
  #signed(): string {
    const key = this.#key()
    const isPlain = this.#random() < 0.9
    const signed = `${this.#header(key, isPlain)}.${this.#claims(isPlain ? 1 + this.#below(2) : 0)}`
    return `${signed}.${key.sign(signed)}`
  }
  /** A well-formed token that is not signed by the key it names. */
  #tampered(): string {
    const key = this.#key()
    const signed = `${this.#header(key, true)}.${this.#claims(0)}`
    const what = this.#random()
    if (what < 0.3) return `${signed}.${this.#text(key.alg === "HS256" ? 43 : 86).slice(0, -1)}A`
    if (what < 0.6) return `${signed}.${key.sign(`${this.#header(key, true)}.${this.#claims(0)}`)}`
    if (what < 0.8) return `${signed}.${(key === trusted[0] ? trusted[1] : trusted[0]).sign(signed)}`
    return `${signed}.${this.#text(4 * this.#below(60))}`
  }
  /** A valid token with a few characters changed, inserted, removed or moved. */
  #edited(token: string): string {
    let text = token
    for (let count = 1 + this.#below(3); count > 0; count--) {
      const at = this.#below(text.length)
      const put = this.#random() < 0.7 ? this.#text(1) : this.#one(strange)
      const what = this.#random()
      if (what < 0.6) text = `${text.slice(0, at)}${put}${text.slice(at + 1)}`
      else if (what < 0.75) text = `${text.slice(0, at)}${put}${text.slice(at)}`
      else if (what < 0.9) text = `${text.slice(0, at)}${text.slice(at + 1 + this.#below(3))}`
      else text = `${text.slice(at)}${text.slice(0, at)}`
    }
    return text === token ? `${text}A` : text
  }
}
