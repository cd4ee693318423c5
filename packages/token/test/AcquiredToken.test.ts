import { assert, describe, it } from "@effect/vitest"
import * as Instant from "@keelson/core/unstable/Instant"
import { Clock, Duration, Effect, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { AcquiredToken } from "../src/index.ts"
import { living, providerOf } from "./tokenSupport.ts"

const at = { monotonic: 0n, wall: 1_000_000 }
const tokenOf = (members: Partial<AcquiredToken.Members> = {}) =>
  new AcquiredToken.AcquiredToken({
    value: Redacted.make("the-token"),
    issuedAt: at,
    expiresAt: Instant.after(at, 300_000),
    ...members
  })

describe("AcquiredToken", () => {
  it.effect("[S2-04] has value, times, scope, and whether it is being refreshed", () =>
    Effect.gen(function*() {
      const { provider } = yield* providerOf(living("300 seconds", "read write"))
      const token = yield* provider.get
      assert.deepInclude(token, { scope: "read write", scoped: true, refreshInProgress: false })
      assert.strictEqual(token.expiresAt.wall - token.issuedAt.wall, 300_000)
      yield* TestClock.adjust("100 seconds")
      const now = Instant.now(yield* Clock.Clock)
      assert.deepStrictEqual(Duration.toSeconds(token.remaining(now)), 200)
      yield* TestClock.adjust("1 hour")
      assert.isTrue(Duration.isZero(token.remaining(Instant.now(yield* Clock.Clock))))
    }).pipe(Effect.scoped))

  it("[S2-04] [K-28 C3] a token with an empty scope is not scoped; without a scope that is unknown", () => {
    assert.strictEqual(tokenOf().scoped, "unknown")
    assert.isFalse(tokenOf({ scope: "" }).scoped)
    assert.isTrue(tokenOf({ scope: "read" }).scoped)
  })

  it("[R21] shows its value neither as text nor as JSON", () => {
    const token = tokenOf({ scope: "read" })
    for (const text of [inspect(token, { depth: 9 }), JSON.stringify(token)]) {
      assert.notInclude(text, "the-token")
    }
    assert.deepStrictEqual(JSON.parse(JSON.stringify(token)), {
      issued_at: 1_000_000,
      expires_at: 1_300_000,
      scoped: true,
      refresh_in_progress: false
    })
  })

  it("[K-23] a token that is bound to a key says so, also after it was restored from a snapshot", () => {
    const bound = tokenOf({ tokenType: "DPoP" })
    assert.deepStrictEqual([tokenOf().tokenType, bound.tokenType], ["Bearer", "DPoP"])
    assert.deepInclude(JSON.parse(JSON.stringify(bound)), { token_type: "DPoP" })
    for (const token of [tokenOf(), bound]) {
      const encoded = Schema.encodeSync(AcquiredToken.Snapshot)(AcquiredToken.snapshot(token, at, { value: true }))
      assert.strictEqual(encoded.token_type, token === bound ? "DPoP" : undefined)
      const restored = AcquiredToken.restore(Schema.decodeSync(AcquiredToken.Snapshot)(encoded), at)
      assert.strictEqual(restored?.tokenType, token.tokenType)
    }
  })

  it("[S2-16] [R20] a snapshot has the members of the row once encoded, and the value only on request", () => {
    const later = Instant.after(at, 100_500)
    const snapshot = AcquiredToken.snapshot(tokenOf(), later)
    assert.deepStrictEqual(snapshot, {
      issuedAt: 1_000_000,
      expiresAt: 1_300_000,
      remainingSeconds: 199.5,
      scoped: "unknown",
      refreshInProgress: false
    })
    assert.deepStrictEqual(Schema.encodeSync(AcquiredToken.Snapshot)(snapshot), {
      issued_at: 1_000_000,
      expires_at: 1_300_000,
      remaining_seconds: 199.5,
      scoped: "unknown",
      refresh_in_progress: false
    })
    const value = AcquiredToken.snapshot(tokenOf(), later, { value: true }).value
    assert.strictEqual(value && Redacted.value(value), "the-token")
    assert.strictEqual(AcquiredToken.snapshot(tokenOf(), Instant.after(at, 1e9)).remainingSeconds, 0)
  })

  it.effect("[S2-04] [S2-16] a snapshot round-trips through JSON", () =>
    Effect.gen(function*() {
      const token = tokenOf({ scope: "read" })
      const snapshot = AcquiredToken.snapshot(token, at, { value: true })
      const json = JSON.stringify(yield* Schema.encodeEffect(AcquiredToken.Snapshot)(snapshot))
      const decoded = yield* Schema.decodeUnknownEffect(AcquiredToken.Snapshot)(JSON.parse(json))
      const restored = AcquiredToken.restore(decoded, at)
      assert.deepStrictEqual(restored && AcquiredToken.snapshot(restored, at), AcquiredToken.snapshot(token, at))
      assert.deepStrictEqual(restored?.expiresAt, token.expiresAt)
      assert.strictEqual(restored && Redacted.value(restored.value), "the-token")
      assert.strictEqual(AcquiredToken.restore(AcquiredToken.snapshot(token, at), at), undefined)
    }))
})
