/** `max_attempts`, `MAX_ATTEMPTS` and `maxAttempts` are one name. */
const normalized = (name: string): string => name.toLowerCase().replaceAll(/[\s_.-]/g, "")

/** The number of characters to insert, remove, replace or swap with their neighbour (optimal string alignment). */
const distance = (a: string, b: string): number => {
  let before: Array<number> = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1
      let least = Math.min(previous[column]! + 1, current[column - 1]! + 1, previous[column - 1]! + same)
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        least = Math.min(least, before[column - 2]! + 1)
      }
      current.push(least)
    }
    before = previous
    previous = current
  }
  return previous[b.length]!
}

/** Longer than any option's name; the time that `distance` takes grows with the square. */
const longestName = 64

/** The known name that an unknown one was probably meant to be; `undefined` if none is near. */
export const nearest = (unknown: string, known: ReadonlyArray<string>): string | undefined => {
  if (unknown.length > longestName) return undefined
  const text = normalized(unknown)
  let best: { readonly name: string; readonly far: number } | undefined
  for (const name of known) {
    const far = distance(text, normalized(name))
    if (far <= Math.floor(Math.max(text.length, 3) / 3) && far < (best?.far ?? Infinity)) best = { name, far }
  }
  return best?.name
}
