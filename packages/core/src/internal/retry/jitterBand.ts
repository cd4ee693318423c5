/** The kinds of jitter. All delays here are in milliseconds. */
export type Kind = "none" | "full" | "equal" | "proportional" | "decorrelated"

/** An interval of delays. */
export interface Band {
  readonly min: number
  readonly max: number
}

/**
 * The interval from which a delay is drawn uniformly: that of the kind around the capped delay, limited to [base, cap].
 * Limiting the interval instead of the drawn value keeps delays at the cap varied.
 */
export const jitterBand = (kind: Kind, options: {
  readonly delay: number
  readonly base: number
  readonly cap: number
  /** For `decorrelated`: the previous delay. */
  readonly previous: number
  /** For `proportional`: the share to add or subtract. */
  readonly ratio: number
}): Band => {
  const { base, cap, previous, ratio } = options
  const delay = Math.min(options.delay, cap)
  switch (kind) {
    case "none":
      return { min: delay, max: delay }
    case "full":
      return { min: 0, max: delay }
    case "equal":
      return { min: delay / 2, max: delay }
    case "proportional":
      return cut(delay * (1 - ratio), delay * (1 + ratio), Math.min(base, delay), cap)
    case "decorrelated":
      return cut(base, previous * 3, Math.min(base, cap), cap)
  }
}

const cut = (min: number, max: number, least: number, most: number): Band => {
  const low = Math.max(min, least)
  return { min: low, max: Math.max(low, Math.min(max, most)) }
}

/** Draws a delay; `random` is uniform on [0, 1). An infinite delay stays infinite, where arithmetic would give NaN. */
export const draw = ({ max, min }: Band, random: number): number =>
  max === Infinity ? Infinity : min + (max - min) * random
