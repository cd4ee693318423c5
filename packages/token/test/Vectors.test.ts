/** Examples of the standards: RFC 7515 (appendix A), RFC 8037 (appendix A), RFC 9068 (2). */
import { assert, describe, it } from "@effect/vitest"
import { KeySource, StaticKeys } from "@keelson/jwks"
import { keysOf, pairOf, reasonOf, sign, validatorOf } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import { type TokenError, ValidationPolicy } from "../src/index.ts"
import { splitToken } from "../src/internal/validation/compactJws.ts"
import { decodeCanonical } from "../src/internal/validation/platform.ts"
import { nodeCrypto, type VerifySignature, webCrypto } from "../src/internal/validation/signature.ts"

/** `{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}` */
const joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

const hmac = {
  name: "RFC 7515, A.1",
  algorithm: "HS256",
  token: `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${joe}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`,
  secret: "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
} as const

/** Examples of public keys. */
const examples = [
  {
    name: "RFC 7515, A.2",
    algorithm: "RS256",
    token:
      `eyJhbGciOiJSUzI1NiJ9.${joe}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`,
    jwk: {
      kty: "RSA",
      n: "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
      e: "AQAB"
    }
  },
  {
    name: "RFC 7515, A.3",
    algorithm: "ES256",
    token:
      `eyJhbGciOiJFUzI1NiJ9.${joe}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`,
    jwk: {
      kty: "EC",
      crv: "P-256",
      x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
      y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    }
  },
  {
    name: "RFC 7515, A.4",
    algorithm: "ES512",
    token:
      "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    jwk: {
      kty: "EC",
      crv: "P-521",
      x: "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
      y: "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"
    }
  },
  {
    name: "RFC 8037, A.4",
    algorithm: "EdDSA",
    token:
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    jwk: { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }
  }
] as const

const algorithms = ["RS256", "ES256", "ES512", "EdDSA", "HS256"] as const
const issuers = ["joe"]

/** All example keys, without ids, since the examples have none. */
const source = StaticKeys.layer({
  issuers,
  keys: [
    ...examples.map(({ algorithm, jwk }) => ({ algorithm, jwk })),
    { algorithm: hmac.algorithm, secret: Redacted.make(hmac.secret), encoding: "base64url" }
  ]
})

/** Whether a signature is valid, whatever the claims are. */
const isSigned = Effect.fnUntraced(function*(alg: string, token: string, verify: VerifySignature) {
  const keys = Context.get(yield* Layer.build(source), KeySource.KeySource)
  const [candidate] = yield* keys.find("joe", { alg })
  const { signature, signed } = Result.getOrThrow(splitToken(token, 4096))
  const bytes = decodeCanonical(signature)
  assert.isDefined(candidate)
  assert.isDefined(bytes)
  return yield* Effect.promise(async () =>
    await verify(alg, candidate.key, bytes, new TextEncoder().encode(signed), candidate.jwk)
  )
})

describe("The standards' own examples", () => {
  it.effect.each([hmac, ...examples])(
    "[S4-36] [K-08] [K-29] $name ($algorithm) verifies with both engines, and not with a bit of it changed",
    ({ algorithm, token }) =>
      Effect.gen(function*() {
        const at = token.lastIndexOf(".") - 3
        const other = `${token.slice(0, at)}${token.charAt(at) === "x" ? "y" : "x"}${token.slice(at + 1)}`
        for (const verify of [nodeCrypto, webCrypto]) {
          assert.isDefined(verify)
          assert.isTrue(yield* isSigned(algorithm, token, verify))
          assert.isFalse(yield* isSigned(algorithm, other, verify))
        }
      })
  )

  it.effect("[K-08] [T1] none of them is an access token for anybody: they have no audience, no JSON, or no signature", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_300_819_000_000)
      const tokens = yield* validatorOf(ValidationPolicy.jwt({ issuers, audiences: ["joe"], algorithms }), source)
      const reasons = yield* Effect.forEach(
        [hmac, ...examples],
        ({ token }) => reasonOf(tokens.validate(token))
      )
      const audience: TokenError.Reason = { _tag: "ClaimMissing", claim: "aud" }
      const json: TokenError.Reason = { _tag: "TokenMalformed", part: "payload", problem: "json" }
      assert.deepStrictEqual(reasons, [audience, audience, audience, json, json])
      // RFC 7515, A.5, and RFC 7519, 6.1.
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(`eyJhbGciOiJub25lIn0.${joe}.`)), {
        _tag: "AlgorithmUnsupported"
      })
      // RFC 7515, A.7: flattened JSON.
      const [head, , signature] = examples[1].token.split(".")
      const flattened = JSON.stringify({ payload: joe, protected: head, header: { kid: "e9bc097a" }, signature })
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(flattened)), {
        _tag: "TokenMalformed",
        part: "token",
        problem: "segments"
      })
    }))

  it.effect("[K-08] the access token of RFC 9068, 2.2 passes at its time, signed by a key of our own", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_618_354_090_000)
      const pair = yield* pairOf("RS256", "RjEwOwOA")
      const claims = {
        iss: "https://authorization-server.example.com/",
        sub: "5ba552d67",
        aud: "https://rs.example.com/",
        exp: 1_639_528_912,
        iat: 1_618_354_090,
        jti: "dbe39bf3a3ba4238a513f51d6e1691c4",
        client_id: "s6BhdRkqt3",
        scope: "openid profile reademail"
      }
      const policy = ValidationPolicy.accessToken({
        issuers: [claims.iss],
        audiences: [claims.aud],
        algorithms: ["RS256"]
      })
      const tokens = yield* validatorOf(policy, keysOf([pair], [claims.iss]))
      const validated = yield* tokens.validate(yield* sign(pair, claims, { typ: "at+JWT" }))
      assert.deepEqual<unknown>(validated.claims, claims)
      assert.deepStrictEqual(validated.registered.scopes, ["openid", "profile", "reademail"])
      yield* TestClock.setTime(1_639_528_943_000)
      assert.strictEqual((yield* reasonOf(tokens.validate(yield* sign(pair, claims))))._tag, "TokenExpired")
    }))
})
