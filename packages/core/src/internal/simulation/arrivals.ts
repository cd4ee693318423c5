import * as Duration from "effect/Duration"
import type { Load } from "../../testing/FleetOptions.ts"
import { exponential } from "./randomOf.ts"

/**
 * The time of the next call of a process, in nanoseconds from the start. While the rate is not constant, the distance is
 * measured in calls and not in seconds, so that a surge also shortens a distance that began before it.
 */
export const makeArrivals = (
  { arrivals, perSecond, surge }: Load,
  random: { readonly nextDoubleUnsafe: () => number }
): (now: number) => number => {
  const rate = perSecond / 1e9
  const begin = surge === undefined ? Infinity : Duration.toMillis(surge.begin) * 1e6
  const end = surge === undefined ? Infinity : Duration.toMillis(surge.end) * 1e6
  const factor = surge?.factor ?? 1
  let isFirst = true
  const distance = (): number => {
    if (arrivals === "poisson") return exponential(random)
    // The first call of each process comes at a different moment, or all processes would call at the same ones.
    const calls = isFirst ? random.nextDoubleUnsafe() : 1
    isFirst = false
    return calls
  }
  return (now) => {
    let at = now
    let calls = distance()
    for (;;) {
      const isSurge = at >= begin && at < end
      const until = isSurge ? end : at < begin ? begin : Infinity
      const current = isSurge ? rate * factor : rate
      const within = until === Infinity ? Infinity : (until - at) * current
      if (calls <= within && current > 0) return at + calls / current
      calls -= within
      at = until
    }
  }
}
