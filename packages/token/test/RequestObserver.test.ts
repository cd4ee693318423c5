import { assert, describe, it } from "@effect/vitest"
import { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import { Effect, Layer } from "effect"
import { protectedServer, tokenWith } from "./HttpSecuritySuite.ts"
import { bearer, variants } from "./protectedServer.ts"

describe("RequestObserver", () => {
  // A server without Effect has no context in which an observer could be.
  for (const [name, variant] of variants.filter(([name]) => !name.includes("without"))) {
    it.live(`[S2-22] ${name} says who calls, and why a caller is rejected; never the token`, () =>
      Effect.gen(function*() {
        const seen: Array<readonly [string, string | undefined]> = []
        const observer = Layer.succeed(RequestObserver, {
          authenticated: (user) => seen.push(["authenticated", user]),
          rejected: (code) => seen.push(["rejected", code])
        })
        const { send } = yield* protectedServer(variant, {}, observer)
        yield* send("GET /me", bearer(yield* tokenWith({ sub: "alice" })))
        yield* send("GET /me")
        yield* send("GET /me", bearer("a.b.c"))
        yield* send("GET /me", bearer(yield* tokenWith({ exp: 1 })))
        assert.deepStrictEqual(seen, [
          ["authenticated", "alice"],
          ["rejected", "TOKEN_MISSING"],
          ["rejected", "TOKEN_INVALID"],
          ["rejected", "TOKEN_EXPIRED"]
        ])
      }))
  }
})
