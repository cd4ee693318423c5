/**
 * What no request sets: the rules of egress, and how much is fetched how often for how long, since one tenant's providers
 * share connections and time with all others'.
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
