import type { RetryDescription } from "@keelson/core"
import { Duration } from "effect"

const width = 60

/** The band of each delay on one scale: dots up to its least, hashes up to its greatest. */
export const bandChart = (delays: ReadonlyArray<RetryDescription.DelayBand>): string => {
  const longest = Math.max(...delays.map(({ max }) => Duration.toMillis(max)))
  const place = (delay: Duration.Duration) => Math.round((Duration.toMillis(delay) / longest) * width)
  return delays
    .map(({ attempt, max, min }) => {
      const from = place(min)
      return `${String(attempt).padStart(2)} |${".".repeat(from)}${"#".repeat(Math.max(1, place(max) - from))}`
    })
    .join("\n")
}

const bin = 100

/** How many of the values fall into each tenth of a second. */
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
