/** What Keelson promises, and how each promise is checked. */
import type { Tally } from "./figures.ts"
import { downtime, type PhaseName, type ScheduledPhase } from "./script.ts"
import type { PhaseSummary, Summary } from "./summary.ts"

export interface PromiseResult {
  readonly text: string
  readonly kept: boolean
}

export type Figures = Omit<Summary, "promises">

interface PromiseCheck {
  readonly text: string
  /** The phases that must be played for the check to mean anything. */
  readonly phases: ReadonlyArray<PhaseName>
  readonly isKept: (figures: Figures) => boolean
}

/** How many requests per second, for keys and tokens together, may reach a provider that is down. */
const requestsPerSecond = 2

const down = downtime.map(({ name }) => name)
const allowedRequests = requestsPerSecond * downtime.reduce((sum, { seconds }) => sum + seconds, 0)

const summaryOf = ({ phases }: Figures, name: PhaseName): PhaseSummary | undefined =>
  phases.find(({ phase }) => phase === name)

const requestsIn = (
  figures: Figures,
  name: PhaseName,
  ...what: ReadonlyArray<keyof PhaseSummary["upstream"]>
): number => what.reduce((sum, one) => sum + (summaryOf(figures, name)?.upstream[one] ?? 0), 0)

/** Whether every circuit that opened is closed now. */
const areClosed = ({ transitions }: Figures): boolean =>
  [...new Set(transitions.map(({ circuit }) => circuit))].every((name) =>
    transitions.findLast(({ circuit }) => circuit === name)?.to === "CLOSED"
  )

/** Whether there were responses, all with the same status. */
const areAll = (responses: Tally, status: string): boolean => Object.keys(responses).join() === status

const checks: ReadonlyArray<PromiseCheck> = [
  { text: "no caller saw a failure", phases: [], isKept: ({ failed }) => failed === 0 },
  {
    text: "a new key caused one fetch of the key set",
    phases: ["rotation"],
    isKept: (figures) => requestsIn(figures, "rotation", "keys") === 1
  },
  {
    text: "no bad token was accepted",
    phases: ["flood"],
    isKept: ({ forged }) => forged.sent > 0 && forged.accepted === 0
  },
  {
    text: "the flood caused at most one fetch",
    phases: ["flood"],
    isKept: (figures) => requestsIn(figures, "flood", "keys", "metadata") <= 1
  },
  {
    text: `while it was down, the provider received at most ${requestsPerSecond} requests per second`,
    phases: down,
    isKept: (figures) => {
      const total = down.reduce((sum, name) => sum + requestsIn(figures, name, "keys", "metadata", "token"), 0)
      return total > 0 && total <= allowedRequests
    }
  },
  {
    text: "no retry was sent earlier than Retry-After allows",
    phases: ["limited"],
    isKept: ({ api }) => api.limited > 0 && api.tooSoon === 0
  },
  {
    text: "calls succeeded while the API answered 503",
    phases: ["flaky"],
    isKept: (figures) => figures.api.unavailable > 0 && hasNoFailures(figures)
  },
  {
    text: "keys past their lifetime verified tokens that the API had not seen before",
    phases: ["stale"],
    isKept: ({ keys, unseenTokens }) => keys.stale > 0 && areAll(unseenTokens, "200")
  },
  {
    text: "no token signed with the withdrawn key was accepted",
    phases: ["revoked"],
    isKept: ({ withdrawnKey }) => areAll(withdrawnKey, "401")
  },
  {
    text: "the client acquired one token to replace the withdrawn one",
    phases: ["revoked"],
    isKept: (figures) => requestsIn(figures, "revoked", "token") === 1
  },
  { text: "every circuit that opened closed again", phases: ["recovery"], isKept: areClosed }
]

const hasNoFailures = (figures: Figures): boolean => Object.keys(summaryOf(figures, "flaky")?.failed ?? {}).length === 0

/** The promises about the phases that were played to their end. */
export const promises = (schedule: ReadonlyArray<ScheduledPhase>, figures: Figures): ReadonlyArray<PromiseResult> => {
  const played = new Set(schedule.filter(({ isWhole }) => isWhole).map(({ name }) => name))
  return checks.filter(({ phases }) => phases.every((name) => played.has(name))).map(({ isKept, text }) => ({
    text,
    kept: isKept(figures)
  }))
}

/** The texts of all promises, in order. */
export const texts: ReadonlyArray<string> = checks.map(({ text }) => text)
