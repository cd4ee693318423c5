import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import { now, until } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import type { Egress } from "../../Egress.ts"
import { JwksNotRegistered, JwksUnavailable } from "../../JwksError.ts"
import type { JwksEvent } from "../../JwksEvent.ts"
import * as JwksOptions from "../../JwksOptions.ts"
import type { JwksRegistry, ProviderStatus, PutError, PutOptions } from "../../JwksRegistry.ts"
import type { Candidate, JoseHeader, KeySource, LookupError } from "../../unstable/KeySourceTag.ts"
import { findAmong } from "../cache/endpoints.ts"
import { findIn } from "../cache/keyLookup.ts"
import { eventCapacity, makeProvider, type Provider, providerServices } from "../cache/provider.ts"
import { makeScheduler } from "../cache/scheduler.ts"
import { makeKeyedLock } from "./keyedLock.ts"
import { operatorFields } from "./operatorFields.ts"
import { keyOf, makeRoster } from "./roster.ts"

type Registry = JwksRegistry["Service"]

const conflict = (message: string) => new KeelsonError.ConfigurationError({ code: "JWKS_CONFLICT", message })

/** Whether the ids are valid; invalid ids are not written to spans. */
const decodeNames = Configuration.decode(JwksOptions.Names)

const areIds = ({ providerId, tenantId }: JwksOptions.Names): boolean =>
  Schema.is(JwksOptions.Names)({ tenantId, providerId })

const operatorOptions = (options: JwksOptions.JwksOptions) => Struct.pick(options, operatorFields)
const operatorDefaults = operatorOptions(JwksOptions.make({ issuer: "any" }))

/** A copy has a fixed shape and takes a third of the memory: the schema adds members one by one. */
const copyOf = (options: JwksOptions.JwksOptions): JwksOptions.JwksOptions => ({ ...options })

/** Makes a registry in a scope. The end of the scope closes all providers. */
export const makeRegistry: Effect.Effect<Registry, never, Egress | Scope.Scope> = Effect.gen(function*() {
  const scheduler = yield* makeScheduler
  const events = yield* Effect.acquireRelease(PubSub.sliding<JwksEvent>(eventCapacity), PubSub.shutdown)
  // Of the registry only: the context of a caller, such as its span, must not live as long as the provider.
  const services = yield* providerServices({ scheduler, publish: (event) => void PubSub.publishUnsafe(events, event) })
  const roster = makeRoster<Provider>()
  // Changes under the same ids run one after another, so that each sees the previous one. Other ids do not wait: closing a
  // provider may wait for its snapshot to be written.
  const oneByOne = makeKeyedLock()
  let isClosed = false
  yield* Effect.addFinalizer(() => {
    isClosed = true
    return Effect.forEach(roster.entries(), ([, provider]) => provider.close, {
      concurrency: "unbounded",
      discard: true
    })
  })

  /** Starts a provider and enters it. If the registry is closed already, closes the provider at once, to avoid a leak. */
  const enter = (id: JwksOptions.Names, provider: Provider, old?: Provider) =>
    Effect.clockWith((clock) => {
      provider.start(clock, old)
      roster.set(id, provider)
      return isClosed ? provider.close : Effect.void
    })

  const providerOf = (id: JwksOptions.Names): Effect.Effect<Provider, JwksNotRegistered> =>
    Effect.suspend(() => {
      const provider = roster.get(id)
      return provider === undefined ? Effect.fail(new JwksNotRegistered()) : Effect.succeed(provider)
    })
  const withProvider =
    <A, E>(use: (provider: Provider) => Effect.Effect<A, E>) =>
    (id: JwksOptions.Names): Effect.Effect<A, E | JwksNotRegistered> => Effect.flatMap(providerOf(id), use)

  /** How many providers of a tenant are being opened. */
  const opening = new Map<string, number>()
  const add = Effect.fnUntraced(function*(id: JwksOptions.Names, input: JwksOptions.Options, most = Infinity) {
    const names = yield* decodeNames(id)
    const options = yield* Configuration.decode(JwksOptions.JwksOptions)(input)
    if (roster.get(id) !== undefined) {
      return yield* Effect.fail(conflict("A provider is already registered under these ids"))
    }
    const { tenantId } = names
    const others = opening.get(tenantId) ?? 0
    if (roster.size(tenantId) + others >= most) {
      return yield* Effect.fail(
        conflict(`The tenant has ${most} providers, the most that it may have here; remove one`)
      )
    }
    opening.set(tenantId, others + 1)
    yield* Effect.ensuring(
      Effect.flatMap(makeProvider(copyOf(options), names, services), (provider) => enter(names, provider)),
      Effect.sync(() => {
        const left = (opening.get(tenantId) ?? 1) - 1
        if (left === 0) opening.delete(tenantId)
        else opening.set(tenantId, left)
      })
    )
  })
  const replace = Effect.fnUntraced(function*(id: JwksOptions.Names, old: Provider, options: JwksOptions.JwksOptions) {
    if (Equal.equals(options, old.options)) return
    if (options.issuer !== old.issuer) {
      return yield* Effect.fail(conflict("The provider is registered for another issuer"))
    }
    yield* enter(id, yield* makeProvider(copyOf(options), id, services), old)
    yield* old.close
  })
  const put = Effect.fnUntraced(
    function*(id: JwksOptions.Names, input: JwksOptions.Options, conditions: PutOptions) {
      const old = conditions.ifAbsent === true ? undefined : roster.get(id)
      if (old === undefined) {
        return conditions.ifPresent === true
          ? yield* new JwksNotRegistered()
          : yield* add(id, input, conditions.mostOfTenant)
      }
      const kept = conditions.keepOperatorOptions === true ? operatorOptions(old.options) : {}
      yield* replace(id, old, yield* Configuration.decode(JwksOptions.JwksOptions)({ ...kept, ...input }))
    }
  )
  const remove = Effect.fnUntraced(function*(id: JwksOptions.Names) {
    const provider = yield* providerOf(id)
    roster.remove(id)
    yield* provider.close
    yield* provider.forget
  })
  const statuses = (tenantId?: string) =>
    Effect.forEach(
      roster.entries(tenantId),
      ([id, provider]) =>
        Effect.map(provider.status, (status): ProviderStatus => ({ ...id, issuer: provider.issuer, status }))
    )

  /** Repeats a call that failed because its provider was replaced on the new one. At most twice, as each may take long. */
  const retryIfReplaced = <A, E extends { readonly _tag: string }>(
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
        const hit = endpoints.length === 1 ? first.lookup.hit(header, clock) : undefined
        if (hit !== undefined) return hit
        const missed = endpoints.length === 1
          ? first.lookup.miss(header)
          : findAmong(endpoints.map(({ lookup }) => lookup), header, clock)
        const isReplaced = () => repeats > 0 && roster.ofIssuer(tenantId, issuer) !== endpoints
        return retryIfReplaced(missed, isReplaced, () => find(issuer, header, repeats - 1))
      })
    return { find: (issuer, header) => find(issuer, header) }
  }

  /** Runs on the provider, and again on its replacement if it is replaced during the call. */
  const runOn = <A, E extends { readonly _tag: string }>(
    use: (provider: Provider) => Effect.Effect<A, E | JwksUnavailable>,
    id: JwksOptions.Names,
    repeats = 2
  ): Effect.Effect<A, E | JwksNotRegistered | JwksUnavailable> =>
    Effect.flatMap(providerOf(id), (provider) =>
      retryIfReplaced<A, E | JwksNotRegistered>(
        use(provider),
        () => repeats > 0 && roster.get(id) !== provider,
        () => runOn(use, id, repeats - 1)
      ))

  const change = <A, E>(name: string, id: JwksOptions.Names, self: Effect.Effect<A, E>) =>
    Effect.withSpan(oneByOne(keyOf(id), Effect.uninterruptible(self)), `JwksRegistry.${name}`, {
      attributes: areIds(id) ? { tenant: id.tenantId, provider: id.providerId } : {}
    })

  function putNamed(
    id: JwksOptions.Names,
    options: JwksOptions.Options,
    conditions?: PutOptions & { readonly ifPresent?: false | undefined }
  ): Effect.Effect<void, PutError>
  function putNamed(
    id: JwksOptions.Names,
    options: JwksOptions.Options,
    conditions: PutOptions
  ): Effect.Effect<void, JwksNotRegistered | PutError>
  function putNamed(
    id: JwksOptions.Names,
    options: JwksOptions.Options,
    conditions: PutOptions = {}
  ): Effect.Effect<void, JwksNotRegistered | PutError> {
    return change("put", id, put(id, options, conditions))
  }

  return {
    put: putNamed,
    remove: (id) => change("remove", id, remove(id)),
    resolve: (id, header) => runOn((provider) => findIn(provider.lookup, header), id),
    keySet: (id) => runOn((provider) => provider.lookup.keySet, id),
    cached: withProvider((provider) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          const cached = provider.cached(clock)
          return cached && { keySet: cached.keySet, expiresIn: Duration.millis(until(cached.expiresAt, now(clock))) }
        })
      )
    ),
    refresh: withProvider((provider) => provider.refresh),
    invalidate: withProvider((provider) => provider.invalidate),
    status: withProvider((provider) => provider.status),
    statuses,
    hasOperatorOptions: (id) => {
      const provider = roster.get(id)
      return provider !== undefined && !Equal.equals(operatorOptions(provider.options), operatorDefaults)
    },
    wasRemoved: roster.wasRemoved,
    persistAll: Effect.suspend(() =>
      Effect.forEach(roster.entries(), ([, provider]) => provider.persist, { concurrency: 16, discard: true })
    ),
    events: Stream.fromPubSub(events),
    keySource
  }
})
