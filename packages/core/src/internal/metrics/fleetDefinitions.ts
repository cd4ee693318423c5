import type { Definition } from "./definitions.ts"

/** The metrics of tokens that several processes share. */
export const fleetDefinitions = {
  sharedTokenAcquisitions: {
    name: "shared_token_acquisitions_total",
    kind: "counter",
    unit: "acquisitions",
    labels: ["server", "result"],
    description:
      "Acquisitions of a shared token, by how they ended: taken from another process (shared), requested for all processes (holder), requested without the store (alone), or failed because another process failed (failed)."
  },
  sharedTokenWaits: {
    name: "shared_token_waits_total",
    kind: "counter",
    unit: "acquisitions",
    labels: ["server"],
    description: "Acquisitions of a shared token that waited for another process."
  },
  sharedTokenStoreFailures: {
    name: "shared_token_store_failures_total",
    kind: "counter",
    unit: "calls",
    labels: ["operation"],
    description:
      "Calls to the store of shared tokens that failed or timed out, by operation (begin, commit, settle, renew, invalidate, refresh_token)."
  },
  sharedTokenIgnored: {
    name: "shared_token_ignored_values_total",
    kind: "counter",
    unit: "values",
    labels: ["reason"],
    description:
      "Stored tokens that were not used, by reason (version, key, cipher, content, clock); each is replaced by a new token."
  }
} as const satisfies Record<string, Definition>
