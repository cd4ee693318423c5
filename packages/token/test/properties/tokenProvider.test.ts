import { describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect } from "effect"
import fc from "fast-check"
import { command, runAll } from "./tokenModel.ts"

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
})
