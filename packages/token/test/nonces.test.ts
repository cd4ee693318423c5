import { assert, describe, it } from "@effect/vitest"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { BearerAuthentication, type BindingOptions, HttpSecurity, HttpSecurityError } from "../src/index.ts"
import { baseUrl, boundRequest, boundToken, makeProof, proofSigner } from "./proofSupport.ts"
import { Caller, Tokens, tokensOf } from "./protectedServer.ts"

const api = Effect.fnUntraced(function*(dpop: BindingOptions.DPoPOptions) {
  const tokens = tokensOf(keysOf([yield* pairOf("ES256")]))
  return yield* Effect.provide(
    BearerAuthentication.make({
      validator: Tokens,
      principal: Caller,
      dpop: { nonce: "required", noncePeriod: "5 minutes", ...dpop },
      baseUrls: [baseUrl]
    }),
    Layer.merge(tokens, HttpSecurity.layerRedaction())
  )
})
type Api = Effect.Success<ReturnType<typeof api>>

const scene = Effect.gen(function*() {
  yield* TestClock.setTime(1_800_000_000_000)
  const signer = yield* proofSigner()
  const token = yield* boundToken(signer)
  /** Sends a proof with a nonce. Returns the nonce of the response, and whether the proof was accepted. */
  const send = Effect.fnUntraced(function*({ authenticate, cacheHeaders }: Api, nonce?: string) {
    const request = boundRequest(token, yield* makeProof(signer, token, { nonce }))
    const result = yield* Effect.match(authenticate(request), {
      onFailure: (error) => {
        assert.instanceOf(error, HttpSecurityError.Unauthorized)
        assert.strictEqual(error.code, "DPOP_NONCE_REQUIRED")
        return { isAccepted: false, next: error.nonce }
      },
      onSuccess: () => ({ isAccepted: true, next: undefined })
    })
    const headers: Readonly<Record<string, string>> = cacheHeaders(request, {})
    const { isAccepted } = result
    return { isAccepted, next: isAccepted ? headers["dpop-nonce"] : result.next, headers }
  })
  return { send }
})

describe("Nonces of an API", () => {
  it.effect("[K-23] are valid for one to two periods, and a good response has the next one", () =>
    Effect.gen(function*() {
      const { send } = yield* scene
      const one = yield* api({})
      const { next: first } = yield* send(one)
      assert.deepInclude(yield* send(one, first), { isAccepted: true, next: undefined })
      yield* TestClock.adjust("5 minutes")
      const late = yield* send(one, first)
      assert.isTrue(late.isAccepted)
      assert.isDefined(late.next)
      assert.notStrictEqual(late.next, first)
      assert.strictEqual(late.headers["cache-control"], "no-store")
      yield* TestClock.adjust("5 minutes")
      const tooLate = yield* send(one, first)
      assert.isFalse(tooLate.isAccepted)
      assert.deepInclude(yield* send(one, late.next), { isAccepted: true })
    }))

  it.effect("[K-23] are those of all processes with the same key, also where a clock is ahead", () =>
    Effect.gen(function*() {
      const { send } = yield* scene
      const nonceKey = Redacted.make("a secret that all processes of the API have")
      const [one, two, other] = [yield* api({ nonceKey }), yield* api({ nonceKey }), yield* api({})]
      const { next } = yield* send(one)
      assert.isTrue((yield* send(two, next)).isAccepted)
      assert.isFalse((yield* send(other, next)).isAccepted)
      yield* TestClock.adjust("5 minutes")
      const ahead = (yield* send(one)).next
      yield* TestClock.setTime(1_800_000_000_000)
      assert.isTrue((yield* send(two, ahead)).isAccepted)
      // Two periods ahead is no clock that is a little wrong.
      yield* TestClock.adjust("10 minutes")
      const far = (yield* send(one)).next
      yield* TestClock.setTime(1_800_000_000_000)
      assert.isFalse((yield* send(two, far)).isAccepted)
    }))

  it.effect("[K-23] are not guessed, and no other text is one", () =>
    Effect.gen(function*() {
      const { send } = yield* scene
      const one = yield* api({})
      const { next = "" } = yield* send(one)
      for (const wrong of ["", "x", `${next} `, next.toLowerCase(), next.slice(1), `${next}=`]) {
        assert.isFalse((yield* send(one, wrong)).isAccepted, wrong)
      }
    }))
})
