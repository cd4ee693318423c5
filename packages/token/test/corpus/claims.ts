/** Claims of the wrong shape, at the wrong time, or almost equal to the expected ones. All signed by a trusted key. */
import { audienceMismatch, type Case, claimCases, invalid, issuerUntrusted, missing, withClaims } from "./case.ts"
import { audience, canary, issuer, now } from "./control.ts"

/** Not a finite number of seconds since 1970, before the year 10000. */
const invalidDates = [
  -1,
  -0.5,
  -1e300,
  253_402_300_800,
  1e15,
  now * 1000,
  Number.MAX_VALUE,
  "",
  String(now + 600),
  "2027-01-15T08:10:00Z",
  "never",
  "NaN",
  null,
  true,
  false,
  [],
  [now],
  {},
  { seconds: now }
]

/** Not a string. */
const nonStrings = [null, 0, 1, -1.5, true, false, [], [canary], [[canary]], {}, { value: canary }]

const invalidScopes = [null, 0, true, {}, [1], [[canary]], [canary, null]]

const shapes: ReadonlyArray<Case> = [
  ...["exp", "nbf", "iat", "auth_time"].flatMap((name) => claimCases(name, invalidDates)),
  ...["iss", "sub", "jti"].flatMap((name) => claimCases(name, nonStrings)),
  ...claimCases("client_id", nonStrings.filter((value) => value !== null)),
  ...claimCases("client_id", [null], missing("client_id")),
  ...claimCases("iss", [[issuer], [issuer, `https://${canary}.example`], { iss: issuer }]),
  ...claimCases("aud", [
    null,
    0,
    true,
    {},
    { 0: audience, length: 1 },
    [1],
    [null],
    [audience, 1],
    [audience, null],
    [[audience]],
    [{ aud: audience }]
  ]),
  ...claimCases("aud", [
    Array.from({ length: 65 }, (_, at) => at === 0 ? audience : `a${at}`),
    Array.from({ length: 300 }, () => audience)
  ], { _tag: "ClaimInvalid", path: "aud", expected: "at most 64 audiences (maxAudiences)" }),
  ...claimCases("scope", invalidScopes),
  ...claimCases("roles", [null, 1, {}, { 0: canary }]),
  ...claimCases("roles", [[1], [null], [{}], [[canary]]], invalid("roles.0")),
  ...claimCases("roles", [[canary, 1]], invalid("roles.1")),
  ...claimCases("acr", [null, 1, [canary]]),
  ...["iss", "aud", "exp", "sub", "client_id", "iat", "jti"].flatMap((name) =>
    claimCases(name, [undefined], missing(name))
  )
]

const late = (seconds: number, name: string): Case => ({
  name: `exp ${name}`,
  mutate: (control) => withClaims(control, { exp: seconds }),
  reason: { _tag: "TokenExpired" }
})

/** Times outside the tolerance of 30 seconds. */
const times: ReadonlyArray<Case> = [
  late(0, "at 1970"),
  late(0.5, "half a second after 1970"),
  late(now - 30, "at the end of the tolerance"),
  late(now - 30.5, "half a second past it"),
  late(now - 31, "a second past it"),
  late(now - 86_400, "a day ago"),
  late(Math.floor(now / 1000), "in thousands of seconds"),
  ...(["nbf", "iat"] as const).flatMap((claim) =>
    [30.5, 31, 3600, 1e9].map((seconds): Case => ({
      name: `${claim} ${seconds} seconds ahead`,
      mutate: (control) => withClaims(control, { [claim]: now + seconds, exp: now + 1e10 }),
      reason: { _tag: "TokenNotYetValid", claim }
    }))
  )
]

/** Texts that resemble the given one but differ: names must match exactly. */
const alike = (text: string): ReadonlyArray<string> => [
  "",
  " ",
  text.toUpperCase(),
  text.replace("https", "HTTPS"),
  text.replace("example", "Example"),
  `${text}/`,
  `${text} `,
  ` ${text}`,
  `${text}\n`,
  `${text}\t`,
  `${text}\u0000`,
  `${text}\u200B`,
  `\uFEFF${text}`,
  `${text}?`,
  `${text}#`,
  `${text}/.`,
  `${text}/../${text.split("/").at(-1)}`,
  `${text},${text}`,
  `${text} https://${canary}.example`,
  `https://${canary}.example ${text}`,
  `https://${canary}.example/${text}`,
  text.slice(0, -1),
  text.slice(1),
  `${text}${text}`,
  `"${text}"`,
  `["${text}"]`,
  text.replace("https:", "http:"),
  text.replace("https:", ""),
  text.replace("https://", ""),
  text.replace(".example", ".example."),
  text.replace(".example", ".example:443"),
  text.replace(".example", `.example@${canary}.example`),
  text.replace(".example", `.example.${canary}.example`),
  text.replace("https://", "https://user@"),
  text.replace("https://", "https:/"),
  text.replace("https://", String.raw`https:\\`),
  text.replace("example", "%65xample"),
  text.replace("e", "\u0435"),
  text.replace("e", "\uFF45"),
  text.replace("e", "e\u0301"),
  text.replace(".", "\u3002"),
  text.replace("/", "\uFF0F"),
  text.replace("s", "\u017F"),
  "*",
  ".*",
  "https://*",
  "null",
  "undefined",
  "true",
  "__proto__",
  "constructor"
]

const lookAlikes: ReadonlyArray<Case> = [
  ...claimCases("iss", alike(issuer), issuerUntrusted),
  ...claimCases(
    "iss",
    [issuer.replace("k", "\u212A"), "https://idp.example", "https://other.example/tenant-k"],
    issuerUntrusted
  ),
  ...claimCases("aud", alike(audience), audienceMismatch),
  ...claimCases("aud", [
    [],
    [""],
    [`${canary}-client`],
    alike(audience),
    [audience.toUpperCase(), `${audience}/`],
    issuer
  ], audienceMismatch)
]

export const claimMutations: ReadonlyArray<Case> = [...shapes, ...times, ...lookAlikes]
