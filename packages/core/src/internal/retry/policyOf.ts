import type { DeadlineExceeded } from "../../Deadline.ts"
import type { ResiliencePolicy } from "../../ResiliencePolicy.ts"
import type { Data, RetryPolicy } from "../../RetryPolicy.ts"
import { fromPolicy } from "./budget.ts"

/** The policy of checked options, with a new budget if they have one. */
export const fromData = ({ budget, ...options }: Data): RetryPolicy<unknown, DeadlineExceeded> => ({
  ...options,
  budget: budget === undefined ? undefined : fromPolicy(budget)
})

/** The retries of a resilience policy as a retry policy, with the times of the whole policy. */
export const retryPolicyOf = (policy: ResiliencePolicy): RetryPolicy<unknown, DeadlineExceeded> | undefined => {
  const { attemptTimeout, deadline, detach, retry } = policy
  return retry === undefined ? undefined : fromData({
    ...retry,
    detach,
    ...(attemptTimeout === undefined ? undefined : { attemptTimeout }),
    ...(deadline === undefined ? undefined : { deadline })
  })
}
