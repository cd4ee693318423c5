import type { Definition } from "./definitions.ts"

/** The metrics of a throttle. */
export const throttleDefinitions = {
  throttlePauses: {
    name: "throttle_pauses_total",
    kind: "counter",
    unit: "pauses",
    labels: ["server"],
    description: "Pauses in the calls to a service, each after a response that asked to wait."
  },
  throttleHeld: {
    name: "throttle_held_calls_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that waited for the end of a pause."
  },
  throttleRejections: {
    name: "throttle_rejections_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that were rejected without being made, because a pause was longer than they may wait."
  },
  throttlePause: {
    name: "throttle_pause_seconds",
    kind: "gauge",
    unit: "seconds",
    labels: ["server"],
    description: "How long calls to a service are still held back.",
    combine: "max"
  }
} as const satisfies Record<string, Definition>
