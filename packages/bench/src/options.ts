/** The command-line options. */
import { parseArgs } from "node:util"

/** The measured parts, in the order in which they run: key sets first, since memory must be measured in a fresh process. */
export const partNames = ["jwks", "validation", "policies", "tokens", "simulation"] as const
export type PartName = (typeof partNames)[number]

export interface BenchOptions {
  /** The parts to run. */
  readonly parts: ReadonlyArray<PartName>
  /** Whether to write the figures and their page. */
  readonly json: boolean
  readonly help: boolean
}

export const usage = `npx -y pnpm@12 bench [part...] [options]
  part      ${partNames.join(", ")}; default: all, which takes 3 to 10 minutes
  --json    writes packages/bench/results.json and docs/benchmarks.md; only with all parts
  --help    prints this text`

const partNamed = (text: string): PartName => {
  const part = partNames.find((name) => name === text)
  if (part === undefined) throw new RangeError(`${text} is not a part: use one of ${partNames.join(", ")}`)
  return part
}

/** Throws if an argument is unknown, or if the figures of some parts are to be written. */
export const parseOptions = (args: ReadonlyArray<string>): BenchOptions => {
  const { positionals, values } = parseArgs({
    // pnpm passes the separator on.
    args: args.filter((arg) => arg !== "--"),
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } }
  })
  const chosen = new Set(positionals.map(partNamed))
  if (values.json && chosen.size > 0) throw new RangeError("--json writes the figures of all parts: give no part")
  return {
    parts: partNames.filter((name) => chosen.size === 0 || chosen.has(name)),
    json: values.json,
    help: values.help
  }
}
