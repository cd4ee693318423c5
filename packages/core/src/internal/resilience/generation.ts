import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { BreakerStore } from "../../BreakerStore.ts"
import type { ConfigurationError } from "../../KeelsonError.ts"
import type { Resilience } from "../../Resilience.ts"
import type { Checked, Keep } from "./parts.ts"
import { makeResilience } from "./pipeline.ts"

/** A part, the options that it was made of, and the scope that disposes of it. */
class Part {
  readonly options: unknown
  readonly value: unknown
  readonly scope: Scope.Closeable
  /** How many policies that are in use have it. */
  policies = 0

  constructor(options: unknown, value: unknown, scope: Scope.Closeable) {
    this.options = options
    this.value = value
    this.scope = scope
  }
}

/** A policy in use: a call that began under it ends under it. */
export class Generation {
  readonly checked: Checked
  readonly resilience: Resilience
  readonly #parts: ReadonlyMap<string, Part>
  /** Calls that have not ended. */
  calls = 0
  isReplaced = false

  constructor(checked: Checked, resilience: Resilience, parts: ReadonlyMap<string, Part>) {
    this.checked = checked
    this.resilience = resilience
    this.#parts = parts
    for (const part of parts.values()) part.policies++
  }

  /** The part of a name, if it was made of equal options. */
  part(key: string, options: unknown): Part | undefined {
    const part = this.#parts.get(key)
    return part !== undefined && Equal.equals(part.options, options) ? part : undefined
  }

  isOf({ hedgeBudget, policy, retryBudget }: Checked): boolean {
    const { checked } = this
    return retryBudget === checked.retryBudget && hedgeBudget === checked.hedgeBudget &&
      Equal.equals(policy, checked.policy)
  }

  /** Disposes of the parts that no other policy in use has. Returns how many. */
  readonly dispose: Effect.Effect<number> = Effect.suspend(() => {
    const unused = Array.from(this.#parts.values()).filter((part) => --part.policies === 0)
    return Effect.as(Effect.forEach(unused, ({ scope }) => Scope.close(scope, Exit.void)), unused.length)
  })
}

/** Makes the parts of a policy, each in its own scope. A part with equal options is taken over from the policy before. */
export const makeGeneration = Effect.fnUntraced(function*(
  name: string,
  checked: Checked,
  previous: Generation | undefined,
  parent: Scope.Scope
): Effect.fn.Return<Generation, ConfigurationError, BreakerStore | Scope.Scope> {
  const parts = new Map<string, Part>()
  const keep: Keep = <A, E, R>(key: string, options: unknown, make: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const part = previous?.part(key, options)
    if (part !== undefined) {
      parts.set(key, part)
      // oxlint-disable-next-line no-unsafe-type-assertion -- a key always names the same kind of part
      return Effect.succeed(part.value as A)
    }
    const scope = Scope.forkUnsafe(parent)
    return Effect.provideService(make, Scope.Scope, scope).pipe(
      Effect.tap((value) => Effect.sync(() => parts.set(key, new Part(options, value, scope)))),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  }
  const resilience = yield* Effect.onError(
    makeResilience(name, checked, keep),
    (cause) =>
      Effect.forEach(
        Array.from(parts.values()).filter(({ policies }) => policies === 0),
        ({ scope }) => Scope.close(scope, Exit.failCause(cause))
      )
  )
  return new Generation(checked, resilience, parts)
})
