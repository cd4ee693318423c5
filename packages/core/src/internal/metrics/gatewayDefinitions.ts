import type { Definition } from "./definitions.ts"

/** The metrics of a gateway. */
export const gatewayDefinitions = {
  gatewayRequests: {
    name: "gateway_requests_total",
    kind: "counter",
    unit: "requests",
    labels: ["bucket", "result"],
    description:
      "Object requests that were allowed, by how the cache took part (hit, miss, revalidated, stale, bypass); stale is an expired answer while the store is down."
  },
  gatewayRefusals: {
    name: "gateway_refusals_total",
    kind: "counter",
    unit: "requests",
    labels: ["bucket", "reason"],
    description:
      "Requests that the gateway refused, by reason (target, address, method, rate, token, authorization, upload); the bucket is empty for a path of no bucket."
  },
  gatewayFills: {
    name: "gateway_fills_total",
    kind: "counter",
    unit: "fills",
    labels: ["bucket", "result"],
    description:
      "Bodies read from a store for the cache, by result (stored; uncached: too large, or not to be stored; broken: cut or short; aborted: no reader was left)."
  },
  gatewayStoreFailures: {
    name: "gateway_store_failures_total",
    kind: "counter",
    unit: "requests",
    labels: ["bucket"],
    description: "Requests for which no store gave a good response in time, with those that a stale entry answered."
  },
  gatewayFillBytes: {
    name: "gateway_fill_bytes",
    kind: "gauge",
    unit: "bytes",
    labels: [],
    description: "Bytes of bodies that are read from stores for the cache, or that slow clients still read."
  },
  gatewayActiveRequests: {
    name: "gateway_active_requests",
    kind: "gauge",
    unit: "requests",
    labels: [],
    description: "Requests that are being answered."
  },
  gatewayReloads: {
    name: "gateway_reloads_total",
    kind: "counter",
    unit: "reloads",
    labels: ["result"],
    description: "Reloads of the configuration, by result (applied, refused)."
  }
} as const satisfies Record<string, Definition>
