import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeNames } from "../src/internal/revocation/redisNames.ts"
import { hashText } from "../src/internal/validation/platform.ts"
import { issuer, token } from "./RevocationSuite.ts"

describe("redisNames", () => {
  it.effect("[K-04] processes on platforms with and without a hash at once have the same names", () =>
    Effect.gen(function*() {
      assert.isDefined(hashText)
      const ids = ["", "a", "\u00e4\u{1f511}", "\ud800", "x".repeat(10_000)]
      for (const id of ids) {
        for (const kind of ["jti", "sid", "sub"] as const) {
          const name = yield* makeNames("p:", hashText).nameOf({ id, issuer, kind })
          assert.match(name, /^p:\{[\w-]{43}\}:(jti|sid|sub):[\w-]{43}$/)
          assert.strictEqual(yield* makeNames("p:", undefined).nameOf({ id, issuer, kind }), name)
          assert.deepStrictEqual(yield* makeNames("p:", hashText).namesOf(token({ [kind]: id, iat: 1 })), [name])
        }
      }
    }))

  it.effect("[K-04] the keys of one token are in one place of a cluster, and each of its own name", () =>
    Effect.gen(function*() {
      const names = yield* makeNames("", hashText).namesOf(token({ jti: "a", sid: "a", sub: "a" }))
      assert.strictEqual(new Set(names).size, 3)
      assert.strictEqual(new Set(names.map((name) => /\{.*\}/.exec(name)?.[0])).size, 1)
    }))
})
