/** The figures of a run. */
import { Effect } from "effect"
import type { Transition } from "./circuitLog.ts"
import type { Demo } from "./demo.ts"
import type { Faults } from "./faults.ts"
import { type Lookups, lookups, quantile, type Tally, tally } from "./figures.ts"
import type { Observations } from "./observations.ts"
import { type PromiseResult, promises } from "./promises.ts"
import type { ProviderRequest } from "./provider.ts"
import type { ScheduledPhase } from "./script.ts"

export interface PhaseSummary {
  readonly phase: string
  readonly requests: number
  /** Failed calls, by code. */
  readonly failed: Tally
  /** The requests that the provider received in this phase. */
  readonly upstream: Readonly<Record<ProviderRequest["what"], number>>
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

interface ForgedSummary {
  readonly kind: string
  readonly sent: number
  readonly accepted: number
  /** How often each status was returned. */
  readonly answers: Tally
}

interface Refreshes {
  readonly refreshes: number
  readonly refreshFailures: number
}

export interface Summary {
  readonly requests: number
  readonly failed: number
  readonly phases: ReadonlyArray<PhaseSummary>
  readonly forged: { readonly sent: number; readonly accepted: number; readonly kinds: ReadonlyArray<ForgedSummary> }
  /** `stale`: hits past the lifetime; `heldBack`: lookups of unknown keys that caused no request. */
  readonly keys: Lookups & Refreshes & { readonly stale: number; readonly heldBack: number }
  readonly tokens: Lookups & Refreshes
  /** The failures that the API returned. */
  readonly api: Faults["answers"] & { readonly tooSoon: number }
  /** How often each status was returned for valid tokens not seen before, while the provider was down. */
  readonly unseenTokens: Tally
  /** The same for a token that was signed with the withdrawn key. */
  readonly withdrawnKey: Tally
  readonly transitions: ReadonlyArray<Transition>
  readonly promises: ReadonlyArray<PromiseResult>
}

const phaseOf = (
  { calls }: Observations,
  received: ReadonlyArray<ProviderRequest>,
  phase: string
): PhaseSummary => {
  const made = calls.filter((call) => call.phase === phase)
  const times = made.map(({ millis }) => millis)
  const count = (what: ProviderRequest["what"]) =>
    received.filter((one) => one.phase === phase && one.what === what).length
  return {
    phase,
    requests: made.length,
    failed: tally(made.flatMap(({ failed }) => failed ?? [])),
    upstream: { metadata: count("metadata"), keys: count("keys"), token: count("token") },
    p50: quantile(times, 0.5),
    p95: quantile(times, 0.95),
    p99: quantile(times, 0.99)
  }
}

const isAccepted = (status: number): boolean => status >= 200 && status < 300

const forgedOf = ({ badTokenCalls }: Observations): Summary["forged"] => ({
  sent: badTokenCalls.length,
  accepted: badTokenCalls.filter(({ status }) => isAccepted(status)).length,
  kinds: [...new Set(badTokenCalls.map(({ kind }) => kind))].toSorted().map((kind) => {
    const statuses = badTokenCalls.filter((call) => call.kind === kind).map(({ status }) => status)
    return {
      kind,
      sent: statuses.length,
      accepted: statuses.filter(isAccepted).length,
      answers: tally(statuses.map(String))
    }
  })
})

/** Computes the figures and checks the promises. */
export const summarize = Effect.fnUntraced(function*(
  { cache, faults: { answers, tooSoon }, guard, observations, provider: { requests } }: Demo,
  schedule: ReadonlyArray<ScheduledPhase>
): Effect.fn.Return<Summary> {
  const { metrics } = yield* cache.status
  const { counts } = yield* guard.provider.status
  const figures = {
    requests: observations.calls.length,
    failed: observations.calls.filter(({ failed }) => failed !== undefined).length,
    phases: schedule.map(({ name }) => phaseOf(observations, requests, name)),
    forged: forgedOf(observations),
    keys: {
      ...lookups(metrics.hits, metrics.misses),
      stale: metrics.stale,
      heldBack: metrics.floodLimited,
      refreshes: metrics.refreshes - metrics.errors,
      refreshFailures: metrics.errors
    },
    tokens: {
      ...lookups(counts.hits, counts.misses),
      refreshes: counts.acquisitions,
      refreshFailures: counts.failures
    },
    api: { ...answers, tooSoon },
    unseenTokens: tally(observations.unseenTokens.map(String)),
    withdrawnKey: tally(observations.withdrawnKey.map(String)),
    transitions: [...observations.transitions]
  }
  return { ...figures, promises: promises(schedule, figures) }
})
