import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect } from "effect"
import fc from "fast-check"
import { type Command, command, Fleet, harmless } from "./sharedTokenModel.ts"

const fleet = Effect.map(Effect.scope, (scope) => new Fleet(scope))

describe("processes that share a token", () => {
  it("[K-11] [R16] keep their laws whatever dies, pauses and fails: only the newest lease writes, no replaced token comes back, all end with a token", (context) =>
    forAllEffect(
      context,
      500,
      fc.array(command, { minLength: 5, maxLength: 50 }),
      (commands) =>
        quiet(Effect.gen(function*() {
          const running = yield* fleet
          for (const one of commands) yield* running.run(one)
          yield* running.settle
        }))
    ))

  it("[K-11] [T4] cause one request at a time while nothing fails", (context) =>
    forAllEffect(
      context,
      300,
      fc.array(harmless, { minLength: 5, maxLength: 40 }),
      (commands) =>
        quiet(Effect.gen(function*() {
          const running = yield* fleet
          yield* running.run({ _tag: "server", seconds: 20, isUp: true })
          for (const one of commands) yield* running.run(one)
          yield* running.settle
          assert.isAtMost(running.most, 1)
        }))
    ))

  it.effect("[K-11] a token that was invalidated while the store was down is not taken again when it is back", () =>
    quiet(Effect.gen(function*() {
      const running = yield* fleet
      const commands: ReadonlyArray<Command> = [
        { _tag: "get", process: 0 },
        { _tag: "store", mode: "down" },
        { _tag: "invalidate", process: 0, back: 0 },
        { _tag: "advance", millis: 1_000 },
        { _tag: "store", mode: "up" },
        { _tag: "get", process: 0 },
        { _tag: "get", process: 1 }
      ]
      for (const one of commands) yield* running.run(one)
      yield* running.settle
    })))
})
