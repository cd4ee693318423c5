/** What libraries make of tokens that a trusted key has signed: the table in docs/comparison.md is held to it. */
import { assert, describe, it } from "@effect/vitest"
import { StaticKeys } from "@keelson/jwks"
import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
import { JwtVerifier } from "aws-jwt-verify"
import { Clock, Effect, Layer } from "effect"
import { createVerifier } from "fast-jwt"
import { exportJWK, jwtVerify } from "jose"
import jwt from "jsonwebtoken"
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const issuer = "https://idp.example"
const audience = "api"
const rules = { issuer, audience, algorithms: ["RS256" as const] }

class Tokens extends TokenValidator.Service<Tokens>()("test/Comparison", { claims: Claims.Jwt }) {}
const policy = ValidationPolicy.jwt({ issuers: [issuer], audiences: [audience], algorithms: ["RS256"] })

const base64url = (text: string) => Buffer.from(text).toString("base64url")

const make = (key: KeyObject, payload: string, header: Readonly<Record<string, unknown>> = {}): string => {
  const head = base64url(JSON.stringify({ alg: "RS256", typ: "JWT", kid: "1", ...header }))
  const signed = `${head}.${base64url(payload)}`
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** Tokens by what is odd with them. */
const casesOf = (key: KeyObject, now: number): Readonly<Record<string, ReadonlyArray<string>>> => {
  const claims = { iss: issuer, aud: audience, sub: "user", iat: now, exp: now + 3600 }
  const payload = JSON.stringify(claims)
  const good = make(key, payload)
  return {
    "a good token": [good],
    "no `exp`": [make(key, JSON.stringify({ ...claims, exp: undefined }))],
    "`exp` of 1e999, which is infinite": [make(key, payload.replace(/"exp":\d+/, "\"exp\":1e999"))],
    "two members `sub`": [make(key, payload.replace("\"sub\"", "\"sub\":\"admin\",\"sub\""))],
    "`crit` with an unknown extension": [make(key, payload, { crit: ["x"], x: true })],
    "`typ` of another kind (`dpop+jwt`)": [make(key, payload, { typ: "dpop+jwt" })],
    "issued in the future (`iat`)": [make(key, JSON.stringify({ ...claims, iat: now + 1000 }))],
    "a payload of 1 MB": [make(key, JSON.stringify({ ...claims, pad: "x".repeat(1_000_000) }))],
    "another spelling of the signature": Array.from(alphabet).filter((char) => char !== good.at(-1)).map((char) =>
      good.slice(0, -1) + char
    ),
    "a signature with padding": [`${good}==`]
  }
}

type Verify = (token: string) => Promise<unknown>

const makeVerifiers = Effect.gen(function*() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const jwk = { ...yield* Effect.promise(() => exportJWK(publicKey)), kid: "1", alg: "RS256", use: "sig" }
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString()
  const keys = StaticKeys.layer({ issuers: [issuer], keys: [{ id: "1", algorithm: "RS256", jwk }] })
  const validator = yield* Layer.build(Tokens.layer(policy).pipe(Layer.provide(keys)))
  const fast = createVerifier({ key: pem, algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience })
  const aws = JwtVerifier.create({ issuer, audience, jwksUri: `${issuer}/jwks` })
  aws.cacheJwks({ keys: [{ kty: "RSA", n: jwk.n ?? "", e: jwk.e ?? "", kid: "1", alg: "RS256", use: "sig" }] })
  const verifiers: Readonly<Record<string, Verify>> = {
    "Keelson": (token) =>
      Effect.runPromise(
        Effect.flatMap(Tokens, (tokens) => tokens.validate(token)).pipe(Effect.provideContext(validator))
      ),
    "jose": (token) => jwtVerify(token, publicKey, rules),
    "fast-jwt": async (token) => fast(token) as unknown,
    "jsonwebtoken": async (token) => jwt.verify(token, pem, rules),
    "aws-jwt-verify": (token) => aws.verify(token)
  }
  return { privateKey, verifiers }
})

/** `refused`, `accepted`, or of how many which part was accepted. */
const judge = async (verify: Verify, tokens: ReadonlyArray<string>): Promise<string> => {
  const outcomes = await Promise.all(tokens.map((token) => verify(token).then(() => true, () => false)))
  const accepted = outcomes.filter(Boolean).length
  if (accepted === 0) return "refused"
  return accepted === outcomes.length ? "accepted" : `${accepted} of ${outcomes.length}`
}

const page = readFileSync(join(import.meta.dirname, "../../../docs/comparison.md"), "utf8")
const rows = page.split("\n").filter((line) => line.startsWith("| ")).map((line) =>
  line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("**", ""))
)

describe("hostile tokens", () => {
  it.live("the comparison says of each library what it does", () =>
    Effect.gen(function*() {
      const { privateKey, verifiers } = yield* makeVerifiers
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      assert.isTrue(rows.some((row) => row.slice(1).join() === Object.keys(verifiers).join()))
      for (const [title, tokens] of Object.entries(casesOf(privateKey, now))) {
        const found = yield* Effect.promise(() =>
          Promise.all(Object.values(verifiers).map((verify) => judge(verify, tokens)))
        )
        assert.deepStrictEqual(rows.find(([first]) => first === title)?.slice(1), found, title)
      }
    }))
})
