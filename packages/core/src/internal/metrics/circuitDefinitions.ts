import type { Definition } from "./definitions.ts"

/** The metrics of circuits, by the name that code uses. */
export const circuitDefinitions = {
  circuitBreakerState: {
    name: "circuit_breaker_state",
    kind: "gauge",
    unit: "state",
    labels: ["server"],
    description: "State of a circuit: 0 closed, 1 open, 2 half-open, 3 isolated.",
    combine: "max"
  },
  circuitBreakerRejections: {
    name: "circuit_breaker_rejections_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that a circuit breaker rejected without making them."
  },
  circuitBreakerCalls: {
    name: "circuit_breaker_calls_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that reached a circuit breaker, rejected ones included."
  },
  circuitBreakerTransitions: {
    name: "circuit_breaker_transitions_total",
    kind: "counter",
    unit: "transitions",
    labels: ["server", "from", "to"],
    description: "State changes of a circuit by this process."
  },
  circuitBreakerSlowCalls: {
    name: "circuit_breaker_slow_calls_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that took `slowCallDuration` or longer, failed ones included."
  },
  circuitBreakerProbes: {
    name: "circuit_breaker_probes_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Probes: calls of this process that a half-open circuit admitted."
  },
  circuitBreakerStoreFallbacks: {
    name: "circuit_breaker_store_fallbacks_total",
    kind: "counter",
    unit: "calls",
    labels: [],
    description: "Calls admitted by the in-process store, because the shared store was unavailable."
  }
} as const satisfies Record<string, Definition>
