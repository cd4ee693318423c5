import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Revocation } from "../../Revocation.ts"
import type * as RevocationOptions from "../../RevocationOptions.ts"
import { makeEntry } from "./entry.ts"
import { LocalList } from "./localList.ts"
import { failListFull } from "./revocationUnavailable.ts"

const isRevoked = Effect.succeed(true)
const isNotRevoked = Effect.succeed(false)

/** Makes a list in this process, and registers the metric of its entries. */
export const makeLocalList = Effect.fnUntraced(
  function*(
    options: RevocationOptions.Memory,
    store: "memory" | "redis"
  ): Effect.fn.Return<LocalList, never, Scope.Scope> {
    const list = new LocalList(options)
    const clock = yield* Clock.Clock
    yield* MetricSeries.register("revocationEntries", { store }, () => list.entries(clock))
    return list
  }
)

/** Revocations of this process alone. Only a full list fails. */
export const makeMemoryRevocation = Effect.fnUntraced(
  function*(options: RevocationOptions.Memory): Effect.fn.Return<Revocation["Service"], never, Scope.Scope> {
    const list = yield* makeLocalList(options, "memory")
    const tolerance = Duration.toMillis(options.clockTolerance)
    return {
      isRevoked: (token) =>
        Effect.withFiber((fiber) => list.has(token, fiber.getRef(Clock.Clock)) ? isRevoked : isNotRevoked),
      revoke: (subject, until) =>
        Effect.withFiber((fiber) => {
          const clock = fiber.getRef(Clock.Clock)
          return list.add(makeEntry(subject, until, tolerance, clock), clock) ? Effect.void : failListFull
        })
    }
  }
)
