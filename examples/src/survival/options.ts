/** The command-line options. */
import { parseArgs } from "node:util"
import { length, type PhaseName, script } from "./script.ts"

export interface SurvivalOptions {
  /** The only phase to play. Default: all. */
  readonly phase: PhaseName | undefined
  /** When to end: shortens the script or extends its last phase. */
  readonly seconds: number | undefined
  /** The seed of the random parts: jitter, and when the API fails. */
  readonly seed: number
  /** The file with the options of the API and the client. */
  readonly config: string | undefined
  /** Whether to print one JSON document instead of lines and tables. */
  readonly json: boolean
  /** Whether to keep running afterwards, with a page of metrics. */
  readonly serve: boolean
  /** Whether to print the options only. */
  readonly help: boolean
}

const names = script.map(({ name }) => name)

export const usage = `npx -y pnpm@12 start [options]
  --phase NAME     plays one phase: ${names.join(", ")}
  --seconds ${length}     ends after this time, from 1 to 3600
  --seed 1         reproduces the random parts
  --config FILE    options of the API and the client; default examples/survival.yaml
  --json           prints the report as JSON
  --serve          keeps running afterwards, with a page of metrics
  --help           prints this text`

const number = (name: string, text: string, least: number, most: number): number => {
  const value = Number(text)
  if (text.trim() === "" || !(value >= least && value <= most)) {
    throw new RangeError(`--${name} must be a number from ${least} to ${most}`)
  }
  return value
}

const phaseNamed = (text: string): PhaseName => {
  const phase = names.find((name) => name === text)
  if (phase === undefined) throw new RangeError(`--phase must be one of ${names.join(", ")}`)
  return phase
}

/** Throws if an option is unknown or out of range. */
export const parseOptions = (args: ReadonlyArray<string>): SurvivalOptions => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      phase: { type: "string" },
      seconds: { type: "string" },
      seed: { type: "string", default: "1" },
      config: { type: "string" },
      json: { type: "boolean", default: false },
      serve: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  return {
    phase: values.phase === undefined ? undefined : phaseNamed(values.phase),
    seconds: values.seconds === undefined ? undefined : number("seconds", values.seconds, 1, 3600),
    seed: number("seed", values.seed, 0, Number.MAX_SAFE_INTEGER),
    config: values.config,
    json: values.json,
    serve: values.serve,
    help: values.help
  }
}
