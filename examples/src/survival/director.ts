/** Plays the acts of a run. */
import { Effect, Redacted } from "effect"
import type { Cast } from "./cast.ts"
import { flood, present } from "./flood.ts"
import { fresh, materialOf } from "./forge.ts"
import type { Act } from "./script.ts"
import { until } from "./stage.ts"

const token = ({ guard }: Cast) => Effect.orDie(Effect.map(guard.provider.get, ({ value }) => Redacted.value(value)))

/** A new key signs. Somebody asks for a token of it: the API has not seen its key yet. */
const rotation = Effect.fnUntraced(function*({ guard, provider }: Cast) {
  yield* provider.rotate
  yield* Effect.ignore(guard.provider.refresh)
})

const material = (cast: Cast) => Effect.flatMap(token(cast), (real) => materialOf(real, cast.provider.signingKey))

const attack = Effect.fnUntraced(function*(cast: Cast, act: Act) {
  yield* flood(cast.api, yield* material(cast), cast.stage, act, cast.notes.attacks)
})

/** Others call too, with tokens that they had before: for each the API needs a key, which it can't ask for now. */
const newcomers = Effect.fnUntraced(function*(cast: Cast, act: Act) {
  const { api, notes, stage } = cast
  const like = yield* material(cast)
  while (stage.now() < act.until - 1000) {
    notes.newcomers.push(yield* present(api, yield* Effect.promise(() => fresh(like))))
    yield* Effect.sleep("500 millis")
  }
})

/** The key is withdrawn at the provider, and who operates the API has its keys fetched at once. */
const revocation = Effect.fnUntraced(function*(cast: Cast) {
  const stolen = yield* token(cast)
  yield* cast.provider.withdraw
  yield* Effect.ignore(cast.cache.refresh)
  for (let n = 0; n < 10; n++) {
    cast.notes.withdrawn.push(yield* present(cast.api, stolen))
    yield* Effect.sleep("100 millis")
  }
})

const event = (cast: Cast, act: Act) => {
  switch (act.name) {
    case "rotation":
      return rotation(cast)
    case "flood":
      return attack(cast, act)
    case "stale":
      return newcomers(cast, act)
    case "revoked":
      return revocation(cast)
    default:
      return Effect.void
  }
}

/** Plays one act after another; each begins in time, and `announce` tells of it. */
export const play = Effect.fnUntraced(function*(
  cast: Cast,
  acts: ReadonlyArray<Act>,
  announce: (act: Act) => Effect.Effect<void>
) {
  for (const act of acts) {
    yield* until(cast.stage, act.from)
    cast.stage.phase = act.name
    cast.provider.isDown = act.isDown === true
    yield* announce(act)
    yield* event(cast, act)
    yield* until(cast.stage, act.until)
  }
})
