/** What every record of a shared token does, whatever keeps it. Time passes by `wait`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import type { Reply, ReportedFailure, TokenRecord, TurnRequest } from "../src/internal/fleet/record.ts"

export interface RecordFixture {
  /** A record with a lease of one minute. */
  readonly make: Effect.Effect<TokenRecord, never, Scope.Scope>
  readonly wait: (millis: number) => Effect.Effect<void>
}

const request = (owner: string, options: Partial<TurnRequest> = {}): TurnRequest => ({
  owner,
  process: owner,
  known: 0,
  isForced: false,
  cooldown: 0,
  ...options
})

export const valueOf = (text: string, lifetime = 600_000) => ({
  accessToken: Redacted.make(text),
  lifetime,
  scope: "read"
})

const refusal = (options: Partial<ReportedFailure> = {}): ReportedFailure => ({
  code: "UPSTREAM_UNAVAILABLE",
  error: undefined,
  status: 503,
  pause: { first: 60_000, most: 180_000, asked: 0 },
  isGrowing: true,
  ...options
})

type Lease = Extract<Reply, { readonly _tag: "lease" }>

const leaseOf = (record: TokenRecord, owner: string, options: Partial<TurnRequest> = {}): Effect.Effect<Lease> =>
  Effect.map(record.begin(request(owner, options)), (reply) => {
    assert(reply?._tag === "lease", JSON.stringify(reply))
    return reply
  })

const tagOf = (record: TokenRecord, owner: string, options: Partial<TurnRequest> = {}) =>
  Effect.map(record.begin(request(owner, options)), (reply) => reply?._tag)

/** Each case is of the same form: a record, and what to do with it. */
export const recordSuite = (
  name: string,
  run: (use: (fixture: RecordFixture) => Effect.Effect<void, never, Scope.Scope>) => Effect.Effect<void>
): void => {
  const cases = (title: string, use: (fixture: RecordFixture) => Effect.Effect<void, never, Scope.Scope>) =>
    it.live(title, () => run(use))

  describe(`the record of a shared token ${name}`, () => {
    cases(
      "[K-11] one process has the lease, others wait, and take the token that it stores",
      ({ make }) =>
        Effect.gen(function*() {
          const record = yield* make
          const { at, fence } = yield* leaseOf(record, "a")
          const waiting = yield* record.begin(request("b"))
          assert(waiting?._tag === "wait")
          assert.isAtMost(waiting.millis, 60_000)
          assert.isTrue(yield* record.commit({ owner: "a", fence }, valueOf("one"), at))
          const taken = yield* record.begin(request("b"))
          assert(taken?._tag === "token")
          assert.strictEqual(taken.fence, fence)
          assert(taken.value !== undefined)
          assert.deepStrictEqual(
            [Redacted.value(taken.value.accessToken), taken.value.lifetime, taken.value.scope],
            ["one", 600_000, "read"]
          )
          // A process that has this token gets a lease for the next one.
          const next = yield* leaseOf(record, "b", { known: fence })
          assert.isAbove(next.fence, fence)
        })
    )

    cases(
      "[K-11] [R16] a lease that ended goes to another process, and the write of the first holder is refused",
      ({ make, wait }) =>
        Effect.gen(function*() {
          const record = yield* make
          const first = yield* leaseOf(record, "a")
          assert.strictEqual(yield* tagOf(record, "b"), "wait")
          yield* wait(63_000)
          const second = yield* leaseOf(record, "b")
          assert.isAbove(second.fence, first.fence)
          assert.isFalse(yield* record.commit({ owner: "a", fence: first.fence }, valueOf("late"), first.at))
          assert.isFalse(yield* record.commit({ owner: "a", fence: second.fence }, valueOf("forged"), first.at))
          assert.isFalse(yield* record.commit({ owner: "b", fence: first.fence }, valueOf("old"), first.at))
          assert.isFalse(yield* record.renew({ owner: "a", fence: first.fence }))
          assert.strictEqual(yield* record.fail({ owner: "a", fence: first.fence }, "a", refusal()), 0)
          yield* record.release("a")
          assert.strictEqual(yield* tagOf(record, "c"), "wait")
          assert.isTrue(yield* record.commit({ owner: "b", fence: second.fence }, valueOf("two"), second.at))
          assert.isFalse(yield* record.commit({ owner: "b", fence: second.fence }, valueOf("twice"), second.at))
        })
    )

    cases(
      "[K-11] a late holder still writes where nobody got the lease since",
      ({ make, wait }) =>
        Effect.gen(function*() {
          const record = yield* make
          const { at, fence } = yield* leaseOf(record, "a")
          yield* wait(63_000)
          assert.isTrue(yield* record.commit({ owner: "a", fence }, valueOf("late"), at))
        })
    )

    cases(
      "[K-11] a renewed lease lasts, and a released one is free at once",
      ({ make, wait }) =>
        Effect.gen(function*() {
          const record = yield* make
          const { fence } = yield* leaseOf(record, "a")
          for (let times = 0; times < 3; times++) {
            yield* wait(36_000)
            assert.isTrue(yield* record.renew({ owner: "a", fence }))
          }
          assert.strictEqual(yield* tagOf(record, "b"), "wait")
          yield* record.release("a")
          assert.strictEqual(yield* tagOf(record, "b"), "lease")
          assert.isFalse(yield* record.renew({ owner: "a", fence }))
        })
    )

    cases(
      "[K-11] a failure pauses every process, the one that failed for twice as long, up to the bound",
      ({ make, wait }) =>
        Effect.gen(function*() {
          const record = yield* make
          const first = yield* leaseOf(record, "a")
          assert.strictEqual(yield* record.fail({ owner: "a", fence: first.fence }, "a", refusal()), 1)
          const paused = yield* record.begin(request("b"))
          assert(paused?._tag === "failed")
          assert.deepInclude(paused.failure, { code: "UPSTREAM_UNAVAILABLE", error: undefined, status: 503, count: 1 })
          assert.isAtMost(paused.failure.pause, 60_000)
          const own = yield* record.begin(request("a"))
          assert(own?._tag === "failed")
          assert.isAbove(own.failure.pause, 60_000)
          yield* wait(63_000)
          assert.strictEqual(yield* tagOf(record, "a"), "failed")
          const second = yield* leaseOf(record, "b")
          assert.strictEqual(yield* record.fail({ owner: "b", fence: second.fence }, "b", refusal()), 2)
          const longer = yield* record.begin(request("c"))
          assert(longer?._tag === "failed")
          assert.isAbove(longer.failure.pause, 60_000)
          const third = yield* leaseOf(record, "c", { isForced: true })
          assert.strictEqual(yield* record.fail({ owner: "c", fence: third.fence }, "c", refusal()), 3)
          const longest = yield* record.begin(request("d"))
          assert(longest?._tag === "failed")
          assert.isAtMost(longest.failure.pause, 180_000)
          const last = yield* leaseOf(record, "d", { isForced: true })
          yield* record.commit({ owner: "d", fence: last.fence }, valueOf("one"), last.at)
          const after = yield* leaseOf(record, "e", { known: last.fence })
          assert.strictEqual(yield* record.fail({ owner: "e", fence: after.fence }, "e", refusal()), 1)
        })
    )

    cases(
      "[K-11] a refusal keeps the first pause, and the pause that the server asks for is kept",
      ({ make }) =>
        Effect.gen(function*() {
          const record = yield* make
          for (const owner of ["a", "b", "c"]) {
            const { fence } = yield* leaseOf(record, owner, { isForced: true })
            const failure = refusal({ code: "TOKEN_ACQUISITION_FAILED", error: "invalid_client", isGrowing: false })
            yield* record.fail({ owner, fence }, owner, failure)
          }
          const paused = yield* record.begin(request("d"))
          assert(paused?._tag === "failed")
          assert.isAtMost(paused.failure.pause, 60_000)
          assert.strictEqual(paused.failure.error, "invalid_client")
          const { fence } = yield* leaseOf(record, "e", { isForced: true })
          yield* record.fail(
            { owner: "e", fence },
            "e",
            refusal({ pause: { first: 60_000, most: 180_000, asked: 1_200_000 } })
          )
          const asked = yield* record.begin(request("f"))
          assert(asked?._tag === "failed")
          assert.isAbove(asked.failure.pause, 600_000)
        })
    )

    cases(
      "[K-11] [R13] a rejected token is replaced once within the cooldown, by all processes together",
      ({ make, wait }) =>
        Effect.gen(function*() {
          const record = yield* make
          const cooldown = 90_000
          const first = yield* leaseOf(record, "a")
          yield* record.commit({ owner: "a", fence: first.fence }, valueOf("one"), first.at)
          const second = yield* leaseOf(record, "a", { known: first.fence, cooldown })
          assert.strictEqual(yield* tagOf(record, "b", { known: first.fence, cooldown }), "wait")
          yield* record.commit({ owner: "a", fence: second.fence }, valueOf("two"), second.at)
          assert.strictEqual(yield* tagOf(record, "b", { known: first.fence, cooldown }), "token")
          assert.strictEqual(yield* tagOf(record, "b", { known: second.fence, cooldown }), "unchanged")
          assert.strictEqual(yield* tagOf(record, "a", { known: second.fence, cooldown }), "unchanged")
          yield* wait(93_000)
          assert.strictEqual(yield* tagOf(record, "b", { known: second.fence, cooldown }), "lease")
        })
    )

    cases(
      "[K-11] a token is invalidated by its fencing number only, and never comes back",
      ({ make }) =>
        Effect.gen(function*() {
          const record = yield* make
          const { at, fence } = yield* leaseOf(record, "a")
          yield* record.commit({ owner: "a", fence }, valueOf("one"), at)
          yield* record.invalidate(fence + 1)
          assert.strictEqual(yield* tagOf(record, "b"), "token")
          yield* record.invalidate(fence)
          const next = yield* leaseOf(record, "b")
          assert.isAbove(next.fence, fence)
          yield* record.commit({ owner: "b", fence: next.fence }, valueOf("two"), next.at)
          yield* record.invalidate(fence)
          assert.strictEqual(yield* tagOf(record, "c"), "token")
        })
    )

    cases(
      "[R16] tokens that cannot be shared make every process go alone, and what was stored is gone",
      ({ make }) =>
        Effect.gen(function*() {
          const record = yield* make
          const first = yield* leaseOf(record, "a")
          yield* record.commit({ owner: "a", fence: first.fence }, valueOf("one"), first.at)
          const { fence } = yield* leaseOf(record, "a", { known: first.fence })
          yield* record.unshare({ owner: "b", fence })
          assert.strictEqual(yield* tagOf(record, "c", { known: first.fence }), "wait")
          yield* record.unshare({ owner: "a", fence })
          assert.strictEqual(yield* tagOf(record, "c"), "alone")
        })
    )
  })
}
