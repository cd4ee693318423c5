/** What the demo prints while it runs: one line for each phase, and one for each second. */
import { Console, DateTime, Effect } from "effect"
import type { Transition } from "./circuitLog.ts"
import type { Call } from "./client.ts"
import type { Demo } from "./demo.ts"
import { quantile } from "./figures.ts"
import { sleepUntil } from "./runClock.ts"
import type { ScheduledPhase } from "./script.ts"

/** Colours are for terminals only; a log gets plain text (https://no-color.org). */
const isColoured = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === ""

const coloured = (code: number) => (text: string): string => isColoured ? `\u001b[${code}m${text}\u001b[0m` : text
export const bold = coloured(1)
export const red = coloured(31)
export const green = coloured(32)
const yellow = coloured(33)

const seconds = (millis: number): string => `${String(Math.round(millis / 1000)).padStart(3)} s`

export const announce = ({ from, name, says }: ScheduledPhase): Effect.Effect<void> =>
  Console.log(bold(`${seconds(from)}  ${name}: ${says}`))

/** The state of the API's keys: within their lifetime, past it, or none. */
const keyState = Effect.fnUntraced(function*({ cache }: Demo) {
  const { expiresAt, keys } = yield* cache.status
  const now = yield* DateTime.now
  if (keys === 0) return red("none")
  return expiresAt !== undefined && DateTime.isLessThan(expiresAt, now) ? yellow("stale") : green("fresh")
})

const circuitState = (transitions: ReadonlyArray<Transition>): string => {
  const isOpen = (name: string) =>
    (transitions.findLast(({ circuit }) => circuit === name)?.to ?? "CLOSED") !== "CLOSED"
  const open = ["tokens", "requests"].filter(isOpen)
  return open.length === 0 ? "closed" : yellow(`open (${open.join(", ")})`)
}

const line = Effect.fnUntraced(function*(
  demo: Demo,
  at: number,
  calls: ReadonlyArray<Call>,
  requests: number
) {
  const failed = calls.filter((call) => call.failed !== undefined).length
  const { state } = yield* demo.guard.provider.status
  return [
    `${seconds(at)}    ${String(calls.length).padStart(3)} calls`,
    (failed === 0 ? String : red)(`${String(failed).padStart(3)} failed`),
    `p95 ${String(quantile(calls.map(({ millis }) => millis), 0.95)).padStart(4)} ms`,
    `provider requests ${String(requests).padStart(2)}`,
    `keys ${yield* keyState(demo)}`,
    `token ${state === "Invalid" ? red(state) : state}`,
    `circuits ${circuitState(demo.observations.transitions)}`
  ].join("   ")
})

/** Prints a line for each second until a time in milliseconds. */
export const watch = Effect.fnUntraced(function*(demo: Demo, end: number) {
  let previous = { calls: 0, requests: 0 }
  for (let at = 1000; at <= end; at += 1000) {
    yield* sleepUntil(demo.clock, at)
    const { observations, provider: { requests } } = demo
    const calls = observations.calls.slice(previous.calls)
    yield* Console.log(yield* line(demo, at, calls, requests.length - previous.requests))
    previous = { calls: observations.calls.length, requests: requests.length }
  }
})
