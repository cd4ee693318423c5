/**
 * Key sets of many tenants and issuers, which are added, changed and removed while the program runs.
 *
 * All of them share one fiber, and one stream of events: registering forks nothing. What belongs to one tenant is never
 * seen under another.
 */
import { Configuration, KeelsonError, type SingleFlight } from "@keelson/core"
import { Clock, Context, Duration, Effect, Equal, Exit, Layer, PubSub, Scope, Stream } from "effect"
import type { Egress } from "./Egress.ts"
import { findAmong } from "./internal/endpoints.ts"
import { rulesOf } from "./internal/fetchKeySet.ts"
import { now, until } from "./internal/instant.ts"
import { makeKeyedLock } from "./internal/keyedLock.ts"
import { type Candidate, type JoseHeader, KeySource, type LookupError } from "./internal/keySource.ts"
import { findIn } from "./internal/lookup.ts"
import { eventCapacity, makeProvider, type Provider } from "./internal/provider.ts"
import type { Refreshed } from "./internal/refresher.ts"
import { makeRoster } from "./internal/roster.ts"
import { makeScheduler } from "./internal/scheduler.ts"
import { JwksNotRegistered, type JwksUnavailable } from "./JwksError.ts"
import type { JwksEvent } from "./JwksEvent.ts"
import * as JwksOptions from "./JwksOptions.ts"
import type { JwksStatus } from "./JwksStatus.ts"
import type { KeySet } from "./KeySet.ts"

/** Why a registration is refused. */
export type RegisterError = KeelsonError.ConfigurationError | KeelsonError.NetworkError

/** A provider of a tenant, with how it is. */
export interface ProviderStatus extends JwksOptions.Names {
  readonly issuer: string
  readonly status: JwksStatus
}

/** Keys that are held, and how long their lifetime goes on: zero past its end, while they still verify. */
export interface HeldKeys {
  readonly set: KeySet
  readonly expiresIn: Duration.Duration
}

/** The key sets of many tenants. */
export class JwksRegistry extends Context.Service<JwksRegistry, {
  /**
   * Adds a provider, whose keys are fetched in the background.
   *
   * Fails with `ConfigurationError`: `INVALID_CONFIG` naming the id or option, `JWKS_CONFLICT` where the ids are taken;
   * and with `NetworkError` (`EGRESS_REFUSED`) for a URL that may not be fetched.
   */
  readonly register: (
    tenantId: string,
    providerId: string,
    options: JwksOptions.Options
  ) => Effect.Effect<void, RegisterError>
  /**
   * Replaces a provider's options. While the URL stays the same its keys stay in use, and are confirmed at once; those of
   * another URL end, and new ones are fetched. A change that is refused leaves the provider as it was.
   *
   * Fails as `register` does, with `JWKS_CONFLICT` for another issuer; and with `JwksNotRegistered`.
   */
  readonly update: (
    tenantId: string,
    providerId: string,
    options: JwksOptions.Options
  ) => Effect.Effect<void, JwksNotRegistered | RegisterError>
  /**
   * Adds a provider, or replaces the options of the one that has the ids, whose own egress rules (`allowedHosts`, `pins`,
   * `maxBytes`, `maxRedirects`) stay where the new options have none. Options that are the same change nothing. With
   * `isNew`, ids that are taken are refused.
   *
   * Fails as `register` does, with `JWKS_CONFLICT` for another issuer.
   */
  readonly put: (
    tenantId: string,
    providerId: string,
    options: JwksOptions.Options,
    isNew?: boolean
  ) => Effect.Effect<void, RegisterError>
  /** Removes a provider: its keys stop verifying at once, and its snapshot goes. Fails with `JwksNotRegistered`. */
  readonly unregister: (tenantId: string, providerId: string) => Effect.Effect<void, JwksNotRegistered>
  /** The keys of one provider for a token's header; see `JwksCache`. */
  readonly resolve: (
    tenantId: string,
    providerId: string,
    header: JoseHeader
  ) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
  /** All keys of one provider. */
  readonly keySet: (
    tenantId: string,
    providerId: string
  ) => Effect.Effect<KeySet, JwksNotRegistered | JwksUnavailable>
  /** The keys of one provider that are trusted now; `undefined` without any. It waits for no fetch, and causes none. */
  readonly held: (tenantId: string, providerId: string) => Effect.Effect<HeldKeys | undefined, JwksNotRegistered>
  /** Fetches now, or joins the fetch that is under way; see `JwksCache`. */
  readonly refresh: (
    tenantId: string,
    providerId: string
  ) => Effect.Effect<Refreshed, JwksNotRegistered | KeelsonError.NetworkError | SingleFlight.Closed>
  /** Ends the trust in the keys of one provider; the next lookup fetches. */
  readonly invalidate: (tenantId: string, providerId: string) => Effect.Effect<void, JwksNotRegistered>
  readonly status: (tenantId: string, providerId: string) => Effect.Effect<JwksStatus, JwksNotRegistered>
  /** How all providers of a tenant are, or all there are. */
  readonly statuses: (tenantId?: string) => Effect.Effect<ReadonlyArray<ProviderStatus>>
  /** Whether code gave a provider egress rules of its own, hosts or pins, which are not the control plane's to take away. */
  readonly hasEgressRules: (tenantId: string, providerId: string) => boolean
  /** Whether a provider was registered and has been removed, as far as that is remembered: the last 1,000. */
  readonly wasRemoved: (tenantId: string, providerId: string) => boolean
  /** Writes what is not written yet to the store of snapshots; nothing without one. Snapshots are restored by themselves. */
  readonly persistAll: Effect.Effect<void>
  /**
   * What happens from now on, in all of them, until the registry is closed. Nothing waits for a subscriber: a slow one
   * loses the oldest events.
   */
  readonly events: Stream.Stream<JwksEvent>
  /**
   * The seam to validation, for one tenant: the keys of all its providers of an issuer, in the order of registration. A
   * key of any of them will do; that none has it is only known where all of them have keys.
   */
  readonly keySource: (tenantId: string) => KeySource["Service"]
}>()("@keelson/jwks/JwksRegistry") {}

/** A provider with the scope it lives in. */
interface Entry {
  readonly issuer: string
  readonly options: JwksOptions.JwksOptions
  readonly provider: Provider
  readonly scope: Scope.Closeable
}

const conflict = (message: string) => new KeelsonError.ConfigurationError({ code: "JWKS_CONFLICT", message })

const decodeNames = Configuration.decode(JwksOptions.Names)
const decodeOptions = Configuration.decode(JwksOptions.JwksOptions)

/** A registry in a scope, whose end ends all that was registered. */
export const make: Effect.Effect<JwksRegistry["Service"], never, Egress | Scope.Scope> = Effect.gen(function*() {
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

  const open = Effect.fnUntraced(function*(names: JwksOptions.Names, options: JwksOptions.JwksOptions, old?: Provider) {
    const scope = yield* Scope.make()
    const seed = old?.seed(yield* Clock.Clock)
    const made = makeProvider(options, { ...names, scheduler, publish }, seed)
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
  const enter = ({ providerId, tenantId }: JwksOptions.Names, entry: Entry) =>
    Effect.suspend(() => {
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
    yield* enter(names, yield* open(names, options, old.provider))
    old.provider.replaced()
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
      const options = yield* decodeOptions({ ...rulesOf(old.options), ...input })
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

  const keySource = (tenantId: string): KeySource["Service"] => ({
    find: (issuer, header) =>
      Effect.withFiber((fiber): Effect.Effect<ReadonlyArray<Candidate>, LookupError> => {
        const endpoints = roster.ofIssuer(tenantId, issuer)
        const [first] = endpoints
        if (first === undefined) return Effect.fail(new JwksNotRegistered())
        return endpoints.length === 1
          ? findIn(first.provider, header)
          : findAmong(endpoints.map(({ provider }) => provider), header, fiber.getRef(Clock.Clock))
      })
  })

  const change = <A, E>(name: string, tenantId: string, providerId: string, self: Effect.Effect<A, E>) =>
    Effect.withSpan(
      oneByOne(`${tenantId}:${providerId}`, Effect.uninterruptible(self)),
      `JwksRegistry.${name}`,
      { attributes: { tenant: tenantId, provider: providerId } }
    )

  return {
    register: (tenantId, providerId, options) =>
      change("register", tenantId, providerId, register(tenantId, providerId, options)),
    update: (tenantId, providerId, options) =>
      change("update", tenantId, providerId, update(tenantId, providerId, options)),
    put: (tenantId, providerId, options, isNew = false) =>
      change("put", tenantId, providerId, put(tenantId, providerId, options, isNew)),
    unregister: (tenantId, providerId) => change("unregister", tenantId, providerId, unregister(tenantId, providerId)),
    resolve: (tenantId, providerId, header) =>
      withProvider((provider) => findIn(provider, header))(tenantId, providerId),
    keySet: withProvider((provider) => provider.keySet),
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
    hasEgressRules: (tenantId, providerId) => {
      const options = roster.get(tenantId, providerId)?.options
      return options?.allowedHosts !== undefined || options?.pins !== undefined
    },
    wasRemoved: roster.wasRemoved,
    persistAll: Effect.suspend(() =>
      Effect.forEach(roster.entries(), ([, , { provider }]) => provider.persist, { concurrency: 16, discard: true })
    ),
    events: Stream.fromPubSub(events),
    keySource
  }
})

/** `make` as a layer. Key sets are kept in `JwksSnapshots` where that is provided. */
export const layer: Layer.Layer<JwksRegistry, never, Egress> = Layer.effect(JwksRegistry, make)

/** The seam to validation for one tenant of the registry in context. */
export const keySource = (tenantId: string): Layer.Layer<KeySource, never, JwksRegistry> =>
  Layer.effect(KeySource, Effect.map(JwksRegistry, (registry) => registry.keySource(tenantId)))
