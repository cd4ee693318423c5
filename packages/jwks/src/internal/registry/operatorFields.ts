/**
 * The options that requests to the control plane cannot set: egress rules, limits, retries and delays. Providers of all
 * tenants share connections and time, so one tenant must not change them.
 */
export const operatorFields = [
  "allowedHosts",
  "pins",
  "maxBytes",
  "maxRedirects",
  "maxAttempts",
  "attemptTimeout",
  "retryDelay",
  "maxRetryDelay",
  "retryJitter",
  "deadline",
  "failureDelay",
  "maxFailureDelay",
  "negativeCacheTtl"
] as const
