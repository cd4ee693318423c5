import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/** What a token is for, where it is not for all that the source asks for. */
export interface Grant {
  /** Space-separated (RFC 6749, 3.3); their order makes no difference. */
  readonly scope?: string | undefined
  /** Whom the token is for: a `resource` (RFC 8707) or `audience`, as the source has it. */
  readonly audience?: string | undefined
}

/** More than a program has, and few enough not to fill the memory of one that takes them from its requests. */
const capacity = 100

/** One grant in one form: scopes once each, in order. */
const normalized = ({ audience, scope }: Grant): Grant => {
  const scopes = Array.from(new Set((scope ?? "").split(" ").filter((one) => one !== ""))).toSorted().join(" ")
  return { ...(scopes === "" ? undefined : { scope: scopes }), ...(audience === undefined ? undefined : { audience }) }
}

const keyOf = ({ audience, scope }: Grant): string => JSON.stringify([scope, audience])

/**
 * What there is one of for each grant, made when it is asked for first and never twice.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) above 100.
 */
export const makeGrants = <A, E>(
  make: (grant: Grant) => Effect.Effect<A, E>
): (grant: Grant) => Effect.Effect<A, E | KeelsonError.ConfigurationError> => {
  const made = new Map<string, A>()
  const oneByOne = Semaphore.makeUnsafe(1)
  const add = (key: string, grant: Grant) =>
    Effect.suspend((): Effect.Effect<A, E | KeelsonError.ConfigurationError> => {
      const known = made.get(key)
      if (known !== undefined) return Effect.succeed(known)
      if (made.size >= capacity) return Effect.fail(tooMany())
      return Effect.tap(make(grant), (value) => Effect.sync(() => made.set(key, value)))
    })
  return (input) => {
    const grant = normalized(input)
    const key = keyOf(grant)
    return oneByOne.withPermits(1)(Effect.uninterruptible(add(key, grant)))
  }
}

const tooMany = () =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message: `A guard has tokens for at most ${capacity} scopes and audiences`,
    details: { path: "scope", expected: `at most ${capacity} of them` }
  })
