/** What a Redis server answers, each made to happen for real. */
import { redisServer } from "@keelson/testing/redisServer"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import type { Fault } from "./fault.ts"

type Use = (redis: Redis.Redis["Service"]) => Effect.Effect<unknown, Redis.RedisError>

const onServer = (use: Use): Fault["make"] =>
  Effect.flatMap(redisServer, (server) => Effect.flatMap(Redis.Redis, use).pipe(Effect.provide(server.redis)))

const isReplica = (redis: Redis.Redis["Service"]) => redis.send("REPLICAOF", "127.0.0.1", "1")
const script = Redis.script((key: string) => [key], { numberOfKeys: 1, lua: `redis.call("SET", KEYS[1], "1")` })

/** Redis up to 6.2 gave the error of a script in these words; the servers of tests are newer. */
const wrapped = (error: string) =>
  new Redis.RedisError({
    cause: new Error(`ERR Error running script (call to f_9aa3): @user_script:5: @user_script: 5: ${error}`)
  })

const refused = { code: undefined, retried: false, breaker: "ignored" } as const
const unavailable = { code: undefined, retried: true, breaker: "failure" } as const

const rows: ReadonlyArray<Pick<Fault, "what" | "code" | "retried" | "breaker" | "make">> = [
  {
    what: "a key holds another type (`WRONGTYPE`)",
    ...refused,
    make: onServer((redis) => Effect.andThen(redis.send("SET", "a", "1"), redis.send("HGET", "a", "b")))
  },
  {
    what: "the command is not known (`ERR`)",
    ...refused,
    make: onServer((redis) => redis.send("NOSUCH"))
  },
  {
    what: "the server is a replica (`READONLY`)",
    ...unavailable,
    make: onServer((redis) => Effect.andThen(isReplica(redis), redis.send("SET", "a", "1")))
  },
  {
    what: "the server is a replica, within a script",
    ...unavailable,
    make: onServer((redis) => Effect.andThen(isReplica(redis), redis.eval(script)("a")))
  },
  {
    what: "the server is a replica, within a script, up to Redis 6.2",
    ...unavailable,
    make: Effect.fail(wrapped("-READONLY You can't write against a read only replica."))
  },
  {
    what: "a key holds another type, within a script, up to Redis 6.2",
    ...refused,
    make: Effect.fail(wrapped("WRONGTYPE Operation against a key holding the wrong kind of value"))
  },
  {
    what: "the memory is used up (`OOM`)",
    ...unavailable,
    make: onServer((redis) =>
      Effect.andThen(redis.send("CONFIG", "SET", "maxmemory", "1"), redis.send("SET", "a", "1"))
    )
  }
]

export const redisFaults: ReadonlyArray<Fault> = rows.map((row) => ({
  ids: "K-28 D8",
  area: "Redis",
  where: "Redis",
  ...row
}))
