import type { Sender } from "@keelson/core/unstable/RedisConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as KeyValueStore from "effect/persistence/KeyValueStore"
import type * as Redis from "effect/persistence/Redis"
import type { TextStore } from "./snapshotStore.ts"

/** The word that Redis's errors begin with, such as `READONLY`. The rest may quote the command with its arguments. */
const reasonOf = ({ cause }: Redis.RedisError): string =>
  (cause instanceof Error ? /^[A-Z]{3,20}(?= )/.exec(cause.message)?.[0] : undefined) ?? "failed"

/** Texts in Redis, which forgets them by itself. */
export const makeRedisStore = (redis: Sender, prefix: string): TextStore => ({
  kind: "redis",
  // Cut by the server: somebody else's value of half a gigabyte is never transferred. Absent keys read as empty.
  read: (name, maxBytes) =>
    redis.send("GETRANGE", prefix + name, "0", String(maxBytes + 3)).pipe(
      Effect.mapError(reasonOf),
      Effect.flatMap((text) => typeof text === "string" ? Effect.succeed(text || undefined) : Effect.fail("failed"))
    ),
  write: (name, text, timeToLive) =>
    redis.send("SET", prefix + name, text, "PX", String(Duration.toMillis(timeToLive))).pipe(
      Effect.mapError(reasonOf),
      Effect.asVoid
    ),
  remove: (name) => Effect.asVoid(Effect.mapError(redis.send("DEL", prefix + name), reasonOf))
})

const failed = Effect.mapError(() => "failed")

/** Texts in a key-value store, which neither cuts nor forgets. */
export const makeKeyValueTexts = (store: KeyValueStore.KeyValueStore, prefix: string): TextStore => ({
  kind: "keyValueStore",
  read: (name) => failed(store.get(prefix + name)),
  write: (name, text) => failed(store.set(prefix + name, text)),
  remove: (name) => failed(store.remove(prefix + name))
})

/** Texts in this process. */
export const makeMemoryStore = (): TextStore => {
  const texts = new Map<string, string>()
  return {
    kind: "memory",
    read: (name) => Effect.sync(() => texts.get(name)),
    write: (name, text) => Effect.sync(() => void texts.set(name, text)),
    remove: (name) => Effect.sync(() => void texts.delete(name))
  }
}
