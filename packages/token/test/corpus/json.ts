/** Payloads and headers that are not a JSON object, or that two parsers read differently. All signed by a trusted key. */
import { adding, type Case, malformed, missing, type Reason, withHeaderText, withPayload } from "./case.ts"
import { canary, type Control } from "./control.ts"

type Text = string | Uint8Array

/** Not exactly one object. */
const others: Readonly<Record<string, (object: string) => Text>> = {
  "nothing": () => "",
  "white space": () => " \n",
  "a list": (object) => `[${object}]`,
  "an empty list": () => "[]",
  "a text": (object) => JSON.stringify(object),
  "a number": () => "1",
  "true": () => "true",
  "null": () => "null",
  "followed by a letter": (object) => `${object}x`,
  "followed by a NUL": (object) => `${object}\u0000`,
  "followed by a bracket": (object) => `${object}}`,
  "followed by a comma": (object) => `${object},`,
  "followed by another": (object) => `${object}${object}`,
  "followed by another in the next line": (object) => `${object}\n${object}`,
  "with a comma before its end": (object) => `${object.slice(0, -1)},}`,
  "with two commas": (object) => object.replace(",", ",,"),
  "without its end": (object) => object.slice(0, -1),
  "with a comment": (object) => object.replace("{", "{/* good */"),
  "with a comment after it": (object) => `${object}// good`,
  "with a hash comment": (object) => `# good\n${object}`,
  "with single quotes": (object) => object.replaceAll("\"", "'"),
  "with a name without quotes": (object) => object.replace(/"(\w+)":/, "$1:"),
  "with a byte order mark": (object) => `\uFEFF${object}`,
  "after a no-break space": (object) => `\u00A0${object}`,
  "after a form feed": (object) => `\f${object}`,
  "with a semicolon for a comma": (object) => object.replace(",", ";"),
  "with an equals sign for a colon": (object) => object.replace(":", "="),
  "with a line break in a text": (object) => adding(JSON.parse(object), `"x":"a\nb"`),
  "with a tab in a text": (object) => adding(JSON.parse(object), `"x":"a\tb"`),
  "with an escape that JSON has not": (object) => adding(JSON.parse(object), String.raw`"x":"\x41"`),
  "with half an escape": (object) => adding(JSON.parse(object), String.raw`"x":"\u12"`),
  ...Object.fromEntries(
    [
      "NaN",
      "Infinity",
      "-Infinity",
      "undefined",
      "0x10",
      "010",
      "+1",
      ".5",
      "1.",
      "1e",
      "1_000",
      "0b1",
      "1n",
      "- 1",
      "True",
      "None",
      "nil",
      "'x'",
      "`x`"
    ].map((text) => [
      `with ${text} for a value`,
      (object: string) => adding(JSON.parse(object), `"x":${text}`)
    ])
  )
}

const swapped = (bytes: Buffer): Buffer => Buffer.from(bytes).swap16()

/** Not UTF-8. */
const bytes: Readonly<Record<string, (object: string) => Text>> = {
  "a byte that is never there": (object) => put(object, 0xff),
  "an overlong NUL": (object) => put(object, 0xc0, 0x80),
  "an overlong quotation mark": (object) => put(object, 0xc0, 0xa2),
  "half a surrogate pair": (object) => put(object, 0xed, 0xa0, 0x80),
  "a surrogate pair of three bytes each": (object) => put(object, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80),
  "a character past the last": (object) => put(object, 0xf4, 0x90, 0x80, 0x80),
  "a character that is cut": (object) => put(object, 0xe2, 0x82),
  "a lone continuation": (object) => put(object, 0x80),
  "Latin-1": (object) => put(object, 0xe9),
  "UTF-16 with a byte order mark": (object) => Buffer.from(`\uFEFF${object}`, "utf16le"),
  "UTF-16 of the other order": (object) => swapped(Buffer.from(`\uFEFF${object}`, "utf16le"))
}

/** Inserts bytes into the text of the object. */
const put = (object: string, ...what: ReadonlyArray<number>): Uint8Array =>
  Buffer.concat([Buffer.from(`${object.slice(0, -1)},"x":"`), Buffer.from(what), Buffer.from(`"}`)])

/** The same change for the payload and for the header. */
const both = (name: string, change: (object: string) => Text, problem: "encoding" | "json"): ReadonlyArray<Case> => [
  {
    name: `payload: ${name}`,
    mutate: (control) => withPayload(control, change(JSON.stringify(control.claims))),
    reason: malformed("payload", problem)
  },
  {
    name: `header: ${name}`,
    mutate: (control) => withHeaderText(control, change(JSON.stringify(control.header))),
    reason: malformed("header", problem)
  }
]

const payload = (name: string, text: (control: Control) => string, reason: Reason): Case => ({
  name: `payload: ${name}`,
  mutate: (control) => withPayload(control, text(control)),
  reason
})
const added = (name: string, text: string, reason: Reason): Case =>
  payload(name, ({ claims }) => adding(claims, text), reason)

const twice = malformed("payload", "duplicate")

/** Duplicate members: some parsers use the first, others the last (RFC 8259, 4). */
const duplicates: ReadonlyArray<Case> = [
  added("sub twice", `"sub":"${canary}-admin"`, twice),
  added("sub twice, the same", `"sub":"${canary}-sub"`, twice),
  added("sub in escapes", String.raw`"\u0073ub":"x"`, twice),
  added("sub in escapes, all of it", String.raw`"\u0073\u0075\u0062":"x"`, twice),
  ...["iss", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "roles"].map((name) =>
    payload(`${name} twice`, ({ claims }) => adding(claims, `"${name}":${JSON.stringify(claims[name])}`), twice)
  ),
  payload("sub first, by another", ({ claims }) => `{"sub":"x",${JSON.stringify(claims).slice(1)}`, twice),
  payload("all of it twice", ({ claims }) => adding(claims, JSON.stringify(claims).slice(1, -1)), twice),
  added("__proto__ twice", `"__proto__":{},"__proto__":{}`, twice),
  added("constructor twice", `"constructor":1,"constructor":2`, twice),
  added("an empty name twice", `"":1,"":2`, twice),
  added("a number for a name twice", `"1":1,"1":2`, twice),
  added("twice within an object", `"act":{"sub":"a","sub":"b"}`, twice),
  added("twice within a list", `"act":[{"sub":"a","sub":"b"}]`, twice),
  added("twice, at six levels", `"a":{"b":{"c":{"d":{"e":1,"e":2}}}}`, twice),
  added("an object, then a number of the same name", `"x":{"y":1,"z":2},"x":1`, twice),
  added("a number, then an object of the same name", `"x":1,"x":{"y":1,"z":2}`, twice),
  added("twice, with colons in a text", `"x":"a:b:c","y":1,"y":2`, twice),
  added("twice, with a quotation mark in a text", String.raw`"x":"a\":","y":1,"y":2`, twice),
  added("twice, with a backslash at the end of a text", String.raw`"x":"a\\","y":1,"y":2`, twice),
  added("twice, with escapes in one", String.raw`"a\/b":1,"a/b":2`, twice),
  ...["alg", "kid", "typ"].map((name): Case => ({
    name: `header: ${name} twice`,
    mutate: (control) =>
      withHeaderText(control, adding(control.header, `"${name}":${JSON.stringify(control.header[name])}`)),
    reason: malformed("header", "duplicate")
  })),
  ...[String.raw`"\u0061lg":"none"`, `"x":1,"x":2`, `"jwk":{"x":1,"x":2}`, `"__proto__":1,"__proto__":{}`].map((
    text
  ): Case => ({
    name: `header: more than once, ${text}`,
    mutate: (control) => withHeaderText(control, adding(control.header, text)),
    reason: malformed("header", "duplicate")
  }))
]

const nested = (levels: number, open: string, inner: string, close: string): string =>
  `${open.repeat(levels)}${inner}${close.repeat(levels)}`
const members = (count: number): string => Array.from({ length: count }, (_, at) => `"m${at}":0`).join(",")

/** Beyond the limits: eight levels and 256 members for claims, four levels and 64 members for a header. */
const limits: ReadonlyArray<Case> = [
  added("nine levels of objects", `"x":${nested(8, `{"x":`, "1", "}")}`, malformed("payload", "depth")),
  added("nine levels of lists", `"x":${nested(8, "[", "1", "]")}`, malformed("payload", "depth")),
  added("nine levels of both", `"x":${nested(4, `[{"x":`, "1", "}]")}`, malformed("payload", "depth")),
  added("five thousand levels of lists", `"x":${nested(5000, "[", "", "]")}`, malformed("payload", "depth")),
  added("a thousand levels of objects", `"x":${nested(1000, `{"x":`, "1", "}")}`, malformed("payload", "depth")),
  added("257 members", members(247), malformed("payload", "members")),
  added("a thousand members", members(1000), malformed("payload", "members")),
  added("257 members, nested", `"x":{${members(246)}}`, malformed("payload", "members")),
  added(
    "257 members, in a list",
    `"x":[${Array.from({ length: 246 }, () => `{"y":0}`).join(",")}]`,
    malformed("payload", "members")
  ),
  {
    name: "header: five levels",
    mutate: (control) => withHeaderText(control, adding(control.header, `"x":${nested(4, "[", "1", "]")}`)),
    reason: malformed("header", "depth")
  },
  {
    name: "header: 65 members",
    mutate: (control) => withHeaderText(control, adding(control.header, members(62))),
    reason: malformed("header", "members")
  }
]

const number = malformed("payload", "number")

/** Numbers that `JSON.parse` turns into infinity. */
const numbers: ReadonlyArray<Case> = [
  ...["exp", "nbf", "iat", "x"].flatMap((name) =>
    ["1e999", "-1e999", "9".repeat(400)].map((text) =>
      payload(
        `${name} ${text.slice(0, 10)}`,
        ({ claims }) => adding({ ...claims, [name]: undefined }, `"${name}":${text}`),
        number
      )
    )
  ),
  added("an infinite number within a list", `"x":[1,[1e999]]`, number),
  added("an infinite number within an object", `"x":{"y":{"z":1E+400}}`, number)
]

/** A lone surrogate is not valid text: in UTF-8 all of them become the same replacement character (RFC 7493, 2.1). */
const surrogates: ReadonlyArray<Case> = [
  added("a lone high surrogate in an escape", String.raw`"x":"\ud800"`, malformed("payload", "encoding")),
  added("a lone low surrogate", String.raw`"x":"a\udc00b"`, malformed("payload", "encoding")),
  added("the surrogates swapped", String.raw`"x":"\udc00\ud800"`, malformed("payload", "encoding")),
  added("a lone surrogate in a name", String.raw`"x\ud800":1`, malformed("payload", "encoding")),
  added("a lone surrogate in a list", String.raw`"x":["\ud83d"]`, malformed("payload", "encoding")),
  payload(
    "a lone surrogate in sub",
    ({ claims }) => adding({ ...claims, sub: undefined }, String.raw`"sub":"\ud800"`),
    malformed("payload", "encoding")
  )
]

export const jsonCases: ReadonlyArray<Case> = [
  ...Object.entries(others).flatMap(([name, change]) => both(name, change, "json")),
  ...Object.entries(bytes).flatMap(([name, change]) => both(name, change, "encoding")),
  payload("an empty object", () => "{}", missing("iss")),
  ...duplicates,
  ...limits,
  ...numbers,
  ...surrogates
]
