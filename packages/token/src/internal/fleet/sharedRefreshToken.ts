import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Redacted from "effect/Redacted"
import type { RefreshTokenOutcome, RefreshTokenStore, RefreshTokenUse } from "../../RefreshTokenStore.ts"
import type { Holder } from "./record.ts"
import type { RefreshRecord, StoredRefreshToken } from "./refreshRecord.ts"
import type { Times } from "./sharedToken.ts"

/** The options of one refresh token, checked. */
export interface RefreshTokenSettings {
  readonly name: string
  readonly initial: Redacted.Redacted | undefined
  /** Names the initial refresh token without revealing it. */
  readonly seed: string | undefined
  readonly isAloneAllowed: boolean
}

const firstPoll = 50
const longestPoll = 500
const renewals = 3

const unavailable = Effect.suspend(() =>
  Effect.fail(new KeelsonError.AuthenticationError({ code: "TOKEN_STORE_UNAVAILABLE" }))
)
const tooLate = Effect.suspend(() => Effect.fail(new KeelsonError.AuthenticationError({ code: "TOKEN_WAIT_EXCEEDED" })))

const messages = {
  ambiguous: "The refresh token may have been used already, and it is valid for one request only",
  refused: "The authorization server rejected the refresh token",
  missing: "The store has no refresh token",
  unreadable: "The stored refresh token cannot be decrypted",
  superseded: "Another refresh token was saved meanwhile"
}

const failed = (reason: keyof typeof messages) =>
  Effect.suspend(() =>
    Effect.fail(
      new KeelsonError.AuthenticationError({
        code: "TOKEN_REFRESH_FAILED",
        message: messages[reason],
        details: { reason: reason === "unreadable" ? "store" : reason }
      })
    )
  )

/** A refresh token that this process knows. */
interface Known extends StoredRefreshToken {
  /** Why this process must not send it: it did, without the store. */
  readonly spent: "ambiguous" | "refused" | undefined
}

/** The store of one refresh token, over its record. */
export const makeSharedRefreshToken = (
  record: RefreshRecord,
  { initial, isAloneAllowed, name, seed }: RefreshTokenSettings,
  { lease: leaseTime, maxWait }: Pick<Times, "lease" | "maxWait">
): RefreshTokenStore => {
  let known: Known | undefined
  /** An end that the store did not confirm, which is repeated before the next use. */
  let unended: { readonly holder: Holder; readonly state: "kept" | "refused" | "ambiguous" } | undefined

  const remember = (token: Redacted.Redacted, fence: number): void => {
    known = { token, fence, spent: undefined }
  }

  const endLease = (holder: Holder, state: "kept" | "refused" | "ambiguous"): Effect.Effect<void> =>
    Effect.map(record.end(holder, state), (isEnded) => {
      unended = isEnded === undefined ? { holder, state } : undefined
    })

  const repeatEnd = Effect.suspend(() => unended === undefined ? Effect.void : endLease(unended.holder, unended.state))

  /** Waits for the lease. */
  const lease = Effect.fnUntraced(function*(owner: string) {
    const clock = yield* Clock.Clock
    const giveUpAt = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(maxWait)
    let pause = firstPoll
    while (true) {
      const reply = yield* record.begin(owner, seed)
      if (reply?._tag !== "wait") return reply
      if (clock.monotonicTimeNanosUnsafe() >= giveUpAt) return yield* tooLate
      yield* Effect.sleep(Math.ceil(Math.min(pause, reply.millis + 1) * (0.5 + 0.5 * (yield* Random.next))))
      pause = Math.min(pause * 1.5, longestPoll)
    }
  })

  /** Writes the refresh token of this process where the store has none, or lost a newer one, as in a failover. */
  const restored = Effect.fnUntraced(function*(holder: Holder, stored: StoredRefreshToken | undefined) {
    const isNewer = stored !== undefined && known !== undefined && known.spent === undefined &&
      known.fence > stored.fence
    const token = stored === undefined ? initial : isNewer ? known?.token : undefined
    if (token === undefined) return stored
    const isWritten = yield* record.write(holder, token, {
      seed: stored === undefined ? seed : undefined,
      isLast: false
    })
    return isWritten === true ? { token, fence: holder.fence } : undefined
  })

  const endOf = (holder: Holder, stop: () => void) => (outcome: RefreshTokenOutcome) =>
    Effect.suspend((): Effect.Effect<void, KeelsonError.AuthenticationError> => {
      stop()
      if (outcome._tag !== "replaced") return endLease(holder, outcome._tag)
      const { next } = outcome
      return Effect.flatMap(record.write(holder, next, { seed: undefined, isLast: true }), (isWritten) => {
        if (isWritten === undefined) return unavailable
        if (!isWritten) return failed("superseded")
        remember(next, holder.fence)
        return Effect.void
      })
    })

  /** Without the store: the last refresh token that this process knows, and its result stays in this process. */
  const alone = (rotates: boolean): Effect.Effect<RefreshTokenUse, KeelsonError.AuthenticationError> => {
    const current = known
    if (current === undefined || (rotates && !isAloneAllowed)) return unavailable
    if (current.spent !== undefined) return failed(current.spent)
    if (rotates) known = { ...current, spent: "ambiguous" }
    return Effect.succeed({
      token: current.token,
      end: (outcome) =>
        Effect.sync(() => {
          if (outcome._tag === "replaced") known = { token: outcome.next, fence: current.fence + 1, spent: undefined }
          else known = { ...current, spent: outcome._tag === "kept" ? undefined : outcome._tag }
        })
    })
  }

  const use = (rotates: boolean) =>
    Effect.uninterruptible(
      Effect.gen(function*() {
        yield* repeatEnd
        const owner = SecureRandom.uuidV4Unsafe()
        const reply = yield* Effect.onExit(Effect.interruptible(lease(owner)), (exit) =>
          Exit.isSuccess(exit) && exit.value !== undefined
            ? Effect.void
            // In the background. Also without a reply: the store may grant the lease late.
            : Effect.asVoid(Effect.forkDetach(record.release(owner))))
        if (reply === undefined) {
          return yield* alone(rotates)
        }
        if (reply._tag !== "lease") {
          return yield* failed(reply._tag)
        }
        const holder = { owner, fence: reply.fence }
        const current = yield* restored(holder, reply.stored)
        if (current === undefined) {
          yield* endLease(holder, "kept")
          return yield* unavailable
        }
        remember(current.token, current.fence)
        const isMarked = rotates ? yield* record.mark(holder) : true
        if (isMarked !== true) {
          // A mark that arrives late is removed.
          yield* endLease(holder, "kept")
          return yield* isMarked === undefined && isAloneAllowed ? alone(rotates) : unavailable
        }
        const renewal = yield* Effect.forkDetach(Effect.interruptible(
          Effect.sleep(Duration.toMillis(leaseTime) / renewals).pipe(
            Effect.andThen(record.renew(holder)),
            Effect.repeat({
              while: (isHolder) =>
                isHolder !== false
            })
          )
        ))
        return {
          token: current.token,
          end: endOf(holder, () =>
            renewal.interruptUnsafe())
        }
      })
    )

  const save = (token: Redacted.Redacted) =>
    Effect.gen(function*() {
      const owner = SecureRandom.uuidV4Unsafe()
      const fence = yield* record.seize(owner)
      const isWritten = fence === undefined
        ? undefined
        : yield* record.write({ owner, fence }, token, { seed: undefined, isLast: true })
      if (fence === undefined || isWritten === undefined) return yield* unavailable
      if (!isWritten) return yield* failed("superseded")
      remember(token, fence)
    })

  return {
    load: Effect.flatMap(record.read, (token) => {
      if (token === undefined) return known === undefined ? unavailable : Effect.succeed(known.token)
      return Effect.succeed(token ?? initial)
    }),
    save,
    shared: {
      name,
      use,
      resend: Effect.flatMap(record.unmark, (isDone) => {
        if (known !== undefined) known = { ...known, spent: undefined }
        return isDone === undefined ? unavailable : Effect.void
      })
    }
  }
}
