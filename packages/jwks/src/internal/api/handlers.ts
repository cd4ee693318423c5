import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as Layer from "effect/Layer"
import { JwksUnavailable } from "../../JwksError.ts"
import type { Names } from "../../JwksOptions.ts"
import { JwksRegistry } from "../../JwksRegistry.ts"
import type { JwksStatus } from "../../JwksStatus.ts"
import { keyOf } from "../registry/roster.ts"
import { AdminPrincipal, Api, type JwksAdmin } from "./definition.ts"
import { keySetResponse } from "./keySetResponse.ts"
import { type Coded, respond } from "./problems.ts"
import { readRegistration } from "./registration.ts"

/** Fails unless the principal administers the tenant or all tenants. */
const authorized = Effect.fnUntraced(function*(tenantId: string) {
  const principal = yield* AdminPrincipal
  if (principal.tenantId === "*" || principal.tenantId === tenantId) return
  return yield* Effect.fail(
    new KeelsonError.AuthorizationError({ code: "FORBIDDEN", message: "The caller may not administer this tenant" })
  )
})

/** Runs an effect if the caller may administer the tenant of the path. Errors become responses. */
const guarded = <A, E extends Coded, R>(tenantId: string, self: Effect.Effect<A, E, R>) =>
  Effect.andThen(authorized(tenantId), self).pipe(Effect.catch((error: Coded) => Effect.succeed(respond(error))))

/** Returns the error for missing keys: the keys are still loading, or could not be fetched. */
const missing = Effect.fnUntraced(function*({ errorCount, lastFailure, nextRefresh }: JwksStatus) {
  if (errorCount === 0) return new KeelsonError.NetworkError({ code: "JWKS_LOADING" })
  const now = yield* DateTime.now
  const retryAfter = nextRefresh === undefined ? Duration.zero : DateTime.distance(now, nextRefresh)
  return new JwksUnavailable({ lastFailure, retryAfter: Duration.max(retryAfter, Duration.zero) })
})

/** Upper bound of the providers of a tenant that requests may register. Each takes memory and fetches; code may register more. */
const mostOfTenant = 100

/** Minimum time between forced refreshes of a provider: 10 seconds, in nanoseconds. */
const period = 10_000_000_000n

/**
 * Whether a forced refresh of a provider is allowed now. An allowed call starts the period, which survives changes of
 * the provider.
 */
const makeRefreshLimit = (): (key: string, clock: Clock.Clock) => boolean => {
  // Ordered by time, oldest first.
  const taken = new Map<string, bigint>()
  return (key, clock) => {
    const now = clock.monotonicTimeNanosUnsafe()
    for (const [oldest, at] of taken) {
      if (now - at < period) break
      taken.delete(oldest)
    }
    if (taken.has(key)) return false
    taken.set(key, now)
    return true
  }
}

/** The handlers of the API, which use the registry in context. */
export const handlers: Layer.Layer<
  HttpApiGroup.Service<"keelson-jwks", "providers">,
  never,
  JwksAdmin | JwksRegistry
> = HttpApiBuilder.group(
  Api,
  "providers",
  Effect.fnUntraced(function*(group) {
    const registry = yield* JwksRegistry
    const scope = yield* Effect.scope
    const mayRefresh = makeRefreshLimit()
    const inBackground = <A, E>(self: Effect.Effect<A, E>) => Effect.forkIn(Effect.ignore(self), scope)

    const keySet = Effect.fnUntraced(function*(id: Names, ifNoneMatch: string | undefined) {
      if (registry.wasRemoved(id)) {
        return yield* Effect.fail(new KeelsonError.ConfigurationError({ code: "JWKS_UNREGISTERED" }))
      }
      const cached = yield* registry.cached(id)
      if (cached !== undefined) return yield* keySetResponse(cached, ifNoneMatch)
      const status = yield* registry.status(id)
      // The keys may never have been requested, or not since they expired.
      const isIdle = status.state === "Empty" || status.state === "Ready"
      if (isIdle && status.errorCount === 0) yield* inBackground(registry.keySet(id))
      return yield* Effect.flatMap(missing(status), Effect.fail)
    })
    const put = Effect.fnUntraced(function*(id: Names, request: HttpServerRequest.HttpServerRequest) {
      const options = yield* readRegistration(request)
      const ifAbsent = request.headers["if-none-match"]?.trim() === "*"
      yield* registry.put(id, options, { ifAbsent, keepOperatorOptions: true, mostOfTenant })
    })
    const remove = Effect.fnUntraced(function*(id: Names) {
      // Otherwise a caller could remove the provider and register it again without the operator-only options.
      if (registry.hasOperatorOptions(id)) {
        return yield* Effect.fail(
          new KeelsonError.AuthorizationError({
            code: "FORBIDDEN",
            message: "This provider has operator-only options set in code; remove it there"
          })
        )
      }
      yield* registry.remove(id)
    })
    const refresh = Effect.fnUntraced(function*(id: Names) {
      yield* registry.status(id)
      const isAllowed = yield* Effect.clockWith((clock) => Effect.sync(() => mayRefresh(keyOf(id), clock)))
      if (isAllowed) yield* inBackground(registry.refresh(id))
    })
    return group.handle("list", ({ params: { tenantId } }) => guarded(tenantId, registry.statuses(tenantId)))
      .handleRaw("put", ({ params, request }) => guarded(params.tenantId, put(params, request)))
      .handle("remove", ({ params }) => guarded(params.tenantId, remove(params)))
      .handle("jwks", ({ headers, params }) => guarded(params.tenantId, keySet(params, headers["if-none-match"])))
      .handle("refresh", ({ params }) => guarded(params.tenantId, refresh(params)))
      .handle("status", ({ params }) => guarded(params.tenantId, registry.status(params)))
  })
)
