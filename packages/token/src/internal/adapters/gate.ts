/** Admits or refuses the requests of a framework. */
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import type { BearerAuthentication, Request, ResponseHeaders } from "../../BearerAuthentication.ts"
import { type HttpSecurityError, Unavailable } from "../../HttpSecurityError.ts"
import type { Principal } from "../../Principal.ts"
import { checkScopes } from "../http/scopes.ts"
import { problemOf, type ProblemResponse } from "./problem.ts"

/** What a caller needs besides a valid token: a scope, or a condition. */
export type Requirement<C> = string | ((caller: Principal<C>) => boolean)

/** Checked requirements of one route. */
export interface Requirements<C> {
  readonly scopes: ReadonlyArray<string>
  /** Without types, a condition may return anything. Only `true` holds: a promise would hold for every caller. */
  readonly conditions: ReadonlyArray<(caller: Principal<C>) => unknown>
}

const isRequirement = (one: unknown): boolean => typeof one === "string" || typeof one === "function"

/**
 * Checks requirements when a route is defined. Throws `ConfigurationError` (`INVALID_CONFIG`) for text that is not a scope, and
 * for what is neither text nor a function, as a list: it would require nothing.
 */
export const requirementsOf = <C>(all: ReadonlyArray<Requirement<C>>): Requirements<C> => {
  const unknown = all.findIndex((one) => !isRequirement(one))
  if (unknown >= 0) throw InvalidConfig.option(`requirements.${unknown}`, "a scope, or a function of the caller")
  const [first, ...rest] = all.filter((one) => typeof one === "string")
  return {
    scopes: first === undefined ? [] : checkScopes([first, ...rest]),
    conditions: all.filter((one) => typeof one === "function")
  }
}

/** The outcome of a request. */
export interface Admission {
  /** The response to send instead of calling the handler; `undefined` for an admitted caller. */
  readonly refusal: ProblemResponse | undefined
  /** Headers that the response needs besides those that it has. */
  readonly cacheHeaders: (headers: ResponseHeaders) => Readonly<Record<string, string>>
}

/** Runs an effect with the services of the gate. */
type Run = <A>(effect: Effect.Effect<A>) => Promise<A>

const checkCaller = <C>(
  caller: Principal<C>,
  { conditions, scopes: [first, ...rest] }: Requirements<C>
): Effect.Effect<Principal<C>, HttpSecurityError> => {
  if (first !== undefined && ![first, ...rest].every((scope) => caller.hasScope(scope))) {
    return caller.denyScopes(first, ...rest)
  }
  return conditions.every((holds) => holds(caller) === true)
    ? Effect.succeed(caller)
    : caller.deny
}

/** Admits requests with one authentication, and returns their callers. */
export class Gate<C> {
  readonly #authentication: BearerAuthentication<C>
  readonly #run: Run
  readonly #callers = new WeakMap<object, Principal<C>>()
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  constructor(authentication: BearerAuthentication<C>, run: Run) {
    this.#authentication = authentication
    this.#run = run
  }
  /** The caller of an admitted request. */
  callerOf(request: object): Principal<C> | undefined {
    return this.#callers.get(request)
  }
  /** The caller of a request. Rejects with `HttpSecurityError`. */
  async authenticate(request: Request): Promise<Principal<C>> {
    const outcome = await this.#decide(this.#authentication.authenticate(request))
    if ("error" in outcome) throw outcome.error
    return outcome.caller
  }
  /** Decides about a request, which has one or more identities in its framework. A request is authenticated once. */
  async admit(
    identities: readonly [object, ...ReadonlyArray<object>],
    request: Request,
    requirements: Requirements<C>
  ): Promise<Admission> {
    const known = this.#callers.get(identities[0])
    const caller = known === undefined ? this.#authentication.authenticate(request) : Effect.succeed(known)
    const outcome = await this.#decide(Effect.flatMap(caller, (caller) => checkCaller(caller, requirements)))
    const cacheHeaders: Admission["cacheHeaders"] = (headers) => this.#authentication.cacheHeaders(request, headers)
    if ("error" in outcome) {
      const refusal = problemOf(outcome.error)
      // An error without a response must not admit the request.
      if (refusal === undefined) throw outcome.error
      return { refusal, cacheHeaders }
    }
    for (const identity of identities) this.#callers.set(identity, outcome.caller)
    return { refusal: undefined, cacheHeaders }
  }
  /** Refuses all further requests with a 503, and waits until the running ones are decided. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#running)
  }
  async #decide(decision: Effect.Effect<Principal<C>, HttpSecurityError>) {
    if (this.#isClosed) return { error: new Unavailable() }
    const running = this.#run(Effect.match(decision, {
      onFailure: (error) => ({ error }),
      onSuccess: (caller) => ({ caller })
    }))
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }
}
