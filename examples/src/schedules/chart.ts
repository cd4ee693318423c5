import type { RetryDescription } from "@keelson/core"
import { Duration } from "effect"

const width = 60

/** Draws the range of each delay on one scale: dots up to the minimum, hashes up to the maximum. */
export const bandChart = (delays: ReadonlyArray<RetryDescription.DelayBand>): string => {
  const longest = Math.max(...delays.map(({ max }) => Duration.toMillis(max)))
  const column = (delay: Duration.Duration) => Math.round((Duration.toMillis(delay) / longest) * width)
  return delays
    .map(({ attempt, max, min }) => {
      const from = column(min)
      return `${String(attempt).padStart(2)} |${".".repeat(from)}${"#".repeat(Math.max(1, column(max) - from))}`
    })
    .join("\n")
}

const bin = 100

/** Draws a histogram of values in milliseconds, in bins of 100 ms. */
export const histogram = (values: ReadonlyArray<number>): string => {
  const bins = Array.from({ length: Math.floor(Math.max(...values) / bin) + 1 }, () => 0)
  for (const value of values) bins[Math.floor(value / bin)]! += 1
  return bins
    .map((count, index) => {
      const share = count / values.length
      const label = `${String(index * bin).padStart(5)} ms`
      return `${label} |${"#".repeat(Math.ceil(share * width))} ${(share * 100).toFixed(1)} %`
    })
    .join("\n")
}
