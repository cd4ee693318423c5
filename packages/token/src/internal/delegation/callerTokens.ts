import { CurrentDeadline } from "@keelson/core/Deadline"
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { LRUCache } from "lru-cache"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { expired } from "../provider/acquisition.ts"
import { isRejection } from "../provider/acquisitionError.ts"
import { countAcquisition } from "../provider/sharedAcquisition.ts"
import type { CallerGrant } from "./callerKey.ts"
import { type CallerToken, type ExchangeContext, exchangeToken } from "./exchangeToken.ts"

/** A caller that the authorization server rejected a moment ago. */
interface RejectedCaller {
  readonly _tag: "Rejected"
  readonly error: TokenProviderError
  readonly until: Instant.Instant
}

/** What is kept for one key. */
type Entry = (CallerToken | RejectedCaller) & {
  readonly caller: Pick<CallerGrant, "issuer" | "subject">
  /** When the token was last replaced because an API rejected it. */
  readonly replacedAt: Instant.Instant | undefined
}

/** One running exchange. */
interface Flight {
  readonly caller: Pick<CallerGrant, "issuer" | "subject">
  readonly gate: Deferred.Deferred<AcquiredToken, TokenProviderError>
  /** Whether the caller was forgotten, so that the result is not kept. */
  isDiscarded: boolean
  fiber?: Fiber.Fiber<unknown, unknown>
}

/** The tokens of the callers of one guard, by key. */
export interface CallerTokens {
  /** A usable token of the caller. Waits for the running exchange of the key, or starts one. */
  readonly get: (key: string, caller: CallerGrant) => Effect.Effect<AcquiredToken, TokenProviderError>
  /** A token to replace one that an API rejected; `undefined` if another was replaced a moment ago. */
  readonly replace: (
    key: string,
    caller: CallerGrant,
    rejected: AcquiredToken
  ) => Effect.Effect<AcquiredToken | undefined, TokenProviderError>
  /** Drops the tokens of a subject. Running exchanges keep nothing. Returns how many tokens were dropped. */
  readonly forget: (caller: Pick<CallerGrant, "issuer" | "subject">) => number
  readonly size: () => number
  readonly counts: { readonly hits: number; readonly misses: number; readonly evictions: number }
}

/** How long a rejected caller is answered from memory, so that it cannot make the service send a request each time. */
const rejectedFor = Duration.seconds(10)

/** Minimum time between two replacements of a caller's token. */
const replacementCooldown = Duration.seconds(30)

const isSame = (a: AcquiredToken, b: AcquiredToken): boolean =>
  a === b || Redacted.value(a.value) === Redacted.value(b.value)

const isExpired = ({ expiresAt }: CallerGrant, clock: Clock.Clock): boolean =>
  !(expiresAt * 1_000 > clock.currentTimeMillisUnsafe())

/**
 * Keeps at most `capacity` callers; a new one replaces the least recently used one. Exchanges run in the scope and context in
 * which this effect runs: interrupting a caller affects neither the exchange nor others that wait for it.
 */
export const makeCallerTokens = Effect.fnUntraced(function*<R>(
  context: ExchangeContext<R>,
  capacity: number
): Effect.fn.Return<CallerTokens, never, R | Scope.Scope> {
  const { server } = context
  const fork = Effect.runForkWith(yield* Effect.context<R>())
  const flights = new Map<string, Flight>()
  const running = new Set<Flight>()
  const counts = { hits: 0, misses: 0, evictions: 0 }
  const held = new LRUCache<string, Entry>({
    max: capacity,
    dispose: (_, __, reason) => {
      if (reason === "evict") counts.evictions++
    }
  })
  let isClosed = false

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      held.clear()
      const open = [...running]
      // Callers first: the finalizers of an exchange may take long.
      for (const { gate } of open) Deferred.doneUnsafe(gate, Exit.fail(new SingleFlight.Closed({})))
      return Fiber.interruptAll(open.flatMap(({ fiber }) => fiber === undefined ? [] : [fiber]))
    })
  )

  const keep = (key: string, { isDiscarded }: Flight, entry: Entry): void => {
    if (!isDiscarded && !isClosed) held.set(key, entry)
  }

  const work = (key: string, flight: Flight, caller: CallerGrant, isReplacement: boolean) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const began = clock.monotonicTimeNanosUnsafe()
      const exit = yield* Effect.exit(exchangeToken(context, caller))
      const elapsed = Duration.nanos(clock.monotonicTimeNanosUnsafe() - began)
      const entry = { caller: flight.caller, replacedAt: isReplacement ? Instant.now(clock) : undefined }
      if (Exit.isSuccess(exit)) {
        keep(key, flight, { ...exit.value, ...entry })
        yield* countAcquisition(server, "success", elapsed)
        return exit.value.token
      }
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "None") return yield* Effect.failCause(exit.cause)
      const { value } = error
      if (value.code === "SUBJECT_TOKEN_REJECTED") {
        const until = Instant.after(Instant.now(clock), Duration.toMillis(rejectedFor))
        keep(key, flight, { _tag: "Rejected", error: value, until, ...entry })
        yield* countAcquisition(server, "rejected", elapsed)
      } else if (!isRejection(value)) {
        yield* countAcquisition(server, "failure", elapsed)
        yield* Effect.logWarning("Token exchange failed", { server, code: value.code })
      }
      return yield* Effect.fail(value)
    }).pipe(
      Effect.withSpan("CallerGuard.exchange", { attributes: { server } }, { captureStackTrace: false }),
      Effect.provideService(CurrentDeadline, undefined)
    )

  const start = (key: string, caller: CallerGrant, isReplacement: boolean): Flight => {
    const { issuer, subject } = caller
    const flight: Flight = { caller: { issuer, subject }, gate: Deferred.makeUnsafe(), isDiscarded: false }
    // Set before the exchange begins, which may end before `fork` returns.
    flights.set(key, flight)
    running.add(flight)
    const fiber = fork(work(key, flight, caller, isReplacement))
    flight.fiber = fiber
    fiber.addObserver((exit) => {
      running.delete(flight)
      if (flights.get(key) === flight) flights.delete(key)
      Deferred.doneUnsafe(
        flight.gate,
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Exit.fail(new SingleFlight.Closed({})) : exit
      )
    })
    return flight
  }

  const join = (key: string, caller: CallerGrant, isReplacement: boolean) =>
    Deferred.await((flights.get(key) ?? start(key, caller, isReplacement)).gate)

  /** The entry of a key, unless it has ended. */
  const entryOf = (key: string, clock: Clock.Clock): Entry | undefined => {
    const entry = held.get(key)
    if (entry === undefined) return undefined
    if (!Instant.hasCome(entry._tag === "Token" ? entry.usableUntil : entry.until, clock)) return entry
    held.delete(key)
    return undefined
  }

  return {
    get: (key, caller) =>
      Effect.withFiber((fiber): Effect.Effect<AcquiredToken, TokenProviderError> => {
        if (isClosed) return Effect.fail(new SingleFlight.Closed({}))
        const clock = fiber.getRef(Clock.Clock)
        const entry = entryOf(key, clock)
        if (entry !== undefined) {
          counts.hits++
          return entry._tag === "Token" ? entry.success : Effect.fail(entry.error)
        }
        counts.misses++
        return isExpired(caller, clock) ? Effect.fail(expired()) : join(key, caller, false)
      }),
    replace: (key, caller, rejected) =>
      Effect.withFiber((fiber): Effect.Effect<AcquiredToken | undefined, TokenProviderError> => {
        if (isClosed) return Effect.fail(new SingleFlight.Closed({}))
        const clock = fiber.getRef(Clock.Clock)
        const entry = entryOf(key, clock)
        if (entry?._tag === "Rejected") return Effect.fail(entry.error)
        if (entry !== undefined && !isSame(entry.token, rejected)) return entry.success
        const allowedAt = entry?.replacedAt &&
          Instant.after(entry.replacedAt, Duration.toMillis(replacementCooldown))
        if (allowedAt !== undefined && !Instant.hasCome(allowedAt, clock) && !flights.has(key)) {
          return Effect.succeed(undefined)
        }
        counts.misses++
        return isExpired(caller, clock) ? Effect.fail(expired()) : join(key, caller, true)
      }),
    forget: ({ issuer, subject }) => {
      const isOf = ({ caller }: Pick<Entry, "caller">) => caller.issuer === issuer && caller.subject === subject
      for (const [key, flight] of flights) {
        if (!isOf(flight)) continue
        flight.isDiscarded = true
        // A later caller starts another exchange.
        flights.delete(key)
      }
      const keys = [...held.entries()].flatMap(([key, entry]) => isOf(entry) ? [key] : [])
      for (const key of keys) held.delete(key)
      return keys.length
    },
    size: () => held.size,
    counts
  }
})
