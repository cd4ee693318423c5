import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import { now, until } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import type { Egress } from "../../Egress.ts"
import { JwksNotRegistered, JwksUnavailable } from "../../JwksError.ts"
import type { JwksEvent } from "../../JwksEvent.ts"
import * as JwksOptions from "../../JwksOptions.ts"
import type { JwksRegistry, ProviderStatus } from "../../JwksRegistry.ts"
import { findAmong } from "../cache/endpoints.ts"
import { findIn } from "../cache/lookup.ts"
import { eventCapacity, makeProvider, type Provider } from "../cache/provider.ts"
import { makeScheduler } from "../cache/scheduler.ts"
import type { Candidate, JoseHeader, KeySource, LookupError } from "../keys/candidate.ts"
import { makeKeyedLock } from "./keyedLock.ts"
import { operatorFields } from "./operatorFields.ts"
import { makeRoster } from "./roster.ts"

type Registry = JwksRegistry["Service"]

/** A provider with the scope it lives in. */
interface Entry {
  readonly issuer: string
  readonly options: JwksOptions.JwksOptions
  readonly provider: Provider
  readonly scope: Scope.Closeable
}

const conflict = (message: string) => new KeelsonError.ConfigurationError({ code: "JWKS_CONFLICT", message })

/** What is no id stays out of spans. */
const isNamed = (tenantId: string, providerId: string): boolean =>
  Schema.is(JwksOptions.TenantId)(tenantId) && Schema.is(JwksOptions.ProviderId)(providerId)

const operatorOptions = (options: JwksOptions.JwksOptions) => Struct.pick(options, operatorFields)
const operatorDefaults = operatorOptions(JwksOptions.make({ issuer: "any" }))

const decodeNames = Configuration.decode(JwksOptions.Names)
const decodeOptions = Configuration.decode(JwksOptions.JwksOptions)

/** A registry in a scope, whose end ends all that was registered. */
export const makeRegistry: Effect.Effect<Registry, never, Egress | Scope.Scope> = Effect.gen(function*() {
  const context = yield* Effect.context<Egress>()
  const scheduler = yield* makeScheduler
  const events = yield* Effect.acquireRelease(PubSub.sliding<JwksEvent>(eventCapacity), PubSub.shutdown)
  const publish = (event: JwksEvent): void => void PubSub.publishUnsafe(events, event)
  const roster = makeRoster<Entry>()
  // Of two registrations under the same ids one has to see the other. One by one for these ids only: the end of a provider
  // may wait for its snapshot to be written.
  const oneByOne = makeKeyedLock()
  let isClosed = false
  yield* Effect.addFinalizer(() => {
    isClosed = true
    return Effect.forEach(roster.entries(), ([, , { scope }]) => Scope.close(scope, Exit.void), {
      concurrency: "unbounded",
      discard: true
    })
  })

  const open = Effect.fnUntraced(function*(names: JwksOptions.Names, options: JwksOptions.JwksOptions) {
    const scope = yield* Scope.make()
    const made = makeProvider(options, { ...names, scheduler, publish })
    // In the registry's context and no other: what the caller has, a span for one, must not live as long as the provider.
    const provider = yield* Effect.updateContext(
      made,
      (_caller: Context.Context<never>) => Context.add(context, Scope.Scope, scope)
    ).pipe(
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    return { issuer: options.issuer, options, provider, scope }
  }, Effect.uninterruptible)

  /** What comes when the registry is closed ends at once: nothing else would end it. */
  const enter = ({ providerId, tenantId }: JwksOptions.Names, entry: Entry, old?: Entry) =>
    Effect.clockWith((clock) => {
      entry.provider.start(clock, old?.provider)
      roster.set(tenantId, providerId, entry)
      return isClosed ? Scope.close(entry.scope, Exit.void) : Effect.void
    })

  const entryOf = (tenantId: string, providerId: string): Effect.Effect<Entry, JwksNotRegistered> =>
    Effect.suspend(() => {
      const entry = roster.get(tenantId, providerId)
      return entry === undefined ? Effect.fail(new JwksNotRegistered()) : Effect.succeed(entry)
    })
  const withProvider =
    <A, E>(use: (provider: Provider) => Effect.Effect<A, E>) =>
    (tenantId: string, providerId: string): Effect.Effect<A, E | JwksNotRegistered> =>
      Effect.flatMap(entryOf(tenantId, providerId), ({ provider }) => use(provider))

  const register = Effect.fnUntraced(function*(tenantId: string, providerId: string, input: JwksOptions.Options) {
    const names = yield* decodeNames({ tenantId, providerId })
    const options = yield* decodeOptions(input)
    if (roster.get(tenantId, providerId) !== undefined) {
      return yield* Effect.fail(conflict("A provider is registered under these ids"))
    }
    yield* enter(names, yield* open(names, options))
  })
  const replace = Effect.fnUntraced(function*(names: JwksOptions.Names, old: Entry, options: JwksOptions.JwksOptions) {
    if (options.issuer !== old.issuer) {
      return yield* Effect.fail(conflict("The provider is registered for another issuer"))
    }
    yield* enter(names, yield* open(names, options), old)
    yield* Scope.close(old.scope, Exit.void)
  })
  const update = Effect.fnUntraced(function*(tenantId: string, providerId: string, input: JwksOptions.Options) {
    const old = yield* entryOf(tenantId, providerId)
    yield* replace({ tenantId, providerId }, old, yield* decodeOptions(input))
  })
  const put = Effect.fnUntraced(
    function*(tenantId: string, providerId: string, input: JwksOptions.Options, isNew: boolean) {
      const old = isNew ? undefined : roster.get(tenantId, providerId)
      if (old === undefined) return yield* register(tenantId, providerId, input)
      const options = yield* decodeOptions({ ...operatorOptions(old.options), ...input })
      if (!Equal.equals(options, old.options)) yield* replace({ tenantId, providerId }, old, options)
    }
  )
  const unregister = Effect.fnUntraced(function*(tenantId: string, providerId: string) {
    const { provider, scope } = yield* entryOf(tenantId, providerId)
    roster.remove(tenantId, providerId)
    yield* Scope.close(scope, Exit.void)
    yield* provider.forget
  })
  const statuses = (tenantId?: string) =>
    Effect.forEach(
      roster.entries(tenantId),
      ([tenant, providerId, { issuer, provider }]) =>
        Effect.map(provider.status, (status): ProviderStatus => ({ tenantId: tenant, providerId, issuer, status }))
    )

  /** Whoever waited for a provider that was replaced meanwhile asks the one in its place; twice at most, as each may take long. */
  const askAgain = <A, E extends { readonly _tag: string }>(
    self: Effect.Effect<A, E | JwksUnavailable>,
    isReplaced: () => boolean,
    again: () => Effect.Effect<A, E | JwksUnavailable>
  ): Effect.Effect<A, E | JwksUnavailable> =>
    Effect.catch(self, (error) => {
      const isClosing = error instanceof JwksUnavailable && error.lastFailure === "SHUTTING_DOWN"
      return isClosing && isReplaced() ? again() : Effect.fail(error)
    })

  const keySource = (tenantId: string): KeySource["Service"] => {
    const find = (
      issuer: string,
      header: JoseHeader,
      repeats = 2
    ): Effect.Effect<ReadonlyArray<Candidate>, LookupError> =>
      Effect.withFiber((fiber): Effect.Effect<ReadonlyArray<Candidate>, LookupError> => {
        const clock = fiber.getRef(Clock.Clock)
        const endpoints = roster.ofIssuer(tenantId, issuer)
        const [first] = endpoints
        if (first === undefined) return Effect.fail(new JwksNotRegistered())
        const hit = endpoints.length === 1 ? first.provider.hit(header, clock) : undefined
        if (hit !== undefined) return hit
        const missed = endpoints.length === 1
          ? first.provider.miss(header)
          : findAmong(endpoints.map(({ provider }) => provider), header, clock)
        const isReplaced = () => repeats > 0 && roster.ofIssuer(tenantId, issuer) !== endpoints
        return askAgain(missed, isReplaced, () => find(issuer, header, repeats - 1))
      })
    return { find: (issuer, header) => find(issuer, header) }
  }

  const asked = <A, E extends { readonly _tag: string }>(
    use: (provider: Provider) => Effect.Effect<A, E | JwksUnavailable>,
    tenantId: string,
    providerId: string,
    repeats = 2
  ): Effect.Effect<A, E | JwksNotRegistered | JwksUnavailable> =>
    Effect.flatMap(entryOf(tenantId, providerId), (entry) =>
      askAgain<A, E | JwksNotRegistered>(
        use(entry.provider),
        () => repeats > 0 && roster.get(tenantId, providerId) !== entry,
        () => asked(use, tenantId, providerId, repeats - 1)
      ))
  const resolve: Registry["resolve"] = (tenantId, providerId, header) =>
    asked((provider) => findIn(provider, header), tenantId, providerId)
  const keySet: Registry["keySet"] = (tenantId, providerId) =>
    asked((provider) => provider.keySet, tenantId, providerId)

  const change = <A, E>(name: string, tenantId: string, providerId: string, self: Effect.Effect<A, E>) =>
    Effect.withSpan(
      oneByOne(`${tenantId}:${providerId}`, Effect.uninterruptible(self)),
      `JwksRegistry.${name}`,
      { attributes: isNamed(tenantId, providerId) ? { tenant: tenantId, provider: providerId } : {} }
    )

  return {
    register: (tenantId, providerId, options) =>
      change("register", tenantId, providerId, register(tenantId, providerId, options)),
    update: (tenantId, providerId, options) =>
      change("update", tenantId, providerId, update(tenantId, providerId, options)),
    put: (tenantId, providerId, options, isNew = false) =>
      change("put", tenantId, providerId, put(tenantId, providerId, options, isNew)),
    unregister: (tenantId, providerId) => change("unregister", tenantId, providerId, unregister(tenantId, providerId)),
    resolve,
    keySet,
    held: withProvider((provider) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          const held = provider.held(clock)
          return held && { set: held.set, expiresIn: Duration.millis(until(held.expiresAt, now(clock))) }
        })
      )
    ),
    refresh: withProvider((provider) => provider.refresh),
    invalidate: withProvider((provider) => provider.invalidate),
    status: withProvider((provider) => provider.status),
    statuses,
    hasOperatorOptions: (tenantId, providerId) => {
      const entry = roster.get(tenantId, providerId)
      return entry !== undefined && !Equal.equals(operatorOptions(entry.options), operatorDefaults)
    },
    wasRemoved: roster.wasRemoved,
    persistAll: Effect.suspend(() =>
      Effect.forEach(roster.entries(), ([, , { provider }]) => provider.persist, { concurrency: 16, discard: true })
    ),
    events: Stream.fromPubSub(events),
    keySource
  }
})
