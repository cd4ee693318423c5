/** What happened, in figures. */
import { Effect } from "effect"
import type { Cast } from "./cast.ts"
import type { Faults } from "./faults.ts"
import { type Lookups, lookups, quantile, type Tally, tally } from "./figures.ts"
import type { Notes } from "./notes.ts"
import { type Promised, promises } from "./promises.ts"
import type { Asked } from "./provider.ts"
import type { Act } from "./script.ts"
import type { Transition } from "./witness.ts"

export interface PhaseSummary {
  readonly phase: string
  readonly requests: number
  /** Calls that failed for their caller, by code. */
  readonly failed: Tally
  /** What the provider was asked for in this phase, as it counted. */
  readonly upstream: Readonly<Record<Asked["what"], number>>
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

interface ForgedSummary {
  readonly kind: string
  readonly sent: number
  readonly accepted: number
  /** How often each status was answered. */
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
  /** `stale`: hits past the lifetime; `heldBack`: unknown keys for which nobody was asked. */
  readonly keys: Lookups & Refreshes & { readonly stale: number; readonly heldBack: number }
  readonly tokens: Lookups & Refreshes
  /** What the API answered in place of orders. */
  readonly api: Faults["answers"] & { readonly tooSoon: number }
  /** How often each status was answered to tokens that came while the provider was down, of callers not seen before. */
  readonly newcomers: Tally
  /** The same for a token of the withdrawn key. */
  readonly withdrawn: Tally
  readonly transitions: ReadonlyArray<Transition>
  readonly promises: ReadonlyArray<Promised>
}

const phaseOf = ({ calls }: Notes, asked: ReadonlyArray<Asked>, phase: string): PhaseSummary => {
  const made = calls.filter((call) => call.phase === phase)
  const times = made.map(({ millis }) => millis)
  const count = (what: Asked["what"]) => asked.filter((one) => one.phase === phase && one.what === what).length
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

const forgedOf = ({ attacks }: Notes): Summary["forged"] => ({
  sent: attacks.length,
  accepted: attacks.filter(({ status }) => isAccepted(status)).length,
  kinds: [...new Set(attacks.map(({ kind }) => kind))].toSorted().map((kind) => {
    const statuses = attacks.filter((attack) => attack.kind === kind).map(({ status }) => status)
    return {
      kind,
      sent: statuses.length,
      accepted: statuses.filter(isAccepted).length,
      answers: tally(statuses.map(String))
    }
  })
})

/** Adds up all that was noted, and says which promises were kept. */
export const summarize = Effect.fnUntraced(function*(
  { cache, faults: { answers, tooSoon }, guard, notes, provider: { asked } }: Cast,
  acts: ReadonlyArray<Act>
): Effect.fn.Return<Summary> {
  const { metrics } = yield* cache.status
  const { counts } = yield* guard.provider.status
  const figures = {
    requests: notes.calls.length,
    failed: notes.calls.filter(({ failed }) => failed !== undefined).length,
    phases: acts.map(({ name }) => phaseOf(notes, asked, name)),
    forged: forgedOf(notes),
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
    newcomers: tally(notes.newcomers.map(String)),
    withdrawn: tally(notes.withdrawn.map(String)),
    transitions: [...notes.transitions]
  }
  return { ...figures, promises: promises(acts, figures) }
})
