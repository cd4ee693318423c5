/** Runs the phases of a schedule and causes what happens in each. */
import { Effect, Redacted } from "effect"
import type { Demo } from "./demo.ts"
import { callWithToken, flood } from "./flood.ts"
import { freshToken, materialOf } from "./forge.ts"
import { sleepUntil } from "./runClock.ts"
import type { ScheduledPhase } from "./script.ts"

const currentToken = ({ guard }: Demo) =>
  Effect.orDie(Effect.map(guard.provider.get, ({ value }) => Redacted.value(value)))

const material = (demo: Demo) =>
  Effect.flatMap(currentToken(demo), (real) => materialOf(real, demo.provider.signingKey))

/** The provider signs with a new key, and the client gets a token signed with it, a key that the API does not know yet. */
const rotateKey = Effect.fnUntraced(function*({ guard, provider }: Demo) {
  yield* provider.rotate
  yield* Effect.ignore(guard.provider.refresh)
})

const sendBadTokens = Effect.fnUntraced(function*(demo: Demo, phase: ScheduledPhase) {
  yield* flood(demo.api, yield* material(demo), demo.clock, phase, demo.observations.badTokenCalls)
})

/** Other callers arrive with tokens that they got earlier. Each needs a key, and the API cannot fetch keys now. */
const sendUnseenTokens = Effect.fnUntraced(function*(demo: Demo, phase: ScheduledPhase) {
  const { api, clock, observations } = demo
  const forged = yield* material(demo)
  while (clock.now() < phase.until - 1000) {
    observations.unseenTokens.push(yield* callWithToken(api, yield* Effect.promise(() => freshToken(forged))))
    yield* Effect.sleep("500 millis")
  }
})

/** The provider withdraws its key, and the API's operator forces a refresh of the keys. */
const withdrawKey = Effect.fnUntraced(function*(demo: Demo) {
  const withdrawn = yield* currentToken(demo)
  yield* demo.provider.withdraw
  yield* Effect.ignore(demo.cache.refresh)
  for (let n = 0; n < 10; n++) {
    demo.observations.withdrawnKey.push(yield* callWithToken(demo.api, withdrawn))
    yield* Effect.sleep("100 millis")
  }
})

const eventOf = (demo: Demo, phase: ScheduledPhase) => {
  switch (phase.name) {
    case "rotation":
      return rotateKey(demo)
    case "flood":
      return sendBadTokens(demo, phase)
    case "stale":
      return sendUnseenTokens(demo, phase)
    case "revoked":
      return withdrawKey(demo)
    default:
      return Effect.void
  }
}

/** Runs one phase after another, each at its time, and calls `announce` at the start of each. */
export const runPhases = Effect.fnUntraced(function*(
  demo: Demo,
  schedule: ReadonlyArray<ScheduledPhase>,
  announce: (phase: ScheduledPhase) => Effect.Effect<void>
) {
  for (const phase of schedule) {
    yield* sleepUntil(demo.clock, phase.from)
    demo.clock.phase = phase.name
    demo.provider.isDown = phase.isDown === true
    yield* announce(phase)
    yield* eventOf(demo, phase)
    yield* sleepUntil(demo.clock, phase.until)
  }
})
