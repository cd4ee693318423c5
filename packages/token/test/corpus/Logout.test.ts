/** Hostile logout tokens: the mutations of the corpus, and those of the claims that only logout tokens have. */
import { assert, describe, it } from "@effect/vitest"
import { KeySource } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { BackChannelLogout, type BackChannelLogoutError, Revocation } from "../../src/index.ts"
import { algorithmCases } from "./algorithms.ts"
import {
  adding,
  algorithmUnsupported,
  audienceMismatch,
  type Case,
  invalid,
  issuerUntrusted,
  malformed,
  missing,
  shown,
  signatureInvalid,
  typeMismatch,
  withClaims,
  withHeader,
  withPayload
} from "./case.ts"
import { audience, canary, type Control, controlOf, issuer, keysOf, makeKeys, neighbour, now } from "./control.ts"
import { encodingCases } from "./encodings.ts"
import { formCases } from "./forms.ts"
import { jsonCases } from "./json.ts"
import { isFor, type Mismatch, shownBy, shows } from "./run.ts"
import { signatureCases } from "./signatures.ts"
import { type Alg, algorithms, signTexts } from "./signer.ts"

type Reason = BackChannelLogoutError.Reason

interface LogoutCase {
  readonly name: string
  readonly mutate: (control: Control) => string | Promise<string>
  readonly reason: Reason
}

const event = "http://schemas.openid.net/event/backchannel-logout"

let made: ReturnType<typeof makeKeys> | undefined
const keys = Effect.promise(() => made ??= makeKeys())

/** The logout token of an algorithm, of which each token is a mutation. */
const logoutControl = async (keys: Awaited<ReturnType<typeof makeKeys>>, alg: Alg): Promise<Control> => {
  const control = await controlOf(keys, alg)
  const header = { ...control.header, typ: "logout+jwt" }
  const claims = {
    iss: issuer,
    aud: audience,
    sub: `${canary}-sub`,
    sid: `${canary}-sid`,
    jti: `${canary}-jti`,
    iat: now - 10,
    exp: now + 110,
    events: { [event]: {} },
    // Claims that a logout token may have, and that mutations of the corpus change.
    nbf: control.claims["nbf"],
    client_id: control.claims["client_id"],
    scope: control.claims["scope"],
    roles: control.claims["roles"]
  }
  return {
    ...control,
    header,
    claims,
    token: await signTexts(control.signer, JSON.stringify(header), JSON.stringify(claims))
  }
}

const setUp = Effect.fnUntraced(function*(alg: Alg, requireType: boolean) {
  const all = yield* keys
  const source = KeySource.layerFirstOf(
    keysOf(issuer, Object.values(all.own)),
    keysOf(neighbour, Object.values(all.others))
  )
  const revoked: Array<Revocation.Subject> = []
  const list = Layer.succeed(Revocation.Revocation, {
    isRevoked: () => Effect.succeed(false),
    revoke: (subject) => Effect.sync(() => void revoked.push(subject))
  })
  const { logout } = yield* BackChannelLogout.make({
    issuers: [issuer, neighbour],
    audiences: [audience],
    algorithms,
    tokenLifetime: "1 hour",
    requireType
  }).pipe(Effect.provide(yield* Layer.build(Layer.merge(source, list))))
  yield* TestClock.setTime(now * 1000)
  const control = yield* Effect.promise(() => logoutControl(all, alg))
  return { control, logout, revoked }
})

/** The cases that do not end as expected. The control is accepted before and after, and nothing else is revoked. */
const mismatches = Effect.fnUntraced(function*(alg: Alg, cases: ReadonlyArray<LogoutCase>, requireType: boolean) {
  const { control, logout, revoked } = yield* setUp(alg, requireType)
  yield* Effect.orDie(logout(control.token))
  const found = yield* Effect.forEach(
    cases,
    ({ mutate, name, reason }) =>
      Effect.gen(function*(): Effect.fn.Return<ReadonlyArray<Mismatch>> {
        const token = yield* Effect.promise(async () => mutate(control))
        if (token === control.token) return [{ name, got: "the control itself" }]
        const exit = yield* Effect.exit(logout(token))
        if (Exit.isSuccess(exit)) return [{ name, got: "accepted" }]
        const error = errorOf(exit)
        if (JSON.stringify(error.reason) !== JSON.stringify(reason)) return [{ name, got: error.reason }]
        if (error.status !== 400) return [{ name, got: error.code }]
        return shows(shownBy(error), token) ? [{ name, got: shownBy(error) }] : []
      }),
    { concurrency: 16 }
  )
  yield* Effect.orDie(logout(control.token))
  const wrong = found.flat()
  // Each of the two stored the session and the receipt.
  return wrong.length === 0 && revoked.length !== 4 ? [{ name: "revoked", got: revoked }] : wrong
})

const rejectedFor = (reason: Case["reason"]): Reason => ({ _tag: "TokenRejected", reason })

/** Mutations of the corpus, which hold for every token. */
const general = (alg: Alg): ReadonlyArray<LogoutCase> =>
  [...algorithmCases, ...signatureCases, ...encodingCases, ...formCases, ...jsonCases]
    .filter((one) => isFor(one, { alg }))
    .map(({ mutate, name, reason }) => ({ name, mutate, reason: rejectedFor(reason) }))

const claims = (name: string, values: ReadonlyArray<unknown>, reason: Reason): ReadonlyArray<LogoutCase> =>
  values.map((value) => ({
    name: `${name} ${shown(value)}`,
    mutate: (control) => withClaims(control, { [name]: value }),
    reason
  }))

const eventMissing: Reason = { _tag: "EventMissing" }
const noncePresent: Reason = { _tag: "NoncePresent" }
const subjectMissing: Reason = { _tag: "SubjectMissing" }

const ofLogoutTokens: ReadonlyArray<LogoutCase> = [
  ...claims("events", [
    {},
    { [event]: null },
    { [event]: true },
    { [event]: "" },
    { [event]: "{}" },
    { [event]: 1 },
    { [event]: [] },
    { [event]: [{}] },
    { [`${event}/`]: {} },
    { [` ${event}`]: {} },
    { [event.toUpperCase()]: {} },
    { [event.replace("http:", "https:")]: {} },
    { [event.replace("schemas.openid.net", "schemas.example")]: {} },
    { "http://schemas.openid.net/event/frontchannel-logout": {} },
    { "http://schemas.openid.net/event": { "backchannel-logout": {} } },
    { "backchannel-logout": {} },
    { event: { [event]: {} } },
    { "": { [event]: {} } },
    { [event.slice(0, -1)]: {} },
    { [`${event}#`]: {} },
    { [`${event}?`]: {} },
    { [event.replace("-", "_")]: {} },
    { [event.replace("channel", "Channel")]: {} },
    { [`${event}\u0000`]: {} },
    { "urn:openid:backchannel-logout": {} },
    { constructor: {} },
    { toString: {} },
    { hasOwnProperty: {} },
    { [event]: false },
    { [event]: 0 },
    { [event]: "true" },
    { [event]: "null" },
    { [event]: [[]] }
  ], eventMissing),
  ...claims("events", [undefined, null], rejectedFor(missing("events"))),
  ...claims("events", [event, "", 1, true, false, [event], [{ [event]: {} }], []], rejectedFor(invalid("events"))),
  {
    name: "events as the prototype of an object",
    mutate: ({ claims: { events, ...others }, ...control }) =>
      withPayload(
        { ...control, claims: others },
        `${JSON.stringify({ ...others, events: {} }).slice(0, -2)}"__proto__":${JSON.stringify(events)}}}`
      ),
    reason: eventMissing
  },
  {
    name: "events within a member",
    mutate: ({ claims: { events, ...others }, ...control }) =>
      withClaims({ ...control, claims: others }, { set: { events } }),
    reason: rejectedFor(missing("events"))
  },
  {
    name: "Events in another case",
    mutate: ({ claims: { events, ...others }, ...control }) =>
      withClaims({ ...control, claims: others }, { Events: events }),
    reason: rejectedFor(missing("events"))
  },
  ...claims("nonce", ["", "n", null, 0, 1, true, false, {}, [], ["n"]], noncePresent),
  {
    name: "neither sub nor sid",
    mutate: (control) => withClaims(control, { sub: undefined, sid: undefined }),
    reason: subjectMissing
  },
  {
    name: "Sub and Sid in another case",
    mutate: (control) => withClaims(control, { sub: undefined, sid: undefined, Sub: canary, SID: canary }),
    reason: subjectMissing
  },
  ...claims("sub", ["", null, 1, true, {}, [canary], [], { sub: canary }], rejectedFor(invalid("sub"))),
  ...claims("sid", ["", null, 1, true, {}, [canary], [], { sid: canary }], rejectedFor(invalid("sid"))),
  ...claims("jti", [undefined, null], rejectedFor(missing("jti"))).map((one) =>
    one.name === "jti null" ? { ...one, reason: rejectedFor(invalid("jti")) } : one
  ),
  ...claims("jti", ["", 1, true, {}, [canary]], rejectedFor(invalid("jti"))),
  ...claims("iat", [undefined], rejectedFor(missing("iat"))),
  ...claims("iat", [null, "1", true, {}, [], -1, 1e12], rejectedFor(invalid("iat"))),
  ...claims("iat", [now + 31, now + 3600], rejectedFor({ _tag: "TokenNotYetValid", claim: "iat" })),
  ...claims("nbf", [now + 31], rejectedFor({ _tag: "TokenNotYetValid", claim: "nbf" })),
  ...claims("exp", [undefined], rejectedFor(missing("exp"))),
  ...claims("exp", [null, "9999999999", true, {}, [], -1, 1e12], rejectedFor(invalid("exp"))),
  ...claims("exp", [0, now - 3600, now - 30], rejectedFor({ _tag: "TokenExpired" })),
  ...claims("iss", [undefined], rejectedFor(missing("iss"))),
  ...claims("iss", [null, 1, {}, [issuer]], rejectedFor(invalid("iss"))),
  ...claims(
    "iss",
    ["", "https://evil.example", `${issuer}/`, issuer.toUpperCase(), ` ${issuer}`, `${issuer}\u0000`],
    rejectedFor(issuerUntrusted)
  ),
  ...claims("aud", [undefined], rejectedFor(missing("aud"))),
  ...claims("aud", [null, 1, {}, [1], [[audience]]], rejectedFor(invalid("aud"))),
  ...claims(
    "aud",
    ["", "other", [], ["other"], audience.toUpperCase(), `${audience}/`, `${audience} other`],
    rejectedFor(audienceMismatch)
  ),
  ...["events", "sid", "sub", "jti", "iat", "exp", "iss", "aud"].map((name): LogoutCase => ({
    name: `${name} twice, the second one as text`,
    mutate: (control) => withPayload(control, adding(control.claims, `${JSON.stringify(name)}:"x"`)),
    reason: rejectedFor(malformed("payload", "duplicate"))
  })),
  ...[String.raw`"\u006eonce":"n"`, String.raw`"\u006e\u006f\u006e\u0063\u0065":null`].map((member): LogoutCase => ({
    name: `nonce written as ${member}`,
    mutate: (control) => withPayload(control, adding(control.claims, member)),
    reason: noncePresent
  })),
  {
    name: "an event that appears twice",
    mutate: (control) =>
      withPayload(
        control,
        JSON.stringify(control.claims).replace(`${JSON.stringify(event)}:{}`, (one) => `${one},${one}`)
      ),
    reason: rejectedFor(malformed("payload", "duplicate"))
  },
  {
    name: "another trusted issuer, signed by this one",
    mutate: (control) => withClaims(control, { iss: neighbour }),
    reason: rejectedFor({ _tag: "KeyNotFound", reason: "unknown" })
  },
  {
    name: "signed by another trusted issuer under this one's kid",
    mutate: (control) => withClaims(control, {}, control.neighbour),
    reason: rejectedFor(signatureInvalid)
  },
  {
    name: "signed by a stranger",
    mutate: (control) => withClaims(control, {}, control.stranger),
    reason: rejectedFor(signatureInvalid)
  },
  {
    name: "an ID token",
    mutate: async (control) =>
      withHeader(
        { ...control, claims: { ...control.claims, events: undefined, nonce: "n", jti: undefined } },
        { typ: undefined }
      ),
    reason: rejectedFor(missing("jti"))
  },
  {
    name: "an unsigned token",
    mutate: (control) => withHeader(control, { alg: "none" }),
    reason: rejectedFor(algorithmUnsupported)
  },
  ...["at+jwt", "dpop+jwt", "secevent+jwt", "logout", "logout jwt", "", "logout+jwt;x=1"].map((typ): LogoutCase => ({
    name: `typ ${typ}`,
    mutate: (control) => withHeader(control, { typ }),
    reason: rejectedFor(typeMismatch)
  }))
]

const untyped: ReadonlyArray<LogoutCase> = ["JWT", undefined, "jwt", "application/JWT"].map((typ) => ({
  name: `typ ${typ} where logout+jwt is required`,
  mutate: (control) => withHeader(control, { typ }),
  reason: rejectedFor(typeMismatch)
}))

describe("Hostile logout tokens", () => {
  for (const alg of algorithms) {
    it.effect(`[K-40] [R1] [R2] [T1] [T2] rejects every mutation of the corpus, with ${alg}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* mismatches(alg, general(alg), false), [])
      }))

    it.effect(`[K-40] [R21] rejects what only a logout token can have wrong, with ${alg}; errors contain nothing of it`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* mismatches(alg, ofLogoutTokens, false), [])
      }))
  }

  it.effect("[K-40] rejects other types where logout+jwt is required", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* mismatches("ES256", [...ofLogoutTokens, ...untyped], true).pipe(
          Effect.map((all) => all.filter(({ name }) => name !== "an ID token"))
        ),
        []
      )
    }))

  it("[K-40] has at least 150 mutations of their own and 400 in all", () => {
    const names = ofLogoutTokens.map(({ name }) => name)
    assert.deepStrictEqual(names.filter((name, at) => names.indexOf(name) !== at), [])
    console.log(`${names.length} mutations of logout tokens, ${names.length + general("ES256").length} in all`)
    assert.isAtLeast(names.length, 150)
    assert.isAtLeast(names.length + general("ES256").length, 400)
  })
})
