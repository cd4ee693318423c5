import { describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect } from "effect"
import fc from "fast-check"
import { type Command, command, runAll } from "./tokenModel.ts"

describe("TokenProvider", () => {
  it("[T4] [R13] [R23] [R28] [S2-05] [S2-14] [S2-25] keeps its invariants whatever callers, clocks and the server do", (context) =>
    forAllEffect(
      context,
      1000,
      fc.array(command, { minLength: 5, maxLength: 40 }),
      (commands) =>
        Effect.flatMap(
          skewedClock,
          (skewed) => quiet(Effect.provideService(runAll(commands, skewed), Clock.Clock, skewed.clock))
        )
    ))

  it.effect("[S2-14] a token that came too late, since the clock was set, does not end a series of failures", () =>
    Effect.gen(function*() {
      const skewed = yield* skewedClock
      const slowly = { _tag: "server", mode: { _tag: "slow", lifetime: 60, seconds: 1 } } as const
      const commands: ReadonlyArray<Command> = [
        { _tag: "server", mode: { _tag: "down" } },
        { _tag: "get", callers: 3 },
        slowly,
        { _tag: "get", callers: 1 },
        { _tag: "jump", seconds: 600 },
        { _tag: "advance", seconds: 1 },
        { _tag: "advance", seconds: 1 }
      ]
      yield* quiet(Effect.provideService(runAll(commands, skewed), Clock.Clock, skewed.clock))
    }))
})
