import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BreakerStore } from "../../BreakerStore.ts"
import { ConfigurationError } from "../../KeelsonError.ts"
import * as Redaction from "../../Redaction.ts"
import type { Options, Reloadable, ReloadStatus } from "../../Resilience.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import { type Generation, makeGeneration } from "./generation.ts"
import { check } from "./parts.ts"

/** The counts of reloads, in plain fields that are read when metrics are read. */
class Reloads<E> {
  /** The policy of new calls. */
  current: Generation
  applied = 1
  unchanged = 0
  rejected = 0
  draining = 0
  disposed = 0
  rejection: E | undefined
  source: ReloadStatus<E>["source"] = "open"

  constructor(first: Generation) {
    this.current = first
  }
  get status(): ReloadStatus<E> {
    const { applied, disposed, draining, rejected, rejection, source } = this
    return { applied, rejected, rejection, draining, disposed, source }
  }
  /** Runs new calls under a policy. The parts of the policy before it stay until its last call has ended. */
  replace(next: Generation): Effect.Effect<void> {
    const before = this.current
    this.current = next
    this.applied++
    this.rejection = undefined
    before.isReplaced = true
    this.draining++
    return before.calls === 0 ? this.retire(before) : Effect.void
  }
  retire(generation: Generation): Effect.Effect<void> {
    this.draining--
    return Effect.map(generation.dispose, (parts) => {
      this.disposed += parts
    })
  }
  /** The policy came again. */
  confirm(): void {
    this.unchanged++
    this.rejection = undefined
  }
  reject(error: E): void {
    this.rejected++
    this.rejection = error
  }
  /** Runs a call under the current policy, and counts it as in use until the call has ended. */
  run<A, E2, R>(call: (generation: Generation) => Effect.Effect<A, E2, R>): Effect.Effect<A, E2, R> {
    return Effect.uninterruptibleMask((restore) => {
      const generation = this.current
      generation.calls++
      return Effect.flatMap(
        Effect.exit(restore(Effect.suspend(() => call(generation)))),
        (exit) =>
          --generation.calls === 0 && generation.isReplaced ? Effect.andThen(this.retire(generation), exit) : exit
      )
    })
  }
}

const noOptions = (name: string) =>
  new ConfigurationError({
    code: "CONFIG_MISSING",
    message: `The stream of policies for ${name} ended before it had a policy`
  })

const register = Effect.fnUntraced(function*<E>(
  name: string,
  reloads: Reloads<E>
): Effect.fn.Return<void, never, Scope.Scope> {
  for (const status of ["applied", "unchanged", "rejected"] as const) {
    yield* MetricSeries.register("policyReloads", { server: name, status }, () => reloads[status])
  }
  yield* MetricSeries.register("policiesDraining", { server: name }, () => reloads.draining)
  yield* MetricSeries.register("policyPartsDisposed", { server: name }, () => reloads.disposed)
})

const warn = (message: string, name: string, error: unknown): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(message, Redaction.error(error).message), { server: name })

export const makeReloadable = Effect.fnUntraced(function*<E, E2, R>(
  name: string,
  updates: Stream.Stream<Options | Result.Result<Options, E>, E2, R>
): Effect.fn.Return<
  Reloadable<E | E2 | ConfigurationError>,
  E | E2 | ConfigurationError,
  BreakerStore | Scope.Scope | R
> {
  type Rejection = E | E2 | ConfigurationError
  const scope = yield* Effect.scope
  const first = yield* Deferred.make<Reloads<Rejection>, Rejection>()
  /** `undefined` until there is a first policy. */
  const state: { reloads: Reloads<Rejection> | undefined } = { reloads: undefined }

  const begin = Effect.fnUntraced(function*(generation: Generation) {
    const reloads = new Reloads<Rejection>(generation)
    yield* register(name, reloads)
    state.reloads = reloads
    yield* Deferred.succeed(first, reloads)
  })
  const apply = Effect.fnUntraced(function*(element: Options | Result.Result<Options, E>) {
    const options = yield* Effect.fromResult(Result.isResult(element) ? element : Result.succeed(element))
    const checked = yield* check(options)
    const { reloads } = state
    if (reloads?.current.isOf(checked) === true) return reloads.confirm()
    const next = yield* makeGeneration(name, checked, reloads?.current, scope)
    if (reloads === undefined) return yield* begin(next)
    yield* Effect.uninterruptible(reloads.replace(next))
    yield* Effect.annotateLogs(Effect.logInfo("Resilience policy replaced"), { server: name })
  })
  const reject = (error: E | ConfigurationError): Effect.Effect<void> => {
    const { reloads } = state
    if (reloads === undefined) return Effect.asVoid(Deferred.fail(first, error))
    reloads.reject(error)
    return warn("New resilience policy rejected; the last valid one stays in effect", name, error)
  }
  const end = (result: Result.Result<void, E2>): Effect.Effect<void> => {
    const { reloads } = state
    if (reloads === undefined) {
      return Effect.asVoid(Deferred.fail(first, Result.isFailure(result) ? result.failure : noOptions(name)))
    }
    reloads.source = Result.isFailure(result) ? "failed" : "ended"
    if (Result.isSuccess(result)) return Effect.void
    reloads.reject(result.failure)
    return warn("The stream of resilience policies failed; the last valid policy stays in effect", name, result.failure)
  }
  const died = (cause: Cause.Cause<never>): Effect.Effect<void> => {
    const { reloads } = state
    if (reloads === undefined || Cause.hasInterruptsOnly(cause)) return Effect.void
    reloads.source = "failed"
    return warn(
      "The stream of resilience policies died; the last valid policy stays in effect",
      name,
      Cause.squash(cause)
    )
  }
  const watcher = yield* Stream.runForEach(updates, (element) => Effect.catch(apply(element), reject)).pipe(
    Effect.result,
    Effect.flatMap(end),
    // A stream that dies must not leave a caller waiting, and brings no further policies.
    Effect.onError((cause) => Effect.andThen(Deferred.failCause(first, cause), died(cause))),
    Effect.forkScoped
  )
  const loaded = yield* Effect.onError(Deferred.await(first), () => Fiber.interrupt(watcher))
  return {
    name,
    get policy() {
      return loaded.current.resilience.policy
    },
    get breaker() {
      return loaded.current.resilience.breaker
    },
    get bulkhead() {
      return loaded.current.resilience.bulkhead
    },
    get limit() {
      return loaded.current.resilience.limit
    },
    get hedge() {
      return loaded.current.resilience.hedge
    },
    get throttle() {
      return loaded.current.resilience.throttle
    },
    status: Effect.sync(() => loaded.status),
    execute: (self, options) => loaded.run(({ resilience }) => resilience.execute(self, options)),
    http: (self, options) => {
      const clientOf = ({ resilience }: Generation) => resilience.http(self, options)
      let made: { readonly generation: Generation; readonly client: ReturnType<typeof clientOf> } | undefined
      return HttpClient.makeWith((request) =>
        loaded.run((generation) => {
          if (made?.generation !== generation) made = { generation, client: clientOf(generation) }
          return made.client.postprocess(request)
        }), self.preprocess)
    }
  }
})
