import type { Definition } from "./definitions.ts"

/** The metrics of validators that introspect tokens. */
export const introspectionDefinitions = {
  introspections: {
    name: "introspections_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator", "result"],
    description:
      "Tokens that an authorization server was asked about, by result (active, inactive, unavailable), and those not asked about because of the limit for new tokens (limited)."
  },
  introspectionDuration: {
    name: "introspection_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["validator"],
    description: "Duration of an introspection, with all its attempts and its wait for a free request."
  }
} as const satisfies Record<string, Definition>
