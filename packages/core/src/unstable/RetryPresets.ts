/**
 * The values of presets that are the defaults of other options too, so that each is written once.
 */
import * as Duration from "effect/Duration"

/** `RetryPolicy.jwks`, and the defaults of `JwksOptions`. */
export const jwks = {
  maxAttempts: 3,
  initialDelay: Duration.millis(250),
  maxDelay: Duration.seconds(2),
  jitter: "full",
  attemptTimeout: Duration.seconds(3),
  deadline: Duration.seconds(8)
} as const
