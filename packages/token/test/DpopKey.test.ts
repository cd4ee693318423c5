import { assert, describe, it } from "@effect/vitest"
import * as Dpop from "dpop"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { decodeJwt, decodeProtectedHeader } from "jose"
import { inspect } from "node:util"
import { DpopKey } from "../src/index.ts"
import { dpopError } from "../src/internal/dpop/clientChallenge.ts"
import { makeNonces } from "../src/internal/dpop/clientNonces.ts"
import { hashOf, readProof } from "./proofs.ts"

const url = new URL("https://api.example:8443/a%20b?c=d#e")

const generatePair = (
  extractable: boolean,
  algorithm: EcKeyGenParams | string = { name: "ECDSA", namedCurve: "P-256" }
) =>
  Effect.promise(async (): Promise<CryptoKeyPair> => {
    const pair = await crypto.subtle.generateKey(algorithm, extractable, ["sign", "verify"])
    if (!("privateKey" in pair)) throw new Error("not a pair")
    return pair
  })

describe("DpopKey", () => {
  it.effect("[K-23] [R29] a proof has the claims of RFC 9449, 4.2, with the time of Effect's clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_999)
      const key = yield* DpopKey.generate()
      const accessToken = Redacted.make("token")
      const [bare, bound] = yield* Effect.all([
        key.proof({ method: "POST", url }),
        key.proof({ method: "GET", url, accessToken })
      ])
      const { jti, ...claims } = yield* Effect.promise(() => readProof(Redacted.value(bare)))
      assert.match(jti, /^[0-9a-f-]{36}$/)
      assert.deepInclude(claims, {
        htm: "POST",
        htu: "https://api.example:8443/a%20b",
        iat: 1_700_000_000,
        ath: undefined,
        nonce: undefined,
        jkt: key.thumbprint
      })
      const other = yield* Effect.promise(() => readProof(Redacted.value(bound)))
      assert.deepInclude(other, { htm: "GET", ath: hashOf("token"), jkt: key.thumbprint })
      assert.notStrictEqual(other.jti, jti)
    }).pipe(Effect.scoped))

  it.effect("[K-23] a given pair signs, and the same pair has the same thumbprint", () =>
    Effect.gen(function*() {
      for (const algorithm of [{ name: "ECDSA", namedCurve: "P-521" }, "Ed25519"] as const) {
        const pair = yield* generatePair(false, algorithm)
        const key = yield* DpopKey.fromKeyPair(pair)
        assert.strictEqual(key.thumbprint, (yield* DpopKey.fromKeyPair(pair)).thumbprint)
        const proof = yield* key.proof({ method: "GET", url })
        assert.strictEqual((yield* Effect.promise(() => readProof(Redacted.value(proof)))).jkt, key.thumbprint)
      }
    }))

  it.effect("[R21] a pair that can be extracted, that does not belong together or cannot sign is KEY_INVALID", () =>
    Effect.gen(function*() {
      const [one, two, open] = yield* Effect.all([generatePair(false), generatePair(false), generatePair(true)])
      const agreement = yield* Effect.promise(() =>
        crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"])
      )
      for (
        const pair of [
          open,
          { privateKey: one.privateKey, publicKey: two.publicKey },
          { privateKey: one.publicKey, publicKey: one.publicKey },
          agreement
        ]
      ) {
        const error = yield* Effect.flip(DpopKey.fromKeyPair(pair))
        assert.deepStrictEqual([error.code, error.details["path"]], ["KEY_INVALID", "dpopKey"])
      }
    }))

  it.effect("[R21] neither the key nor a proof is shown", () =>
    Effect.gen(function*() {
      const key = yield* DpopKey.generate()
      const proof = yield* key.proof({ method: "GET", url })
      assert.deepStrictEqual(JSON.parse(JSON.stringify(key)), { algorithm: "ES256", thumbprint: key.thumbprint })
      assert.notInclude(inspect(key, { depth: 10 }), "CryptoKey")
      assert.notInclude(`${JSON.stringify(proof)} ${inspect(proof)}`, Redacted.value(proof))
    }).pipe(Effect.scoped))

  it.effect("[K-23] an authorization server and an API at one origin have nonces of their own", () =>
    Effect.gen(function*() {
      const key = yield* DpopKey.generate()
      assert.isTrue(key.keepNonce("authorizationServer", url, "for-tokens"))
      assert.isTrue(key.keepNonce("resourceServer", url, "for-calls"))
      assert.isFalse(key.keepNonce("resourceServer", url, undefined))
      const nonceOf = (accessToken?: Redacted.Redacted) =>
        Effect.flatMap(
          key.proof({ method: "GET", url, accessToken }),
          (proof) => Effect.promise(async () => (await readProof(Redacted.value(proof))).nonce)
        )
      assert.deepStrictEqual(yield* Effect.all([nonceOf(), nonceOf(Redacted.make("token"))]), [
        "for-tokens",
        "for-calls"
      ])
    }).pipe(Effect.scoped))

  it("[K-23] holds the nonces of 100 servers, and no header that is not a nonce", () => {
    const nonces = makeNonces()
    const server = (number: number) => new URL(`https://s${number}.example/path`)
    for (let i = 0; i <= 100; i++) nonces.keep("resourceServer", server(i), `n${i}`)
    assert.isUndefined(nonces.get("resourceServer", server(0)))
    assert.strictEqual(nonces.get("resourceServer", server(1)), "n1")
    for (const header of ["", " ", "a b", "a\"b", "a\\b", "ä", "n".repeat(1025), "one, two"]) {
      assert.isFalse(nonces.keep("resourceServer", server(1), header), header)
    }
    assert.strictEqual(nonces.get("resourceServer", server(1)), "n1")
    assert.isTrue(nonces.keep("resourceServer", server(1), "n".repeat(1024)))
  })
})

describe("Proofs of other libraries", () => {
  it.live("[K-23] the library dpop makes a proof of the same members, for the same key and URL", () =>
    Effect.gen(function*() {
      const pair = yield* generatePair(false)
      const key = yield* DpopKey.fromKeyPair(pair)
      const accessToken = "token"
      key.keepNonce("resourceServer", url, "nonce")
      const own = Redacted.value(yield* key.proof({ method: "GET", url, accessToken: Redacted.make(accessToken) }))
      const other = yield* Effect.promise(() =>
        Dpop.generateProof(pair, `${url.origin}${url.pathname}`, "GET", "nonce", accessToken)
      )
      const membersOf = (proof: string) => {
        const { jti, iat, ...claims } = decodeJwt(proof)
        assert.isString(jti)
        assert.isNumber(iat)
        return { header: decodeProtectedHeader(proof), claims }
      }
      assert.deepStrictEqual(membersOf(own), membersOf(other))
      assert.strictEqual(key.thumbprint, yield* Effect.promise(() => Dpop.calculateThumbprint(pair.publicKey)))
    }))
})

describe("The error of a DPoP challenge", () => {
  for (
    const [header, error] of [
      ["DPoP error=\"use_dpop_nonce\"", "use_dpop_nonce"],
      ["dpop error=use_dpop_nonce", "use_dpop_nonce"],
      ["DPoP algs=\"ES256 PS256\" , error = \"invalid_token\"", "invalid_token"],
      ["Bearer realm=\"a\", error=\"invalid_token\", DPoP algs=\"ES256\", error=\"use_dpop_nonce\"", "use_dpop_nonce"],
      ["DPoP error=\"use_dpop_nonce\", Bearer error=\"invalid_token\"", "use_dpop_nonce"],
      ["Negotiate abc==, DPoP error=\"use_dpop_nonce\"", "use_dpop_nonce"],
      ["Bearer error=\"use_dpop_nonce\"", undefined],
      ["Bearer realm=\"DPoP error=use_dpop_nonce\"", undefined],
      ["Bearer realm=\"a\\\", DPoP error=\\\"use_dpop_nonce\"", undefined],
      ["DPoP", undefined],
      ["", undefined],
      [undefined, undefined],
      [`DPoP error="use_dpop_nonce", realm="${"a".repeat(8192)}"`, undefined]
    ] as const
  ) {
    it(`[K-23] of ${header?.slice(0, 80)} is ${error}`, () => {
      assert.strictEqual(dpopError(header), error)
    })
  }
})
