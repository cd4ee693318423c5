/** How large bundles may get. Pure. */

export interface Size {
  readonly minified: number
  readonly gzip: number
}

export interface Budget {
  /** The share by which a bundle may grow before somebody has to say that it may. */
  readonly allowance: number
  readonly sizes: Readonly<Record<string, Size>>
}

export type Sizes = Readonly<Record<string, Size>>

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`

const change = (last: number, now: number): string => {
  const percent = (now / last - 1) * 100
  return `${percent < 0 ? "" : "+"}${percent.toFixed(1)} %`
}

/** One line for each bundle, beside its last size. */
export const sizeLines = (budget: Budget, sizes: Sizes): ReadonlyArray<string> =>
  Object.entries(sizes).map(([name, { gzip, minified }]) => {
    const last = budget.sizes[name]
    const since = last === undefined ? "new" : change(last.minified, minified)
    return `${name}: ${kilobytes(minified)} minified, ${kilobytes(gzip)} with gzip (${since})`
  })

/** Bundles that grew by more than the allowance, and those that are in one of the two lists only. */
export const sizeProblems = (budget: Budget, sizes: Sizes): ReadonlyArray<string> => [
  ...Object.entries(sizes).flatMap(([name, size]) => {
    const last = budget.sizes[name]
    if (last === undefined) return [`${name} has no size in the budget`]
    return size.minified > last.minified * (1 + budget.allowance)
      ? [`${name} grew from ${kilobytes(last.minified)} to ${kilobytes(size.minified)} minified`]
      : []
  }),
  ...Object.keys(budget.sizes).filter((name) => !(name in sizes)).map((name) => `${name} is not bundled any more`)
]

/** The budget with the sizes of today. */
export const withSizes = (budget: Budget, sizes: Sizes): Budget => ({ allowance: budget.allowance, sizes })
