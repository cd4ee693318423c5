/** Statistics for the report. */

/** A quantile by nearest rank, as a whole number; 0 for an empty list. */
export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0)
}

export type Tally = Readonly<{ [name: string]: number }>

/** How often each name occurs. */
export const tally = (names: ReadonlyArray<string>): Tally =>
  Object.fromEntries([...new Set(names)].map((name) => [name, names.filter((other) => other === name).length]))

/** Hits and misses, and the share of hits from 0 to 1. */
export interface Lookups {
  readonly hits: number
  readonly misses: number
  readonly ratio: number
}

export const lookups = (hits: number, misses: number): Lookups => ({
  hits,
  misses,
  ratio: hits + misses === 0 ? 0 : Math.round((1000 * hits) / (hits + misses)) / 1000
})
