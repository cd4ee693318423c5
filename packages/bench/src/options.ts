/** The command-line options. */
import { parseArgs } from "node:util"

/** The measured parts, in the order in which they run: key sets first, since memory must be measured in a fresh process. */
export const partNames = ["jwks", "validation", "policies", "tokens", "bound", "cache", "simulation"] as const
export type PartName = (typeof partNames)[number]

export interface BenchOptions {
  /** The parts to run. */
  readonly parts: ReadonlyArray<PartName>
  /** Whether to write the figures and their page. */
  readonly json: boolean
  readonly help: boolean
  /** A program that is no part of the default run, with its minutes. */
  readonly program?: { readonly name: ProgramName; readonly minutes: number }
}

/** Programs beside the parts: each runs alone. */
const programNames = ["soak", "dns", "audit"] as const
export type ProgramName = (typeof programNames)[number]

const defaultMinutes: Readonly<Record<ProgramName, number>> = { soak: 30, dns: 1, audit: 2 }

export const usage = `npx -y pnpm@12 bench [part...] [options]
npx -y pnpm@12 bench soak [minutes]
npx -y pnpm@12 bench dns [minutes]
npx -y pnpm@12 bench audit [minutes]
  part      ${partNames.join(", ")}; default: all, which takes 3 to 10 minutes
  soak      heap growth beside rotating keys, a flaky server and junk tokens; default: ${defaultMinutes.soak} minutes
  dns       latency of the application's own dns.lookup while a name server hangs; default: ${defaultMinutes.dns} minute
  audit     10,000 audit entries per second to a rotated file, beside pino; default: ${defaultMinutes.audit} minutes
  --json    writes packages/bench/results.json and docs/benchmarks.md; only with all parts
  --help    prints this text`

const partNamed = (text: string): PartName => {
  const part = partNames.find((name) => name === text)
  if (part === undefined) throw new RangeError(`${text} is not a part: use one of ${partNames.join(", ")}`)
  return part
}

const minutesOf = (program: ProgramName, [text, ...others]: ReadonlyArray<string>): number => {
  const minutes = text === undefined ? defaultMinutes[program] : Number(text)
  if (others.length > 0 || !(minutes > 0 && minutes <= 1440)) {
    throw new RangeError(`${program} takes one number of minutes, up to 1440`)
  }
  return minutes
}

/** Throws if an argument is unknown, or if the figures of some parts are to be written. */
export const parseOptions = (args: ReadonlyArray<string>): BenchOptions => {
  const { positionals, values } = parseArgs({
    // pnpm passes the separator on.
    args: args.filter((arg) => arg !== "--"),
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } }
  })
  const [first, ...rest] = positionals
  const program = programNames.find((name) => name === first)
  if (program !== undefined) {
    if (values.json) throw new RangeError(`--json writes the figures of all parts, not of ${program}`)
    return { parts: [], json: false, help: values.help, program: { name: program, minutes: minutesOf(program, rest) } }
  }
  const chosen = new Set(positionals.map(partNamed))
  if (values.json && chosen.size > 0) throw new RangeError("--json writes the figures of all parts: give no part")
  return {
    parts: partNames.filter((name) => chosen.size === 0 || chosen.has(name)),
    json: values.json,
    help: values.help
  }
}
