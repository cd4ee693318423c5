import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ValidationPolicy } from "../src/index.ts"
import { audience, goodClaims, issuer, keysOf, pairOf, reasonOf, sign, validatorOf } from "./support.ts"

const policy = ValidationPolicy.accessToken({
  issuers: [issuer],
  audiences: [audience],
  algorithms: ["RS256", "ES256"]
})

describe("TokenValidator", () => {
  it.effect("[S0-22] [K-08] gives the claims of a good token, typed and frozen", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const tokens = yield* validatorOf(policy, keysOf([pair]))
      const claims = yield* goodClaims
      const token = yield* sign(pair, claims)
      const found = yield* tokens.validate(token)
      assert.deepInclude(found.claims, { sub: "user-1", client_id: "client-1" })
      assert.strictEqual(found, yield* tokens.validate(token))
      assert.strictEqual(
        (yield* reasonOf(tokens.validate(`${token.slice(0, -10)}AAAAAAAAAA`)))._tag,
        "SignatureInvalid"
      )
    }))
})
