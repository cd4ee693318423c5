/** The phases of the demo: what happens, and when. */

export interface Phase {
  readonly name: string
  /** Duration in the whole script, in seconds. */
  readonly seconds: number
  /** Duration if the phase is played alone and that is longer. */
  readonly alone?: number
  /** What the demo prints at the start of the phase. */
  readonly says: string
  /** Whether the provider drops every connection. */
  readonly isDown?: true
  /** How the API fails: it rate-limits a third of the calls, or is unavailable half of the time. */
  readonly api?: "limited" | "flaky"
}

/**
 * Keys have a lifetime of 30 seconds and tokens of 60, the minimum for both. The lifetime of the keys that are fetched at the
 * rotation, at second 2, ends at second 32, while the provider is down from second 10 to second 36.
 */
export const script = [
  { name: "steady", seconds: 2, says: "the provider and the API work" },
  {
    name: "rotation",
    seconds: 3,
    says: "the provider signs with a new key, and the client gets a token signed with it"
  },
  { name: "flood", seconds: 5, says: "520 bad tokens of 13 kinds arrive in addition to the calls" },
  { name: "outage", seconds: 4, isDown: true, says: "the provider is down: it returns neither keys nor tokens" },
  {
    name: "limited",
    seconds: 4,
    isDown: true,
    api: "limited",
    says: "the API answers a third of the calls with 429 and Retry-After: 1"
  },
  { name: "flaky", seconds: 5, isDown: true, api: "flaky", says: "half of the time the API answers 503" },
  {
    name: "stale",
    seconds: 13,
    alone: 36,
    isDown: true,
    says: "the provider is still down, and the lifetime of the keys ends"
  },
  { name: "back", seconds: 4, says: "the provider works again" },
  { name: "revoked", seconds: 3, says: "the signing key is withdrawn: its tokens become invalid, also the client's" },
  { name: "recovery", seconds: 2, says: "everything works again" }
] as const satisfies ReadonlyArray<Phase>

export type PhaseName = (typeof script)[number]["name"]

/** A phase of a run, with its start and end in milliseconds since the run began. */
export interface ScheduledPhase extends Phase {
  readonly name: PhaseName
  readonly from: number
  readonly until: number
  /** Whether the phase is played to its end. */
  readonly isWhole: boolean
}

const first = script[0]

/**
 * The phases of a run: the whole script, or one phase after two seconds of steady load. `seconds` shortens the run or extends
 * its last phase.
 */
export const schedulePhases = (
  phase: PhaseName | undefined,
  seconds: number | undefined
): ReadonlyArray<ScheduledPhase> => {
  const chosen: ReadonlyArray<Phase & { readonly name: PhaseName }> = phase === undefined
    ? script
    : script.filter(({ name }) => name === first.name || name === phase)
  let at = 0
  const phases = chosen.map((one) => {
    const from = at
    at += 1000 * (phase === undefined ? one.seconds : one.alone ?? one.seconds)
    return { ...one, from, until: at, isWhole: seconds === undefined || at <= seconds * 1000 }
  })
  const end = seconds === undefined ? at : seconds * 1000
  return phases.filter(({ from }) => from < end).map((scheduled, index, kept) => ({
    ...scheduled,
    until: index === kept.length - 1 ? end : scheduled.until
  }))
}

/** Duration of the whole script, in seconds. */
export const length = script.reduce((sum, { seconds }) => sum + seconds, 0)

/** The phases in which the provider is down. */
export const downtime = script.filter((phase) => "isDown" in phase)
