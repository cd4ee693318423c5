/** Checks that every contestant must pass before it is measured. */
import { Effect } from "effect"
import { answer, type Call, type Contestant, type Services, shared, Unavailable } from "./contestant.ts"

type Run = (call: Call) => Promise<number>

/** Checks a new policy. Returns the problem, or `undefined`. */
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

const expected = (name: string, actual: unknown, wanted: unknown): string | undefined =>
  actual === wanted ? undefined : `${name}: ${String(actual)} instead of ${String(wanted)}`

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

/** `attempts` is the number of calls in a failing run before the breaker records its outcome. */
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

/** For a circuit that is already open. */
export const rejects: Check = async (run) => {
  const source = counted(() => Promise.resolve(answer))
  const result = await settle(run, source.call)
  return expected("an open circuit", `${result} after ${source.calls}`, "failed after 0")
}

/** A call that ends only if its signal aborts. */
const hung: Call = (context) =>
  new Promise((_, reject) => {
    context?.signal.addEventListener("abort", () => reject(new Error("aborted")))
  })

export const interruptsHung: Check = async (run) => {
  const began = performance.now()
  const bound = shared.deadlineMillis + 500
  const result = await Promise.race([
    settle(run, hung),
    new Promise((resolve) => setTimeout(resolve, bound, "still running"))
  ])
  return expected("a hung call", result, "failed") ??
    expected("a hung call is not interrupted too early", performance.now() - began > shared.attemptMillis * 0.9, true)
}

/** The problems of a contestant; empty if it passes. Each check uses a new policy. */
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
