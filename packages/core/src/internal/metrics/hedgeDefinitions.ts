import type { Definition } from "./definitions.ts"

/** The metrics of hedges. */
export const hedgeDefinitions = {
  hedges: {
    name: "hedges_total",
    kind: "counter",
    unit: "executions",
    labels: ["server"],
    description: "Hedges: executions of a call beside one that took too long."
  },
  hedgeWins: {
    name: "hedge_wins_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that a hedge answered before the execution it was made beside."
  },
  hedgeBudgetSpent: {
    name: "hedge_budget_spent_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that were not hedged because the budget was spent."
  }
} as const satisfies Record<string, Definition>
