/** What happens, and when. */

export interface Phase {
  readonly name: string
  /** How long it takes in the whole script, in seconds. */
  readonly seconds: number
  /** How long where it is played alone, if that is longer. */
  readonly alone?: number
  readonly says: string
  /** Whether the provider breaks off every connection. */
  readonly isDown?: true
  /** What the API does to calls: a third of them is told to come back, or it is away half of the time. */
  readonly api?: "limited" | "flaky"
}

/**
 * Keys live for 30 seconds and tokens for 60: none lives shorter. The keys that the rotation brings at second 2 are past
 * their lifetime at second 32, while the provider is down from second 10 to second 36.
 */
export const script = [
  { name: "steady", seconds: 2, says: "the provider and the API are well" },
  { name: "rotation", seconds: 3, says: "the provider signs with a new key, and the client has a token of it" },
  { name: "flood", seconds: 5, says: "520 bad tokens of 13 kinds come in beside the calls" },
  { name: "outage", seconds: 4, isDown: true, says: "the provider is down: neither keys nor tokens are to be had" },
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
  { name: "back", seconds: 4, says: "the provider is back" },
  { name: "revoked", seconds: 3, says: "the key is withdrawn: its tokens are good no more, the client's too" },
  { name: "recovery", seconds: 2, says: "all is well again" }
] as const satisfies ReadonlyArray<Phase>

export type PhaseName = (typeof script)[number]["name"]

/** A phase of a run, with its begin and end in milliseconds since the run began. */
export interface Act extends Phase {
  readonly name: PhaseName
  readonly from: number
  readonly until: number
  /** Whether it is played to its end. */
  readonly isWhole: boolean
}

const first = script[0]

/**
 * The acts of a run: the whole script, or one phase of it after a while of steady load; cut, or its last one prolonged, to
 * a number of seconds.
 */
export const actsOf = (phase: PhaseName | undefined, seconds: number | undefined): ReadonlyArray<Act> => {
  const chosen: ReadonlyArray<Phase & { readonly name: PhaseName }> = phase === undefined
    ? script
    : script.filter(({ name }) => name === first.name || name === phase)
  let at = 0
  const acts = chosen.map((one) => {
    const from = at
    at += 1000 * (phase === undefined ? one.seconds : one.alone ?? one.seconds)
    return { ...one, from, until: at, isWhole: seconds === undefined || at <= seconds * 1000 }
  })
  const end = seconds === undefined ? at : seconds * 1000
  return acts.filter(({ from }) => from < end).map((act, index, kept) => ({
    ...act,
    until: index === kept.length - 1 ? end : act.until
  }))
}

/** How long the whole script takes, in seconds. */
export const length = script.reduce((sum, { seconds }) => sum + seconds, 0)

/** The phases in which the provider is down. */
export const downtime = script.filter((phase) => "isDown" in phase)
