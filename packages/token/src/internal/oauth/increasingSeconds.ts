/** How far `iat` may run ahead of the clock, in seconds. Servers reject tokens issued in the future. */
const maxAhead = 10

/**
 * Strictly increasing seconds from a clock that may stand still or repeat itself. After the clock was set back by more than
 * 10 seconds, or at the twelfth call within one second, the result restarts at the clock: servers would reject assertions from
 * further in the future.
 */
export const increasingSeconds = (): (millis: number) => number => {
  let last = -Infinity
  return (millis) => {
    const now = Math.floor(millis / 1_000)
    last = now > last || last + 1 - now > maxAhead ? now : last + 1
    return last
  }
}
