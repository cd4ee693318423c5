import { assert, describe, it } from "@effect/vitest"
import { KeySource, StaticKeys } from "@keelson/jwks"
import { forAllEffect } from "@keelson/testing/properties"
import { audience, goodClaims, issuer, pairOf, sign } from "@keelson/testing/tokens"
import { Claims, Signatures, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Context, Effect, Layer } from "effect"
import fc from "fast-check"
import { createPublicKey, sign as signWithNode, verify as verifyWithNode } from "node:crypto"
import { ecdsaSignature, makeVerifyWithNode, type NodeCrypto } from "../src/internal/validation/nodeSignature.ts"
import { isNodeOf } from "../src/internal/validation/platform.ts"
import { nodeCrypto, SignatureVerifier, type VerifySignature, webCrypto } from "../src/internal/validation/signature.ts"

const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"] as const
type Alg = (typeof algorithms)[number]

/** A token of an algorithm in the form in which a verifier gets it, with its key. */
const signedBy = Effect.fnUntraced(function*(alg: Alg) {
  const pair = yield* pairOf(alg)
  const keys = StaticKeys.layer({ issuers: [issuer], keys: [{ algorithm: alg, jwk: { ...pair.publicJwk } }] })
  const source = Context.get(yield* Layer.build(keys), KeySource.KeySource)
  const [candidate] = yield* source.find(issuer, { alg })
  assert.isDefined(candidate)
  const token = yield* sign(pair, yield* goodClaims)
  const at = token.lastIndexOf(".")
  return {
    candidate,
    signature: new Uint8Array(Buffer.from(token.slice(at + 1), "base64url")),
    signed: new TextEncoder().encode(token.slice(0, at))
  }
})

const node: VerifySignature = (...call) => nodeCrypto?.(...call) ?? assert.fail("no node:crypto")

class Tokens extends TokenValidator.Service<Tokens>()("test/Tokens", { claims: Claims.AccessToken }) {}

describe("Signatures", () => {
  it.effect("[K-29] on Node, node:crypto verifies by default: RSA signatures at once, all others on another thread", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* SignatureVerifier, nodeCrypto)
      for (const alg of algorithms) {
        const { candidate, signature, signed } = yield* signedBy(alg)
        const result = node(alg, candidate.key, signature, signed, candidate.jwk)
        assert.strictEqual(typeof result === "boolean", alg.startsWith("RS") || alg.startsWith("PS"), alg)
        assert.isTrue(yield* Effect.promise(async () => await result), alg)
      }
    }))

  it("[K-29] both engines agree on every signature, whatever was changed in it, its text or its key", (context) =>
    forAllEffect(
      context,
      400,
      fc.record({
        alg: fc.constantFrom(...algorithms),
        other: fc.constantFrom(...algorithms),
        change: fc.constantFrom("none", "flip", "cut", "grow", "zeroR", "zeroS", "text", "alg", "key"),
        at: fc.nat(),
        bit: fc.nat(7)
      }),
      ({ alg, at, bit, change, other }) =>
        Effect.gen(function*() {
          const { candidate, signature: good, signed: text } = yield* signedBy(alg)
          const key = change === "key" ? (yield* signedBy(other)).candidate : candidate
          const half = good.length / 2
          const signature = change === "cut"
            ? good.slice(0, at % good.length)
            : change === "grow"
            ? Uint8Array.of(...good, bit)
            : good.slice()
          if (change === "flip") signature[at % good.length]! ^= 1 << bit
          if (change === "zeroR") signature.fill(0, 0, half)
          if (change === "zeroS") signature.fill(0, half)
          const signed = text.slice()
          if (change === "text") signed[at % signed.length]! ^= 1 << bit
          const named = change === "alg" ? other : alg
          const verdicts = yield* Effect.forEach(
            [node, webCrypto],
            (verify) => Effect.promise(async () => await verify(named, key.key, signature, signed, key.jwk))
          )
          assert.deepStrictEqual(verdicts[0], verdicts[1], `${alg} ${change}`)
          const isUnchanged = change === "none" || (change === "key" && key === candidate) || named === alg
          if (!isUnchanged) assert.isFalse(verdicts[0])
          if (change === "none") assert.isTrue(verdicts[0])
        }).pipe(Effect.scoped)
    ))

  it.effect("[K-29] layerWebCrypto and layerNodeCrypto force an engine for a validator", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const token = yield* sign(pair, yield* goodClaims)
      const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["RS256"] })
      const keys = StaticKeys.layer({ issuers: [issuer], keys: [{ algorithm: "RS256", jwk: { ...pair.publicJwk } }] })
      for (
        const [layer, verify] of [[Signatures.layerWebCrypto, webCrypto], [
          Signatures.layerNodeCrypto,
          nodeCrypto
        ]] as const
      ) {
        const context = yield* Layer.build(Tokens.layer(policy).pipe(Layer.provide(keys), Layer.provide(layer)))
        const { claims } = yield* Context.get(context, Tokens).validate(token)
        assert.strictEqual(claims.sub, "user-1")
        assert.strictEqual(yield* Effect.provide(SignatureVerifier, layer), verify)
      }
    }))

  it.effect("[K-29] a key whose members are not known is verified with WebCrypto", () =>
    Effect.gen(function*() {
      const { candidate, signature, signed } = yield* signedBy("RS256")
      const result = node("RS256", candidate.key, signature, signed)
      assert.isTrue(result instanceof Promise)
      assert.isTrue(yield* Effect.promise(async () => await result))
    }))

  it("[K-29] an RSA key above 4096 bits is verified on another thread, and another kind of key not by node:crypto", () => {
    const calls: Array<number> = []
    const moduleWith = (asymmetricKeyType: string, asymmetricKeyDetails: object): NodeCrypto => ({
      createPublicKey: () => ({ asymmetricKeyType, asymmetricKeyDetails }),
      verify: (...args: ReadonlyArray<unknown>) => calls.push(args.length) > 0
    })
    const key = (name: string): CryptoKey => ({
      type: "public",
      extractable: false,
      usages: ["verify"],
      algorithm: { name }
    })
    const jwk = { kty: "RSA", n: "AQ", e: "AQAB" } as const
    const bytes = new Uint8Array(64)
    const verify = (alg: string, module: NodeCrypto) => makeVerifyWithNode(module)?.(alg, key("x"), bytes, bytes, jwk)
    assert.isTrue(verify("RS256", moduleWith("rsa", { modulusLength: 4096 })))
    assert.isTrue(verify("RS256", moduleWith("rsa", { modulusLength: 4097 })) instanceof Promise)
    assert.deepStrictEqual(calls, [4, 5])
    assert.isUndefined(verify("RS256", moduleWith("ec", { namedCurve: "prime256v1" })))
    assert.isUndefined(verify("ES256", moduleWith("ec", { namedCurve: "secp384r1" })))
    assert.isUndefined(verify("EdDSA", moduleWith("ed448", {})))
    assert.isUndefined(verify("HS256", moduleWith("rsa", { modulusLength: 2048 })))
    assert.isUndefined(makeVerifyWithNode({ verify: () => true }))
  })

  it("[K-29] an ECDSA signature has the DER form that node:crypto makes, with short and negative-looking numbers too", () => {
    // 256 signatures have numbers with a first bit of one, and some with a leading zero byte.
    for (const [alg, size] of [["ES256", 32], ["ES512", 66]] as const) {
      const numbers = [
        new Uint8Array(size).fill(0),
        new Uint8Array(size).fill(0xff),
        Uint8Array.from({ length: size }, (_, at) => at === size - 1 ? 1 : 0),
        Uint8Array.from({ length: size }, (_, at) => at === size - 1 ? 0x80 : 0),
        Uint8Array.from({ length: size }, (_, at) => at === 1 ? 0x7f : 0)
      ]
      for (const r of numbers) {
        for (const s of numbers) {
          assert.deepStrictEqual(ecdsaSignature(Uint8Array.of(...r, ...s), size), derOf(r, s), alg)
        }
      }
    }
    assert.isUndefined(ecdsaSignature(new Uint8Array(63), 32))
    assert.isUndefined(ecdsaSignature(new Uint8Array(0), 32))
  })

  it.effect("[K-29] OpenSSL takes that DER form of real signatures", () =>
    Effect.gen(function*() {
      const { privateKey, publicJwk } = yield* pairOf("ES256")
      const pkcs8 = Buffer.from(yield* Effect.promise(() => crypto.subtle.exportKey("pkcs8", privateKey)))
      const key = { key: pkcs8, format: "der", type: "pkcs8", dsaEncoding: "ieee-p1363" } as const
      const publicKey = createPublicKey({ key: { ...publicJwk }, format: "jwk" })
      for (let index = 0; index < 300; index++) {
        const data = Buffer.from(`text ${index}`)
        const der = ecdsaSignature(signWithNode("sha256", data, key), 32)
        assert.isDefined(der)
        assert.isTrue(verifyWithNode("sha256", data, publicKey, der))
      }
    }))

  it("[K-29] knows Node from platforms that have parts of it", () => {
    const node = { release: { name: "node" } }
    assert.isTrue(isNodeOf({ userAgent: "Node.js/24" }, node))
    assert.isTrue(isNodeOf(undefined, node))
    for (const userAgent of ["Bun/1.4.5", "Deno/2.9.0", "Cloudflare-Workers", "Mozilla/5.0"]) {
      assert.isFalse(isNodeOf({ userAgent }, node))
    }
    assert.isFalse(isNodeOf(undefined, undefined))
  })
})

/** A number in DER (X.690, 8.3), written for comparison. */
const derNumber = (bytes: Uint8Array): ReadonlyArray<number> => {
  const digits = [...bytes]
  while (digits.length > 1 && digits[0] === 0) digits.shift()
  if (digits[0]! >= 0x80) digits.unshift(0)
  return [2, digits.length, ...digits]
}
const derOf = (r: Uint8Array, s: Uint8Array): Uint8Array => {
  const content = [...derNumber(r), ...derNumber(s)]
  return Uint8Array.of(0x30, ...(content.length < 0x80 ? [content.length] : [0x81, content.length]), ...content)
}
