/** What Keelson promises, and whether it was kept. */
import type { Tally } from "./figures.ts"
import { type Act, downtime, type PhaseName } from "./script.ts"
import type { PhaseSummary, Summary } from "./summary.ts"

export interface Promised {
  readonly text: string
  readonly kept: boolean
}

export type Figures = Omit<Summary, "promises">

interface Promise {
  readonly text: string
  /** The phases that have to be played for it to say anything. */
  readonly of: ReadonlyArray<PhaseName>
  readonly isKept: (figures: Figures) => boolean
}

/** How often a provider that is down may be asked, for keys and tokens together, in each second of it. */
const askedPerSecond = 2

const down = downtime.map(({ name }) => name)
const allowed = askedPerSecond * downtime.reduce((sum, { seconds }) => sum + seconds, 0)

const of = ({ phases }: Figures, name: PhaseName): PhaseSummary | undefined =>
  phases.find(({ phase }) => phase === name)

const asked = (figures: Figures, name: PhaseName, ...what: ReadonlyArray<keyof PhaseSummary["upstream"]>): number =>
  what.reduce((sum, one) => sum + (of(figures, name)?.upstream[one] ?? 0), 0)

/** Whether every circuit that opened is closed again. */
const areClosed = ({ transitions }: Figures): boolean =>
  [...new Set(transitions.map(({ circuit }) => circuit))].every((name) =>
    transitions.findLast(({ circuit }) => circuit === name)?.to === "CLOSED"
  )

/** Whether there were answers, and all of them the same. */
const isAll = (answers: Tally, status: string): boolean => Object.keys(answers).join() === status

const list: ReadonlyArray<Promise> = [
  { text: "no caller saw a failure", of: [], isKept: ({ failed }) => failed === 0 },
  {
    text: "a new key cost one fetch of the key set",
    of: ["rotation"],
    isKept: (figures) => asked(figures, "rotation", "keys") === 1
  },
  {
    text: "no bad token was accepted",
    of: ["flood"],
    isKept: ({ forged }) => forged.sent > 0 && forged.accepted === 0
  },
  {
    text: "the flood cost the provider one fetch at most",
    of: ["flood"],
    isKept: (figures) => asked(figures, "flood", "keys", "metadata") <= 1
  },
  {
    text: `while it was down the provider was asked at most ${askedPerSecond} times a second`,
    of: down,
    isKept: (figures) => {
      const times = down.reduce((sum, name) => sum + asked(figures, name, "keys", "metadata", "token"), 0)
      return times > 0 && times <= allowed
    }
  },
  {
    text: "no retry came sooner than Retry-After said",
    of: ["limited"],
    isKept: ({ api }) => api.limited > 0 && api.tooSoon === 0
  },
  {
    text: "calls went on while the API answered 503",
    of: ["flaky"],
    isKept: (f) => f.api.unavailable > 0 && isCalm(f)
  },
  {
    text: "keys past their lifetime went on verifying tokens that were not seen before",
    of: ["stale"],
    isKept: ({ keys, newcomers }) => keys.stale > 0 && isAll(newcomers, "200")
  },
  {
    text: "no token of the withdrawn key was accepted",
    of: ["revoked"],
    isKept: ({ withdrawn }) => isAll(withdrawn, "401")
  },
  {
    text: "the client asked for one token in place of the withdrawn one",
    of: ["revoked"],
    isKept: (figures) => asked(figures, "revoked", "token") === 1
  },
  { text: "every circuit that opened has closed", of: ["recovery"], isKept: areClosed }
]

const isCalm = (figures: Figures): boolean => Object.keys(of(figures, "flaky")?.failed ?? {}).length === 0

/** The promises about what was played. */
export const promises = (acts: ReadonlyArray<Act>, figures: Figures): ReadonlyArray<Promised> => {
  const played = new Set(acts.filter(({ isWhole }) => isWhole).map(({ name }) => name))
  return list.filter((promise) => promise.of.every((name) => played.has(name))).map(({ isKept, text }) => ({
    text,
    kept: isKept(figures)
  }))
}

/** All of them, in order. */
export const texts: ReadonlyArray<string> = list.map(({ text }) => text)
