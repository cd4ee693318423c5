import type { Sender } from "@keelson/core/unstable/RedisConnection"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as KeyValueStore from "effect/persistence/KeyValueStore"
import type * as Redis from "effect/persistence/Redis"
import type { TextStore } from "./snapshotStore.ts"

/**
 * Returns the code at the start of a Redis error message, such as `READONLY`. The rest of the message is dropped, because it may
 * contain the arguments of the command.
 */
const reasonOf = ({ cause }: Redis.RedisError): string =>
  (cause instanceof Error ? /^[A-Z]{3,20}(?= )/.exec(cause.message)?.[0] : undefined) ?? "failed"

/** Stores texts in Redis. Redis deletes each text when its time to live ends. */
export const makeRedisStore = (redis: Sender, prefix: string): TextStore => ({
  kind: "redis",
  // `GETRANGE` truncates the value on the server, so that a huge value that others wrote is never transferred. For an absent
  // key it returns an empty text.
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

/** Stores texts in a key-value store. They are never truncated and never expire. */
export const makeKeyValueTexts = (store: KeyValueStore.KeyValueStore, prefix: string): TextStore => ({
  kind: "keyValueStore",
  read: (name) => failed(store.get(prefix + name)),
  write: (name, text) => failed(store.set(prefix + name, text)),
  remove: (name) => failed(store.remove(prefix + name))
})

/** Stores texts in memory. */
export const makeMemoryStore = (): TextStore => {
  const texts = new Map<string, string>()
  return {
    kind: "memory",
    read: (name) => Effect.sync(() => texts.get(name)),
    write: (name, text) => Effect.sync(() => void texts.set(name, text)),
    remove: (name) => Effect.sync(() => void texts.delete(name))
  }
}
