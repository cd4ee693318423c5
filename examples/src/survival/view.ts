/** What is seen while it runs: a line for each phase that begins, and one for each second. */
import { Console, DateTime, Effect } from "effect"
import type { Cast } from "./cast.ts"
import type { Call } from "./client.ts"
import { quantile } from "./figures.ts"
import type { Act } from "./script.ts"
import { until } from "./stage.ts"
import type { Transition } from "./witness.ts"

/** Colour is for terminals: a log gets plain text (https://no-color.org). */
const isColoured = process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === ""

const coloured = (code: number) => (text: string): string => isColoured ? `\u001b[${code}m${text}\u001b[0m` : text
export const bold = coloured(1)
export const red = coloured(31)
export const green = coloured(32)
const yellow = coloured(33)

const clock = (millis: number): string => `${String(Math.round(millis / 1000)).padStart(3)} s`

export const announce = (act: Act): Effect.Effect<void> =>
  Console.log(bold(`${clock(act.from)}  ${act.name}: ${act.says}`))

/** How the keys of the API are: within their lifetime, past it, or none. */
const keysAre = Effect.fnUntraced(function*({ cache }: Cast) {
  const { expiresAt, keys } = yield* cache.status
  const now = yield* DateTime.now
  if (keys === 0) return red("none")
  return expiresAt !== undefined && DateTime.isLessThan(expiresAt, now) ? yellow("stale") : green("fresh")
})

const circuitsAre = (transitions: ReadonlyArray<Transition>): string => {
  const isOpen = (name: string) =>
    (transitions.findLast(({ circuit }) => circuit === name)?.to ?? "CLOSED") !== "CLOSED"
  const open = ["tokens", "requests"].filter(isOpen)
  return open.length === 0 ? "closed" : yellow(`open (${open.join(", ")})`)
}

const line = Effect.fnUntraced(function*(cast: Cast, at: number, calls: ReadonlyArray<Call>, asked: number) {
  const failed = calls.filter((call) => call.failed !== undefined).length
  const { state } = yield* cast.guard.provider.status
  return [
    `${clock(at)}    ${String(calls.length).padStart(3)} calls`,
    (failed === 0 ? String : red)(`${String(failed).padStart(3)} failed`),
    `p95 ${String(quantile(calls.map(({ millis }) => millis), 0.95)).padStart(4)} ms`,
    `provider asked ${String(asked).padStart(2)} x`,
    `keys ${yield* keysAre(cast)}`,
    `token ${state === "Invalid" ? red(state) : state}`,
    `circuits ${circuitsAre(cast.notes.transitions)}`
  ].join("   ")
})

/** A line for each second until a moment, in milliseconds. */
export const watch = Effect.fnUntraced(function*(cast: Cast, end: number) {
  let before = { calls: 0, asked: 0 }
  for (let at = 1000; at <= end; at += 1000) {
    yield* until(cast.stage, at)
    const { notes, provider: { asked } } = cast
    const calls = notes.calls.slice(before.calls)
    yield* Console.log(yield* line(cast, at, calls, asked.length - before.asked))
    before = { calls: notes.calls.length, asked: asked.length }
  }
})
