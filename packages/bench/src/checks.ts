/** What every contestant has to do before it is measured: the same functions for all. */
import { Effect } from "effect"
import { answer, type Call, type Contestant, type Services, shared, Unavailable } from "./contestant.ts"

type Run = (call: Call) => Promise<number>

/** Runs one call under a policy of its own; gives what was wrong. */
export type Check = (run: Run) => Promise<string | undefined>

const unavailable = () => Promise.reject(new Unavailable())

const settle = async (run: Run, call: Call): Promise<number | "failed"> => {
  try {
    return await run(call)
  } catch {
    return "failed"
  }
}

const counted = (call: (n: number) => Promise<number>): { calls: number; readonly call: Call } => {
  const counter = { calls: 0, call: () => call(++counter.calls) }
  return counter
}

const expected = (name: string, found: unknown, wanted: unknown): string | undefined =>
  found === wanted ? undefined : `${name}: ${String(found)} instead of ${String(wanted)}`

export const passesThrough: Check = async (run) => {
  const source = counted(() => Promise.resolve(answer))
  const result = await settle(run, source.call)
  return expected("a success", `${result} after ${source.calls}`, `${answer} after 1`)
}

export const recovers: Check = async (run) => {
  const source = counted((n) => n < 3 ? unavailable() : Promise.resolve(answer))
  const result = await settle(run, source.call)
  return expected("two failures, then a success", `${result} after ${source.calls}`, `${answer} after 3`)
}

export const givesUp: Check = async (run) => {
  const source = counted(unavailable)
  const result = await settle(run, source.call)
  return expected("only failures", `${result} after ${source.calls}`, `failed after ${shared.attempts}`)
}

/** `attempts` is how many calls a failing run makes before the breaker sees its outcome. */
export const opens = (attempts: number): Check => async (run) => {
  const source = counted(unavailable)
  for (let i = 0; i < shared.failures; i++) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- failures in a row
    await settle(run, source.call)
  }
  const before = source.calls
  const result = await settle(run, source.call)
  return expected(
    "a circuit that opens",
    `${before} calls, then ${result} after ${source.calls - before}`,
    `${shared.failures * attempts} calls, then failed after 0`
  )
}

/** For a circuit that is open already. */
export const rejects: Check = async (run) => {
  const source = counted(() => Promise.resolve(answer))
  const result = await settle(run, source.call)
  return expected("an open circuit", `${result} after ${source.calls}`, "failed after 0")
}

/** The call heeds a signal if it is given one, and never ends otherwise. */
const hung: Call = (context) =>
  new Promise((_, reject) => {
    context?.signal.addEventListener("abort", () => reject(new Error("aborted")))
  })

export const cutsHung: Check = async (run) => {
  const began = performance.now()
  const bound = shared.deadlineMillis + 500
  const result = await Promise.race([
    settle(run, hung),
    new Promise((resolve) => setTimeout(resolve, bound, "still running"))
  ])
  return expected("a hung call", result, "failed") ??
    expected("a hung call is not cut at once", performance.now() - began > shared.attemptMillis * 0.9, true)
}

/** Problems of a contestant; none where all is well. Each check has a policy of its own. */
export const problemsOf = Effect.fnUntraced(function*(
  contestant: Contestant,
  checks: ReadonlyArray<Check>
): Effect.fn.Return<ReadonlyArray<string>, never, Services> {
  const problems: Array<string> = []
  for (const check of checks) {
    const run = yield* runOnce(contestant)
    const problem = yield* Effect.promise(() => check(run))
    if (problem !== undefined) problems.push(`${contestant.name}: ${problem}`)
  }
  return problems
})

const runOnce = Effect.fnUntraced(function*(contestant: Contestant): Effect.fn.Return<Run, never, Services> {
  if (contestant.kind === "promise") return yield* contestant.make
  const policy = yield* contestant.make
  return (call) =>
    Effect.runPromise(policy(Effect.tryPromise({
      try: (signal) => call({ signal }),
      catch: () => new Unavailable()
    })))
})
