/** The heap after garbage collection, at a time in minutes. */
export interface Sample {
  readonly minute: number
  readonly kib: number
}

/** The slope of the line with the least squares, in KiB per minute. */
export const slopeOf = (samples: ReadonlyArray<Sample>): number => {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length
  const [minute, kib] = [mean((one) => one.minute), mean((one) => one.kib)]
  const spread = samples.reduce((sum, one) => sum + (one.minute - minute) ** 2, 0)
  return samples.reduce((sum, one) => sum + (one.minute - minute) * (one.kib - kib), 0) / spread
}
