/** How a delay is spread. All delays are milliseconds here. */
export type Kind = "none" | "full" | "equal" | "proportional" | "decorrelated"

export interface Band {
  readonly min: number
  readonly max: number
}

/**
 * The interval from which the delay is drawn uniformly: the kind's own interval around the capped delay, cut to
 * [base, cap]. It is *cut*, where others clamp the drawn value, so that at the cap delays still vary and don't heap up.
 */
export const jitterBand = (kind: Kind, options: {
  readonly delay: number
  readonly base: number
  readonly cap: number
  /** The delay before this one; for `decorrelated`. */
  readonly previous: number
  /** For `proportional`. */
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

/** `random` is uniform on [0, 1). An infinite delay without a cap stays infinite, where arithmetic would make it NaN. */
export const draw = ({ max, min }: Band, random: number): number =>
  max === Infinity ? Infinity : min + (max - min) * random
