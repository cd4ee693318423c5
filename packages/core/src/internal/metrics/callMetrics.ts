import type { Definition } from "./definitions.ts"
import { hedgeDefinitions } from "./hedgeDefinitions.ts"
import { throttleDefinitions } from "./throttleDefinitions.ts"

/** The metrics of the parts around a call: limits, retries, hedges, throttles, endpoints and reloads. */
export const callMetrics = {
  bulkheadInFlight: {
    name: "bulkhead_in_flight",
    kind: "gauge",
    unit: "calls",
    labels: ["server"],
    description: "Calls that hold a place of a bulkhead."
  },
  bulkheadQueued: {
    name: "bulkhead_queued",
    kind: "gauge",
    unit: "calls",
    labels: ["server"],
    description: "Calls that wait for a place of a bulkhead."
  },
  bulkheadRejections: {
    name: "bulkhead_rejections_total",
    kind: "counter",
    unit: "calls",
    labels: ["server", "reason"],
    description: "Calls that a bulkhead rejected without making them, by reason (queue, wait, deadline, keys)."
  },
  adaptiveLimit: {
    name: "adaptive_limit",
    kind: "gauge",
    unit: "calls",
    labels: ["server"],
    description: "How many calls an adaptive limit allows in flight."
  },
  adaptiveLimitInFlight: {
    name: "adaptive_limit_in_flight",
    kind: "gauge",
    unit: "calls",
    labels: ["server"],
    description: "Calls in flight under an adaptive limit."
  },
  adaptiveLimitQueued: {
    name: "adaptive_limit_queued",
    kind: "gauge",
    unit: "calls",
    labels: ["server"],
    description: "Calls that wait for a place of an adaptive limit."
  },
  adaptiveLimitBaseline: {
    name: "adaptive_limit_baseline_seconds",
    kind: "gauge",
    unit: "seconds",
    labels: ["server"],
    description: "Mean latency without queueing, as an adaptive limit measured it; 0 before the first measurement.",
    combine: "max"
  },
  adaptiveLimitRejections: {
    name: "adaptive_limit_rejections_total",
    kind: "counter",
    unit: "calls",
    labels: ["server", "priority"],
    description: "Calls that an adaptive limit rejected without making them, by priority (critical, high, normal, low)."
  },
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
    description: "Replaced policies with calls that have not ended."
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
