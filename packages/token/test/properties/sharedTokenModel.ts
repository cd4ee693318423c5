/** Commands on processes that share a token, through a store that fails, and the laws that hold after each. */
import { assert } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Latch, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { type AcquiredToken, SharedTokens, TokenProvider, TokenSource } from "../../src/index.ts"
import { makeMemoryRecord } from "../../src/internal/fleet/memoryRecord.ts"
import type { TokenRecord } from "../../src/internal/fleet/record.ts"
import { makeSharedToken } from "../../src/internal/fleet/sharedToken.ts"
import { failure } from "../tokenSupport.ts"

/** What the store does with calls from now on. `lossy` runs them, and their replies are lost. */
export type StoreMode = "up" | "down" | "slow" | "lossy"

export type Command =
  | { readonly _tag: "get" | "refresh" | "kill" | "close" | "pause" | "resume"; readonly process: number }
  | { readonly _tag: "replace" | "invalidate"; readonly process: number; readonly back: number }
  | { readonly _tag: "advance"; readonly millis: number }
  | { readonly _tag: "store"; readonly mode: StoreMode }
  | { readonly _tag: "server"; readonly seconds: number; readonly isUp: boolean }

/** How many processes a case has. One that was killed or closed is started again when it is next used. */
const size = 4

const process = fc.integer({ min: 0, max: size - 1 })
const back = fc.integer({ min: 0, max: 4 })
const on = (...tags: ReadonlyArray<Extract<Command, { readonly process: number }>["_tag"]>) =>
  fc.record({ _tag: fc.constantFrom(...tags), process, back })

export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: on("get") },
  { weight: 2, arbitrary: on("refresh") },
  { weight: 5, arbitrary: on("replace", "invalidate") },
  { weight: 3, arbitrary: on("kill", "close", "pause", "resume") },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("advance" as const),
      millis: fc.constantFrom(10, 300, 1_000, 2_500, 6_000, 31_000, 240_000)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("store" as const),
      mode: fc.constantFrom<StoreMode>("up", "up", "down", "slow", "lossy")
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("server" as const),
      seconds: fc.constantFrom(0, 1, 4, 20),
      isUp: fc.boolean()
    })
  }
)

/** Without any fault, as the generator of the strictest law. */
export const harmless: fc.Arbitrary<Command> = command.filter(({ _tag }) =>
  _tag === "get" || _tag === "refresh" || _tag === "replace" || _tag === "advance"
)

interface Process {
  readonly provider: TokenProvider.TokenProvider["Service"]
  readonly scope: Scope.Closeable
  /** Closed while the process is paused: none of its calls and requests goes on. */
  readonly gate: Latch.Latch
  /** Whether it was killed: nothing that it does reaches the store. */
  readonly life: { isDead: boolean }
  readonly obtained: Array<AcquiredToken.AcquiredToken>
  /** The texts of tokens that it replaced or dropped. */
  readonly gone: Set<string>
}

const textOf = ({ value }: AcquiredToken.AcquiredToken): string => Redacted.value(value)

const lifetime = Duration.minutes(10)

/** The fleet of one case. */
export class Fleet {
  readonly #record = makeMemoryRecord(5_000)
  readonly #processes = new Map<number, Process>()
  readonly #scope: Scope.Scope
  #mode: StoreMode = "up"
  #server = { seconds: 0, isUp: true }
  requests = 0
  underWay = 0
  most = 0
  /** What broke a law, noticed in any fiber. */
  readonly violations: Array<string> = []
  /** The fencing numbers of leases and of stored tokens, in order. */
  readonly #granted: Array<number> = []
  readonly #stored: Array<number> = []

  constructor(scope: Scope.Scope) {
    this.#scope = scope
  }

  #law(holds: boolean, law: string): void {
    if (!holds) this.violations.push(law)
  }

  /** Records what the store grants and stores. */
  readonly #observed: TokenRecord = {
    ...this.#record,
    begin: (request) =>
      Effect.tap(this.#record.begin(request), (reply) =>
        Effect.sync(() => {
          if (reply?._tag === "lease") this.#granted.push(reply.fence)
        })),
    commit: (holder, value, issuedAt) =>
      Effect.tap(this.#record.commit(holder, value, issuedAt), (isStored) =>
        Effect.sync(() => {
          if (isStored !== true) return
          this.#law(holder.fence === this.#granted.at(-1), "[R16] only the newest lease writes")
          this.#law(holder.fence > (this.#stored.at(-1) ?? 0), "[R16] a lease writes once")
          this.#stored.push(holder.fence)
        }))
  }

  /** The store as one process reaches it. */
  #through(gate: Latch.Latch, life: { readonly isDead: boolean }): TokenRecord {
    const call = <A>(run: Effect.Effect<A>): Effect.Effect<A | undefined> =>
      Effect.andThen(
        gate.await,
        Effect.suspend((): Effect.Effect<A | undefined> => {
          if (life.isDead) return Effect.never
          switch (this.#mode) {
            case "up":
              return run
            case "down":
              return Effect.undefined
            case "slow":
              return Effect.delay(run, 150)
            case "lossy":
              return Effect.andThen(run, Effect.delay(Effect.undefined, 200))
          }
        })
      )
    const { begin, commit, fail, invalidate, release, renew, unshare } = this.#observed
    return {
      begin: (request) => call(begin(request)),
      commit: (holder, value, issuedAt) => call(commit(holder, value, issuedAt)),
      fail: (holder, name, told) => call(fail(holder, name, told)),
      unshare: (holder) => Effect.asVoid(call(unshare(holder))),
      release: (owner) => Effect.asVoid(call(release(owner))),
      renew: (holder) => call(renew(holder)),
      invalidate: (fence) => Effect.asVoid(call(invalidate(fence)))
    }
  }

  #source(gate: Latch.Latch): TokenSource.TokenSource {
    const request = Effect.gen({ self: this }, function*() {
      const number = ++this.requests
      this.most = Math.max(this.most, ++this.underWay)
      const { isUp, seconds } = this.#server
      yield* Effect.ensuring(
        Effect.sleep(Duration.seconds(seconds)),
        Effect.sync(() => this.underWay--)
      )
      yield* gate.await
      if (!isUp) return yield* Effect.fail(failure("UPSTREAM_UNAVAILABLE", { status: 503 }))
      return { accessToken: Redacted.make(`token-${number}`), expiresIn: lifetime }
    })
    return TokenSource.fromEffect(request, () => false, { issuer: "https://idp.example", clientId: "app" })
  }

  readonly #start = Effect.gen({ self: this }, function*() {
    const scope = yield* Scope.fork(this.#scope)
    const gate = yield* Latch.make(true)
    const life = { isDead: false }
    const record = this.#through(gate, life)
    const times = {
      lease: Duration.seconds(5),
      maxWait: Duration.minutes(1),
      maxFailureDelay: Duration.seconds(5)
    }
    const provider = yield* TokenProvider.make({
      name: "billing",
      source: this.#source(gate),
      policy: { jitter: 0 }
    }).pipe(
      Effect.provideService(SharedTokens.SharedTokens, {
        token: (_, server) => makeSharedToken(record, server, times),
        refreshTokenStore: () => Effect.die("not used")
      }),
      Scope.provide(scope),
      Effect.orDie
    )
    const started: Process = { provider, scope, gate, life, obtained: [], gone: new Set() }
    return started
  })

  #process(index: number): Effect.Effect<Process> {
    return Effect.suspend(() => {
      const existing = this.#processes.get(index)
      if (existing !== undefined) return Effect.succeed(existing)
      return Effect.tap(this.#start, (started) => Effect.sync(() => this.#processes.set(index, started)))
    })
  }

  /** Checks a token when a caller gets it. */
  #call(self: Process, call: Effect.Effect<AcquiredToken.AcquiredToken | undefined, unknown>, gone?: string) {
    const checked = Effect.tap(call, (token) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          if (token === undefined) return
          this.#law(token.expiresAt.wall > clock.currentTimeMillisUnsafe(), "[T4] an expired token was handed out")
          this.#law(textOf(token) !== gone, "[R13] a rejected token was its own replacement")
          if (gone !== undefined) self.gone.add(gone)
          this.#law(!self.gone.has(textOf(token)), "[K-11] a replaced token came back")
          self.obtained.push(token)
        })
      ))
    return Effect.asVoid(Effect.forkIn(checked, self.scope, { startImmediately: true }))
  }

  #stop(index: number, isDead: boolean) {
    return Effect.suspend(() => {
      const stopped = this.#processes.get(index)
      this.#processes.delete(index)
      if (stopped === undefined) return Effect.void
      stopped.life.isDead = isDead
      stopped.gate.openUnsafe()
      // A killed process does nothing more; what it has in memory is abandoned.
      return Effect.asVoid(Effect.forkDetach(Scope.close(stopped.scope, Exit.void), { startImmediately: true }))
    })
  }

  run(command: Command): Effect.Effect<void> {
    switch (command._tag) {
      case "get":
        return Effect.flatMap(this.#process(command.process), (self) => this.#call(self, self.provider.get))
      case "refresh":
        return Effect.flatMap(this.#process(command.process), (self) => this.#call(self, self.provider.refresh))
      case "replace":
      case "invalidate":
        return Effect.flatMap(this.#process(command.process), (self) => {
          const token = self.obtained.at(-1 - command.back)
          if (token === undefined) return Effect.void
          if (command._tag === "replace") return this.#call(self, self.provider.replace(token), textOf(token))
          return Effect.asVoid(Effect.forkIn(
            Effect.tap(
              self.provider.invalidate(token),
              (isDropped) => Effect.sync(() => isDropped && self.gone.add(textOf(token)))
            ),
            self.scope,
            { startImmediately: true }
          ))
        })
      case "kill":
        return this.#stop(command.process, true)
      case "close":
        return this.#stop(command.process, false)
      case "pause":
        return Effect.map(this.#process(command.process), ({ gate }) => gate.closeUnsafe())
      case "resume":
        return Effect.map(this.#process(command.process), ({ gate }) => gate.openUnsafe())
      case "advance":
        return TestClock.adjust(command.millis)
      case "store":
        return Effect.sync(() => this.#mode = command.mode)
      case "server":
        return Effect.sync(() => this.#server = { seconds: command.seconds, isUp: command.isUp })
    }
  }

  /** The server and the store are up, and all processes run: every process gets a valid token within two minutes. */
  readonly settle = Effect.gen({ self: this }, function*() {
    this.#mode = "up"
    this.#server = { seconds: 1, isUp: true }
    const all = yield* Effect.forEach(Array.from({ length: size }), (_, index) => this.#process(index))
    for (const { gate } of all) gate.openUnsafe()
    yield* TestClock.adjust("2 minutes")
    const waiting = yield* Effect.forkChild(
      Effect.forEach(all, ({ provider }) => provider.get, { concurrency: "unbounded" }),
      { startImmediately: true }
    )
    yield* TestClock.adjust("1 minute")
    const tokens = yield* Effect.orDie(Fiber.join(waiting))
    assert.lengthOf(tokens, size)
    assert.isAtMost(this.underWay, 0, "every request has ended")
    assert.deepStrictEqual(this.violations, [])
  })
}
