import { waitAtMost } from "@keelson/core/unstable/Bounded"
import type { Sender } from "@keelson/core/unstable/RedisConnection"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** The result of recording a proof in Redis. */
export type StoreResult = "new" | "used" | "failed"

const failed = Effect.succeed<StoreResult>("failed")

/** `OK` for a key that was set, and null for one that existed. Any other reply is not an answer to this command. */
const resultOf = (reply: unknown): StoreResult => {
  if (reply === "OK") return "new"
  return reply === null ? "used" : "failed"
}

/**
 * Records a proof with one command, which only one of several callers succeeds with. It waits no longer than the timeout, and
 * never fails.
 *
 * - `lifetime`: how long to keep the record, in milliseconds.
 */
export const addToRedis = (
  redis: Sender,
  { prefix, timeout }: { readonly prefix: string; readonly timeout: Duration.Duration },
  id: string,
  lifetime: number
): Effect.Effect<StoreResult> =>
  // A defect of the client must not end its caller.
  Effect.suspend(() =>
    waitAtMost(redis.send("SET", prefix + id, "1", "NX", "PX", String(Math.max(1, Math.ceil(lifetime)))), timeout)
  ).pipe(
    Effect.map(Option.match({ onNone: (): StoreResult => "failed", onSome: resultOf })),
    Effect.catch(() => failed),
    Effect.catchDefect(() => failed)
  )
