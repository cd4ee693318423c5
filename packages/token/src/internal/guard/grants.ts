import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { Grant } from "../../TokenSource.ts"

/** More than a program uses, and few enough to protect the memory of one that takes grants from its own requests. */
const capacity = 100

/** A grant in canonical form: each scope once, sorted. */
const canonical = ({ audience, scope }: Grant): Grant => {
  const scopes = Array.from(new Set((scope ?? "").split(" ").filter((name) => name !== ""))).toSorted().join(" ")
  return { ...(scopes === "" ? undefined : { scope: scopes }), ...(audience === undefined ? undefined : { audience }) }
}

const keyOf = ({ audience, scope }: Grant): string => JSON.stringify([scope, audience])

/**
 * Makes one value for each grant, the first time that it is requested.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) above 100 grants.
 */
export const makeGrants = <A, E>(
  make: (grant: Grant) => Effect.Effect<A, E>
): (grant: Grant) => Effect.Effect<A, E | KeelsonError.ConfigurationError> => {
  const values = new Map<string, A>()
  const semaphore = Semaphore.makeUnsafe(1)
  const getOrMake = (key: string, grant: Grant) =>
    Effect.suspend((): Effect.Effect<A, E | KeelsonError.ConfigurationError> => {
      const existing = values.get(key)
      if (existing !== undefined) return Effect.succeed(existing)
      if (values.size >= capacity) return Effect.fail(tooManyGrants())
      return Effect.tap(make(grant), (value) => Effect.sync(() => values.set(key, value)))
    })
  return (input) => {
    const grant = canonical(input)
    const key = keyOf(grant)
    return semaphore.withPermits(1)(Effect.uninterruptible(getOrMake(key, grant)))
  }
}

const tooManyGrants = () =>
  InvalidConfig.option("scope", `at most ${capacity} of them`, {
    message: `A guard holds tokens for at most ${capacity} scopes and audiences`
  })
