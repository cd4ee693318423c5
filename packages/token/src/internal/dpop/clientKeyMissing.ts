import * as KeelsonError from "@keelson/core/KeelsonError"

/** The error for a bound token of a guard without a key. */
export const keyMissing = (advice: string) =>
  new KeelsonError.AuthenticationError({
    code: "DPOP_KEY_MISSING",
    message: `The token is bound to a key (token_type DPoP), but the guard has none: ${advice}`,
    details: { reason: "token_type", expected: "Bearer", received: "DPoP" }
  })
