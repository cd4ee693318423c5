import type { Definition } from "./definitions.ts"

/** The metrics of bulkheads and adaptive limits. */
export const limits = {
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
  }
} as const satisfies Record<string, Definition>
