// @effect-diagnostics missingEffectError:off -- what must not compile is shown here
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Data, type Duration, Effect, Schedule } from "effect"
import { HttpClient, type HttpClientError } from "effect/http"
import { type Deadline, HttpRetry, Jitter, Retry, RetryAfter, RetryPolicy } from "../src/index.ts"

class Busy extends Data.TaggedError("Busy")<{ readonly retryAfter: Duration.Duration | undefined }> {}
class Gone extends Data.TaggedError("Gone") {}
type Failure = Busy | Gone
type Exhausted<E> = Retry.RetryExhausted<E>
type Cut = Deadline.DeadlineExceeded

const call: Effect.Effect<string, Failure> = Effect.succeed("done")
const busy: Effect.Effect<string, Busy> = Effect.succeed("done")
const isBusy = (error: Failure): error is Busy => error._tag === "Busy"
const cutting = RetryPolicy.make({ attemptTimeout: "1 second" })

describe("Types of a retry", () => {
  it.effect("the error stays typed in a pipe, with a policy made in place and with one for all calls", () =>
    Effect.gen(function*() {
      const preset = call.pipe(Retry.retry(RetryPolicy.standard))
      expectTypeOf(preset).toEqualTypeOf<Effect.Effect<string, Failure | Exhausted<Failure>>>()
      const inPlace = call.pipe(Retry.retry(RetryPolicy.make({ attemptTimeout: "1 second" })))
      expectTypeOf(inPlace).toEqualTypeOf<Effect.Effect<string, Failure | Exhausted<Failure | Cut>>>()
      const forAll = Retry.retry(cutting)
      expectTypeOf(forAll(busy)).toEqualTypeOf<Effect.Effect<string, Busy | Exhausted<Busy | Cut>>>()
      const outcome = call.pipe(Retry.outcome(RetryPolicy.jwks))
      expectTypeOf(outcome).toEqualTypeOf<Effect.Effect<Retry.RetryOutcome<string, Failure | Cut>>>()
      assert.deepStrictEqual(yield* Effect.all([preset, inPlace, forAll(busy)]), ["done", "done", "done"])
    }))

  it.effect("an error that while turns down leaves the history, in a pipe too", () =>
    Effect.gen(function*() {
      type Narrowed = Effect.Effect<string, Gone | Exhausted<Busy | Cut>>
      const first = Retry.retry(call, cutting, { while: isBusy })
      const last = call.pipe(Retry.retry(cutting, { while: (error) => error._tag === "Busy" }))
      expectTypeOf(first).toEqualTypeOf<Narrowed>()
      expectTypeOf(last).toEqualTypeOf<Narrowed>()
      assert.deepStrictEqual(yield* Effect.all([first, last]), ["done", "done"])
    }))

  it.effect("a schedule refuses errors that it can't look at, the cut of an attempt included", () =>
    Effect.gen(function*() {
      const schedule = Schedule.exponential("250 millis").pipe(
        Jitter.full,
        Schedule.upTo({ duration: "8 seconds" }),
        RetryAfter.floor((error) => error.retryAfter, { ceiling: "60 seconds" })
      )
      const policy = RetryPolicy.make({ maxAttempts: 4, schedule })
      expectTypeOf(busy.pipe(Retry.retry(policy))).toEqualTypeOf<Effect.Effect<string, Busy | Exhausted<Busy>>>()
      // @ts-expect-error -- `Gone` has no `retryAfter`
      assert.isTrue(Effect.isEffect(call.pipe(Retry.retry(policy))))
      // @ts-expect-error -- nor has `DeadlineExceeded`
      assert.isTrue(Effect.isEffect(Retry.retry(busy, RetryPolicy.make({ schedule, deadline: "1 second" }))))
      assert.strictEqual(yield* Effect.retry(busy, schedule), "done")
    }))

  it("a client keeps its type in a pipe", () => {
    const client = HttpClient.make(() => Effect.never).pipe(HttpRetry.retry(RetryPolicy.jwks))
    type Errors = HttpClientError.HttpClientError | Exhausted<HttpClientError.HttpClientError | Cut>
    expectTypeOf(client).toEqualTypeOf<HttpClient.HttpClient.With<Errors>>()
    assert.isTrue(HttpClient.isHttpClient(client))
  })
})
