/** How far ahead of the clock `iat` may run, in seconds: servers refuse what comes from the future. */
const furthest = 10

/**
 * Seconds that increase strictly from one to the next, of a clock that may stand still or repeat itself. A clock that was set
 * back by more than 10 seconds starts anew, and so does the twelfth within one second: assertions from the future would be
 * refused until it had caught up.
 */
export const increasing = (): (now: number) => number => {
  let last = -Infinity
  return (millis) => {
    const now = Math.floor(millis / 1_000)
    last = now > last || last + 1 - now > furthest ? now : last + 1
    return last
  }
}
