import type { Definition } from "./definitions.ts"
import { hedgeDefinitions } from "./hedgeDefinitions.ts"
import { limits } from "./limits.ts"
import { throttleDefinitions } from "./throttleDefinitions.ts"

/** The metrics of the parts around a call: limits, retries, hedges, throttles, endpoints and reloads. */
export const callMetrics = {
  ...limits,
  retryAttempts: {
    name: "retry_attempts_total",
    kind: "counter",
    unit: "attempts",
    labels: ["server"],
    description: "Retries: attempts after the first attempt of a call."
  },
  retryBudgetSpent: {
    name: "retry_budget_spent_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that were not retried because the retry budget was spent."
  },
  ...hedgeDefinitions,
  ...throttleDefinitions,
  policyReloads: {
    name: "policy_reloads_total",
    kind: "counter",
    unit: "policies",
    labels: ["server", "status"],
    description: "Policies received by a reloadable Resilience, by result (applied, unchanged, rejected)."
  },
  policiesDraining: {
    name: "policies_draining",
    kind: "gauge",
    unit: "policies",
    labels: ["server"],
    description: "Replaced policies that still have running calls."
  },
  policyPartsDisposed: {
    name: "policy_parts_disposed_total",
    kind: "counter",
    unit: "parts",
    labels: ["server"],
    description: "Parts of replaced policies that were closed after their last call."
  },
  endpointCalls: {
    name: "endpoint_calls_total",
    kind: "counter",
    unit: "calls",
    labels: ["server", "endpoint"],
    description: "Calls sent to an endpoint. Its retries are not counted."
  },
  endpointFailovers: {
    name: "endpoint_failovers_total",
    kind: "counter",
    unit: "calls",
    labels: ["server", "endpoint"],
    description: "Calls that went on to another endpoint, because this one failed or rejected them."
  }
} as const satisfies Record<string, Definition>
