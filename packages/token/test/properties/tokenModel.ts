/** Commands on a provider, and the invariants that must hold after each. */
import { assert } from "@effect/vitest"
import * as Instant from "@keelson/core/unstable/Instant"
import { type Clock, Duration, Effect, type Exit, Fiber, Redacted, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { type AcquiredToken, RefreshPolicy, type TokenProvider, type TokenSource } from "../../src/index.ts"
import { type Answer, down, failure, hanging, living, providerOf, type Server, slow } from "../tokenSupport.ts"

/** The server's response from now on. */
type Mode =
  | { readonly _tag: "up"; readonly lifetime: number }
  | { readonly _tag: "slow"; readonly lifetime: number; readonly seconds: number }
  | { readonly _tag: "down" }
  | { readonly _tag: "hanging" }
  | { readonly _tag: "busy"; readonly retryAfter: number }

export type Command =
  | { readonly _tag: "get"; readonly callers: number }
  | { readonly _tag: "refresh" }
  /** A server rejects a returned token: the newest one, or an earlier one. */
  | { readonly _tag: "replace"; readonly back: number }
  | { readonly _tag: "invalidate"; readonly back: number }
  | { readonly _tag: "advance"; readonly seconds: number }
  /** Changes the wall clock only. */
  | { readonly _tag: "jump"; readonly seconds: number }
  | { readonly _tag: "interrupt"; readonly caller: number }
  | { readonly _tag: "server"; readonly mode: Mode }

/** That of `providerOf`. */
const policy = RefreshPolicy.make({ jitter: 0 })

const lifetime = fc.constantFrom(60, 90, 300, 1000, 3600)
const mode: fc.Arbitrary<Mode> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("up" as const), lifetime }) },
  {
    weight: 3,
    arbitrary: fc.record({ _tag: fc.constant("slow" as const), lifetime, seconds: fc.integer({ min: 1, max: 30 }) })
  },
  fc.constant({ _tag: "down" as const }),
  fc.constant({ _tag: "hanging" as const }),
  fc.record({ _tag: fc.constant("busy" as const), retryAfter: fc.integer({ min: 1, max: 120 }) })
)
const back = fc.integer({ min: 0, max: 3 })

export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("get" as const), callers: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "refresh" as const }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("replace" as const), back }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("invalidate" as const), back }) },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("advance" as const),
      seconds: fc.constantFrom(1, 5, 29, 31, 60, 240, 900)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("jump" as const), seconds: fc.constantFrom(-3600, -40, 20, 45, 600) })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("interrupt" as const), caller: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("server" as const), mode }) }
)

const answerOf = (mode: Mode): Answer => {
  switch (mode._tag) {
    case "up":
      return living(`${mode.lifetime} seconds`)
    case "slow":
      return slow(living(`${mode.lifetime} seconds`), `${mode.seconds} seconds`)
    case "down":
      return down
    case "hanging":
      return hanging
    case "busy":
      return () => Effect.fail(failure("RATE_LIMITED", { status: 429, retry_after_ms: mode.retryAfter * 1000 }))
  }
}

/** The number of the request that returned a token. */
const numberOf = ({ value }: AcquiredToken.AcquiredToken): number => Number(Redacted.value(value).split("-")[1])

/** A provider under test, with what callers can observe. */
class RunningCase {
  readonly provider: TokenProvider.TokenProvider["Service"]
  readonly server: Server
  readonly clock: Clock.Clock
  readonly skew: { millis: number }
  /** All tokens that callers obtained, newest last. */
  readonly obtained: Array<AcquiredToken.AcquiredToken> = []
  readonly callers: Array<Fiber.Fiber<unknown, unknown>> = []
  /** The number of requests at the last invalidation: their tokens must not be returned afterwards. */
  droppedAt = 0
  /** When a rejected token was last replaced. */
  replacedAt: Instant.Instant | undefined
  /** The number of failed requests since the last success. */
  failures = 0
  escalations = 0

  constructor(
    provider: TokenProvider.TokenProvider["Service"],
    server: Server,
    clock: Clock.Clock,
    skew: { millis: number }
  ) {
    this.provider = provider
    this.server = server
    this.clock = clock
    this.skew = skew
  }

  #failsAtOnce = false

  serve(mode: Mode): void {
    this.#failsAtOnce = mode._tag === "down" || mode._tag === "busy"
    const answer = answerOf(mode)
    this.server.answer = (number) =>
      Effect.suspend(() => {
        const requestedAt = Instant.now(this.clock)
        return Effect.onExit(answer(number), (exit) => Effect.sync(() => this.#answered(exit, requestedAt)))
      })
  }
  #answered(exit: Exit.Exit<TokenSource.TokenResponse, unknown>, requestedAt: Instant.Instant): void {
    if (exit._tag === "Success") {
      const { usableFor } = Result.getOrThrow(RefreshPolicy.plan(policy, exit.value.expiresIn, 0))
      if (!Instant.hasCome(Instant.after(requestedAt, Duration.toMillis(usableFor)), this.clock)) {
        this.failures = 0
        return
      }
      // The clock was set during the request: the token is requested again, and that response counts.
      if (Instant.offset(Instant.now(this.clock)) - Instant.offset(requestedAt) > 30_000) return
    }
    if (++this.failures === 3) this.escalations++
  }
  /** Checks a caller's token when the caller gets it. */
  #got(token: AcquiredToken.AcquiredToken | undefined): void {
    if (token === undefined) return
    assert.isFalse(Instant.hasCome(token.expiresAt, this.clock), "[T4] an expired token was handed out")
    assert.isAbove(numberOf(token), this.droppedAt, "[T4] a token was handed out that was asked for before a drop")
    this.obtained.push(token)
  }
  #call(call: Effect.Effect<AcquiredToken.AcquiredToken | undefined, unknown>) {
    const checked = Effect.tap(call, (token) => Effect.sync(() => this.#got(token)))
    return Effect.map(Effect.forkDetach(checked, { startImmediately: true }), (fiber) => {
      this.callers.push(fiber)
      return fiber
    })
  }
  #token(back: number): AcquiredToken.AcquiredToken | undefined {
    return this.obtained.at(-1 - back)
  }

  readonly get = (callers: number) =>
    Effect.gen({ self: this }, function*() {
      const before = yield* this.provider.status
      const requests = this.server.times.length
      const fibers = yield* Effect.forEach(Array.from({ length: callers }), () => this.#call(this.provider.get))
      // An acquisition that fails at once has ended before the next caller starts.
      const most = this.#failsAtOnce ? callers : 1
      assert.isAtMost(this.server.times.length - requests, most, "[T4] callers caused more than one acquisition")
      if (before.token === undefined) return
      for (const fiber of fibers) {
        assert.strictEqual(fiber.pollUnsafe()?._tag, "Success", "a valid token was not handed out at once")
      }
    })

  readonly replace = (back: number) =>
    Effect.gen({ self: this }, function*() {
      const token = this.#token(back)
      if (token === undefined) return
      const { token: current } = yield* this.provider.status
      const isCurrent = current !== undefined && numberOf(current) === numberOf(token)
      const isTooSoon = isCurrent && this.replacedAt !== undefined &&
        !Instant.hasCome(Instant.after(this.replacedAt, 30_000), this.clock)
      if (isCurrent && !isTooSoon) this.replacedAt = Instant.now(this.clock)
      const isRunning = this.server.underWay() > 0
      const fiber = yield* this.#call(this.provider.replace(token))
      if (isTooSoon && !isRunning) {
        assert.deepStrictEqual(fiber.pollUnsafe(), yield* Effect.exit(Effect.succeed(undefined)), "[R13]")
      }
    })

  readonly invalidate = (back: number) =>
    Effect.gen({ self: this }, function*() {
      const token = this.#token(back)
      if (token !== undefined && (yield* this.provider.invalidate(token))) {
        this.droppedAt = this.server.times.length
        assert.strictEqual((yield* this.provider.status).token, undefined)
      }
    })

  run(command: Command): Effect.Effect<void> {
    switch (command._tag) {
      case "get":
        return this.get(command.callers)
      case "refresh":
        return Effect.asVoid(this.#call(this.provider.refresh))
      case "replace":
        return this.replace(command.back)
      case "invalidate":
        return this.invalidate(command.back)
      case "advance":
        return TestClock.adjust(Duration.seconds(command.seconds))
      case "jump":
        return Effect.sync(() => {
          this.skew.millis += command.seconds * 1000
        })
      case "interrupt": {
        const fiber = this.callers[command.caller]
        return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
      }
      case "server":
        return Effect.sync(() => this.serve(command.mode))
    }
  }

  /** The invariants between any two steps. */
  readonly check = Effect.gen({ self: this }, function*() {
    assert.isAtMost(this.server.most(), 1, "[T4] two acquisitions at once")
    const status = yield* this.provider.status
    assert.strictEqual(status.refreshInProgress, this.server.underWay() === 1)
    assert.strictEqual(status.state === "Refreshing", this.server.underWay() === 1)
    assert.strictEqual(status.state === "Invalid", this.server.underWay() === 0 && status.token === undefined)
    assert.strictEqual(status.counts.escalations, this.escalations, "[S2-14]")
    assert.strictEqual(status.escalated, this.failures >= 3, "[S2-14]")
    if (status.token !== undefined) {
      assert.isFalse(Instant.hasCome(status.token.expiresAt, this.clock))
      assert.isAbove(numberOf(status.token), this.droppedAt)
    }
    for (const caller of this.callers) {
      const exit = caller.pollUnsafe()
      // A failed assertion in a caller is a defect.
      if (exit?._tag === "Failure") {
        for (const reason of exit.cause.reasons) if (reason._tag === "Die") throw reason.defect
      }
    }
  })
}

/** Runs commands and checks the invariants after each; then the server recovers, and then the scope closes. */
export const runAll = (
  commands: ReadonlyArray<Command>,
  { clock, skew }: { readonly clock: Clock.Clock; readonly skew: { millis: number } }
) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const { provider, server } = yield* Scope.provide(providerOf(living("300 seconds")), scope)
    const running = new RunningCase(provider, server, clock, skew)
    running.serve({ _tag: "up", lifetime: 300 })
    for (const command of commands) {
      yield* running.run(command)
      yield* running.check
    }
    running.serve({ _tag: "up", lifetime: 300 })
    yield* TestClock.adjust("2 minutes")
    yield* running.get(1)
    yield* running.check
    assert.isDefined((yield* provider.status).token, "does not recover")

    running.serve({ _tag: "hanging" })
    yield* running.run({ _tag: "refresh" })
    yield* Scope.close(scope, yield* Effect.exit(Effect.void))
    for (const caller of running.callers) assert.isDefined(caller.pollUnsafe(), "[R28] a caller still waits")
    assert.strictEqual((yield* Effect.flip(provider.get)).code, "SHUTTING_DOWN")
    assert.strictEqual(server.underWay(), 0)
  })
