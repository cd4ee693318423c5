/** The command line of the demo. */
import { parseArgs } from "node:util"

export interface DemoOptions {
  /** How long the script of the server takes. */
  readonly seconds: number
  /** Of the chances that the server and the client take. */
  readonly seed: number
  /** One JSON document instead of lines and tables. */
  readonly json: boolean
}

export const usage = "npx -y pnpm@12 start [--seconds 10] [--seed 1] [--json]"

const number = (name: string, text: string, least: number, most: number): number => {
  const value = Number(text)
  if (text.trim() === "" || !(value >= least && value <= most)) {
    throw new RangeError(`--${name} must be a number from ${least} to ${most}`)
  }
  return value
}

/** Throws where an option is unknown or out of its range. */
export const parseOptions = (args: ReadonlyArray<string>): DemoOptions => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "10" },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false }
    }
  })
  return {
    seconds: number("seconds", values.seconds, 1, 600),
    seed: number("seed", values.seed, 0, Number.MAX_SAFE_INTEGER),
    json: values.json
  }
}
