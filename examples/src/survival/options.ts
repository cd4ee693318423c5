/** The command line. */
import { parseArgs } from "node:util"
import { length, type PhaseName, script } from "./script.ts"

export interface SurvivalOptions {
  /** The one phase to play; without it all of them. */
  readonly phase: PhaseName | undefined
  /** When to end. The script is cut, or its last phase goes on. */
  readonly seconds: number | undefined
  /** Of the chances that the client and the API take. */
  readonly seed: number
  /** The file with the options of the API and the client. */
  readonly config: string | undefined
  /** One JSON document instead of lines and tables. */
  readonly json: boolean
  /** Whether it goes on afterwards, with a page of metrics. */
  readonly serve: boolean
}

const names = script.map(({ name }) => name)

export const usage = `npx -y pnpm@12 start [options]
  --phase NAME     plays one phase: ${names.join(", ")}
  --seconds ${length}     ends then, from 1 to 3600
  --seed 1         repeats what is left to chance
  --config FILE    options of the API and the client; default examples/survival.yaml
  --json           prints the report as JSON
  --serve          goes on afterwards, with a page of metrics`

const number = (name: string, text: string, least: number, most: number): number => {
  const value = Number(text)
  if (text.trim() === "" || !(value >= least && value <= most)) {
    throw new RangeError(`--${name} must be a number from ${least} to ${most}`)
  }
  return value
}

const phaseNamed = (text: string): PhaseName => {
  const found = names.find((name) => name === text)
  if (found === undefined) throw new RangeError(`--phase must be one of ${names.join(", ")}`)
  return found
}

/** Throws where an option is unknown or out of its range. */
export const parseOptions = (args: ReadonlyArray<string>): SurvivalOptions => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      phase: { type: "string" },
      seconds: { type: "string" },
      seed: { type: "string", default: "1" },
      config: { type: "string" },
      json: { type: "boolean", default: false },
      serve: { type: "boolean", default: false }
    }
  })
  return {
    phase: values.phase === undefined ? undefined : phaseNamed(values.phase),
    seconds: values.seconds === undefined ? undefined : number("seconds", values.seconds, 1, 3600),
    seed: number("seed", values.seed, 0, Number.MAX_SAFE_INTEGER),
    config: values.config,
    json: values.json,
    serve: values.serve
  }
}
