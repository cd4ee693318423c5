/** What happened, from what the callers, the server and the circuit noted. */
import type { Log } from "./callers.ts"
import type { Arrival } from "./origin.ts"
import { phases } from "./timeline.ts"
import type { Transition, Witness } from "./witness.ts"

export interface Notes {
  readonly log: Log
  readonly arrivals: ReadonlyArray<Arrival>
  readonly witness: Pick<Witness, "admitted" | "transitions">
  /** As counted in `retry_attempts_total`. */
  readonly retries: number
  readonly maxAttempts: number
}

export interface PhaseSummary {
  readonly phase: string
  readonly requests: number
  /** Calls that failed, by the code of their error. */
  readonly failed: Readonly<{ [code: string]: number }>
  /** Requests that reached the server in this phase, as it counted them. */
  readonly reachedServer: number
  readonly p50: number
  readonly p95: number
}

export interface Promised {
  readonly text: string
  readonly kept: boolean
}

export interface Summary {
  readonly phases: ReadonlyArray<PhaseSummary>
  readonly requests: number
  readonly failed: number
  readonly rejected: number
  readonly reachedServer: number
  readonly retries: number
  readonly probes: number
  readonly transitions: ReadonlyArray<Transition>
  readonly promises: ReadonlyArray<Promised>
}

const quantile = (millis: ReadonlyArray<number>, q: number): number => {
  const sorted = millis.toSorted((a, b) => a - b)
  return Math.round(sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0)
}

const tally = (names: ReadonlyArray<string>): Readonly<{ [name: string]: number }> =>
  Object.fromEntries([...new Set(names)].map((name) => [name, names.filter((other) => other === name).length]))

const perPhase = ({ arrivals, log: { calls } }: Notes): ReadonlyArray<PhaseSummary> =>
  phases.map(({ name }) => {
    const made = calls.filter(({ phase }) => phase === name)
    const times = made.map(({ millis }) => millis)
    return {
      phase: name,
      requests: made.length,
      failed: tally(made.flatMap(({ failed }) => failed ?? [])),
      reachedServer: arrivals.filter(({ phase }) => phase === name).length,
      p50: quantile(times, 0.5),
      p95: quantile(times, 0.95)
    }
  })

/** Attempts that came less than `Retry-After`, a second, after their caller was told 429. */
const tooEarly = ({ arrivals, log }: Notes): number =>
  log.refusals.filter((refusal) =>
    arrivals.some(({ at, call }) => call === refusal.call && at > refusal.at && at < refusal.at + 995)
  ).length

/** Whether a probe came only after the one before it was over: none arrives again after another one has. */
const oneByOne = (probes: ReadonlyArray<string>): boolean =>
  probes.filter((call, index) => call !== probes[index - 1]).length === new Set(probes).size

const promises = (notes: Notes): ReadonlyArray<Promised> => {
  const { arrivals, log, maxAttempts, retries, witness } = notes
  const reached = tally(arrivals.map(({ call }) => call))
  const rejected = log.calls.filter(({ failed }) => failed === "CIRCUIT_OPEN")
  const probes = arrivals.map(({ call }) => call).filter((call) => witness.admitted.get(call) === "probe")
  return [
    {
      text: `no request reached the server more than ${maxAttempts} times`,
      kept: Object.values(reached).every((times) => times <= maxAttempts)
    },
    {
      text: "no request that the circuit rejected reached the server",
      kept: rejected.every(({ id }) => reached[id] === undefined)
    },
    {
      text: "while the circuit was not closed, only probes were admitted, one at a time",
      kept: Object.keys(reached).every((id) => witness.admitted.has(id)) && oneByOne(probes)
    },
    { text: "no retry came sooner than Retry-After said", kept: tooEarly(notes) === 0 },
    {
      text: "the server saw no more requests than calls that were admitted and retries that were counted",
      kept: arrivals.length <= witness.admitted.size + retries
    }
  ]
}

export const summarize = (notes: Notes): Summary => ({
  phases: perPhase(notes),
  requests: notes.log.calls.length,
  failed: notes.log.calls.filter(({ failed }) => failed !== undefined).length,
  rejected: notes.log.calls.filter(({ failed }) => failed === "CIRCUIT_OPEN").length,
  reachedServer: notes.arrivals.length,
  retries: notes.retries,
  probes: [...notes.witness.admitted.values()].filter((as) => as === "probe").length,
  transitions: notes.witness.transitions,
  promises: promises(notes)
})
