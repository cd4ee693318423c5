/** Bulkheads with room for every call, and Keelson's adaptive limit. */
import { AdaptiveLimit, Bulkhead } from "@keelson/core"
import { bulkhead } from "cockatiel"
import { Effect } from "effect"
import type { Call, Contestant, Unavailable } from "./contestant.ts"

const places = 10

const keelson = Effect.map(
  Effect.orDie(Bulkhead.make("bench", { maxConcurrent: places, maxQueued: places })),
  ({ execute }) => (self: Effect.Effect<number, Unavailable>) => execute(self)
)

const adaptive = Effect.map(
  Effect.orDie(AdaptiveLimit.make("bench", { maxQueued: places })),
  ({ execute }) => (self: Effect.Effect<number, Unavailable>) => execute(self)
)

const cockatiel = Effect.sync(() => {
  const policy = bulkhead(places, places)
  return (call: Call) => policy.execute(call)
})

export const bulkheads: ReadonlyArray<Contestant> = [
  { name: "Keelson", kind: "effect", make: keelson },
  { name: "Keelson, adaptive", kind: "effect", make: adaptive },
  { name: "cockatiel", kind: "promise", make: cockatiel }
]
