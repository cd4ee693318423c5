import type { Definition } from "./definitions.ts"

/** The metrics of the record of used DPoP proofs, by the name that code uses. */
export const dpopDefinitions = {
  dpopReplayEntries: {
    name: "dpop_replay_entries",
    kind: "gauge",
    unit: "proofs",
    labels: ["store"],
    description: "Used DPoP proofs that this process holds, by kind of store (memory, redis)."
  },
  dpopReplayStoreFailures: {
    name: "dpop_replay_store_failures_total",
    kind: "counter",
    unit: "calls",
    labels: [],
    description: "Calls to the shared record of DPoP proofs that failed or timed out."
  }
} as const satisfies Record<string, Definition>
