import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import {
  byUrl,
  down,
  hanging,
  header,
  ids,
  issuer,
  jwk,
  keysOf,
  registryOf,
  revalidating,
  steppingRegistryOf,
  url,
  virtualImport
} from "@keelson/testing/scriptedProvider"
import { runOut } from "@keelson/testing/virtualTime"
import { Clock, Context, DateTime, Effect, Exit, Fiber, Layer, Scope, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { FetchEgress, JwksRegistry, JwksSnapshots, KeySource } from "../src/index.ts"

const other = "https://idp.example/other"
const key = jwk("a")

const refused = Effect.fnUntraced(
  function*(registry: JwksRegistry.JwksRegistry["Service"], tenant: string, id: string) {
    const error = yield* Effect.flip(registry.put(ids(tenant, id), { issuer, url }, { ifAbsent: true }))
    return { code: error.code, message: error.message, details: error.details }
  }
)

const tagOf = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

/** A registry that fetches by the rules of a service. */
const guarded = Effect.map(
  Layer.build(
    Layer.provide(JwksRegistry.layer, [FetchEgress.layer({ allowedHosts: ["idp.example"] }), virtualImport])
  ),
  (context) => Context.get(context, JwksRegistry.JwksRegistry)
)

describe("JwksRegistry", () => {
  describe("register", () => {
    it.effect("[S1-28] fetches the keys in the background, and resolves with them", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(provider.requests.length, 1)
        const [candidate] = yield* registry.resolve(ids("t", "p"), header("a"))
        assert.strictEqual(candidate?.kid, "a")
        assert.strictEqual((yield* registry.keySet(ids("t", "p"))).all.length, 1)
        assert.strictEqual(provider.requests.length, 1)
      }))

    it.effect("[S1-28] does not wait for a hanging provider, and does not fail for one that is down", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(byUrl({ [url]: hanging, [other]: down }))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* registry.put(ids("t", "q"), { issuer, url: other }, { ifAbsent: true })
        assert.strictEqual((yield* registry.statuses()).length, 2)
      }))

    it.effect("[S1-29] refuses ids that are not of their alphabet and length, naming the field and the reason", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("a"))
        for (const id of ["", "a".repeat(65), "a b", "a/b", "a:b", "ä", "a\n", "a.b"]) {
          const tenant = yield* refused(registry, id, "p")
          assert.strictEqual(tenant.code, "INVALID_CONFIG")
          assert.match(tenant.message, /tenantId.*1 to 64 of A-Z, a-z, 0-9 and -/)
          const provider = yield* refused(registry, "t", id)
          assert.match(provider.message, /providerId.*1 to 64 of A-Z, a-z, 0-9, _ and -/)
        }
        assert.match((yield* refused(registry, "a_b", "p")).message, /tenantId/)
        assert.deepStrictEqual(yield* registry.statuses(), [])
      }))

    it.effect("[S1-29] accepts ids of 1 and of 64 characters, and reports both fields if both are invalid", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("a", "_"), { issuer, url }, { ifAbsent: true })
        yield* registry.put(ids("a-Z".padEnd(64, "0"), "a_-".padEnd(64, "Z")), { issuer, url }, { ifAbsent: true })
        assert.strictEqual((yield* registry.statuses()).length, 2)
        assert.match((yield* refused(registry, "a b", "c d")).message, /tenantId[^]*providerId/)
      }))

    it.effect("[S1-28] refuses options out of their range, naming the option, and registers nothing", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("a"))
        const error = yield* Effect.flip(
          registry.put(ids("t", "p"), { issuer, url, ttl: "1 second" }, { ifAbsent: true })
        )
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.match(error.message, /ttl/)
        assert.strictEqual((yield* Effect.flip(registry.status(ids("t", "p")))).code, "JWKS_NOT_REGISTERED")
      }))

    it.effect("[S1-19] refuses a URL that is not https, or of a host that is not allowed", () =>
      Effect.gen(function*() {
        const registry = yield* guarded
        const bad = ["http://idp.example/jwks", "https://elsewhere.example/", "https://u:p@idp.example/", "file:///etc"]
        for (const to of bad) {
          const error = yield* Effect.flip(registry.put(ids("t", "p"), { issuer, url: to }, { ifAbsent: true }))
          assert.strictEqual(error.code, "EGRESS_REFUSED")
        }
        const plain = yield* Effect.flip(
          registry.put(ids("t", "p"), { issuer: "http://idp.example" }, { ifAbsent: true })
        )
        assert.strictEqual(plain.code, "EGRESS_REFUSED")
        assert.deepStrictEqual(yield* registry.statuses(), [])
      }))

    it.effect("[S1-19] cannot weaken the rules of the service by a provider's own", () =>
      Effect.gen(function*() {
        const registry = yield* guarded
        const elsewhere = { issuer, url: "https://elsewhere.example/", allowedHosts: ["elsewhere.example"] }
        assert.strictEqual(
          (yield* Effect.flip(registry.put(ids("t", "p"), elsewhere, { ifAbsent: true }))).code,
          "EGRESS_REFUSED"
        )
        const narrower = { issuer, url, allowedHosts: ["keys.idp.example"] }
        assert.strictEqual(
          (yield* Effect.flip(registry.put(ids("t", "p"), narrower, { ifAbsent: true }))).code,
          "EGRESS_REFUSED"
        )
        yield* registry.put(ids("t", "p"), { issuer, url, prefetch: false }, { ifAbsent: true })
        assert.strictEqual(
          (yield* Effect.flip(registry.put(ids("t", "p"), elsewhere, { ifPresent: true }))).code,
          "EGRESS_REFUSED"
        )
      }))

    it.effect("[S1-28] rejects ids that are taken, and leaves their provider unchanged", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(byUrl({ [url]: keysOf("a"), [other]: keysOf("b") }))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const [candidate] = yield* registry.resolve(ids("t", "p"), header("a"))
        const error = yield* Effect.flip(
          registry.put(ids("t", "p"), { issuer: "https://other.example", url: other }, { ifAbsent: true })
        )
        assert.strictEqual(error.code, "JWKS_CONFLICT")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(provider.requests.length, 1)
        assert.isTrue(candidate?.trust.holds(yield* Clock.Clock))
      }))

    it.effect("[S1-28] of concurrent registrations under the same ids exactly one succeeds", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* steppingRegistryOf(keysOf("a"))
        const exits = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, n) => n),
          (n) => Effect.exit(registry.put(ids("t", "p"), { issuer: `i${n}`, url }, { ifAbsent: true })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        const codes = exits.filter(Exit.isFailure).map((exit) => errorOf(exit).code)
        assert.deepStrictEqual(new Set(codes), new Set(["JWKS_CONFLICT"]))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(provider.requests.length, 1)
      }))

    it.effect("[S1-28] does not wait for the end of another provider, whose snapshot a store is slow to take", () =>
      Effect.gen(function*() {
        const store = { save: () => Effect.sleep("1 hour"), load: () => Effect.succeedNone, remove: () => Effect.void }
        const { registry } = yield* registryOf(keysOf("a"), Layer.succeed(JwksSnapshots.JwksSnapshots, store))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const removal = yield* Effect.forkChild(registry.remove(ids("t", "p")), { startImmediately: true })
        yield* registry.put(ids("u", "p"), { issuer, url, prefetch: false }, { ifAbsent: true })
        assert.isUndefined(removal.pollUnsafe())
        const again = yield* Effect.forkChild(
          registry.put(ids("t", "p"), { issuer, url, prefetch: false }, { ifAbsent: true })
        )
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual((yield* registry.statuses()).map(({ tenantId }) => tenantId), ["u", "t"])
        yield* Fiber.join(again)
      }))
  })

  describe("update", () => {
    it.effect("[S1-28] keeps the keys of the same URL in use, and confirms them within ten seconds", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(revalidating(`{"keys":[${JSON.stringify(key)}]}`, "\"1\""))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const [before] = yield* registry.resolve(ids("t", "p"), header("a"))
        yield* registry.put(ids("t", "p"), { issuer, url, ttl: "2 hours" }, { ifPresent: true })
        const [kept] = yield* registry.resolve(ids("t", "p"), header("a"))
        assert.strictEqual(kept?.key, before?.key)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(provider.requests.map(({ headers }) => headers?.["if-none-match"]), [undefined, "\"1\""])
        const clock = yield* Clock.Clock
        assert.deepStrictEqual([before?.trust.holds(clock), kept?.trust.holds(clock)], [false, true])
      }))

    it.effect("[S1-28] does not extend the lifetime of the keys it keeps", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("30 minutes")
        provider.answer = down
        yield* registry.put(ids("t", "p"), { issuer, url, staleWindow: "0 millis" }, { ifPresent: true })
        yield* registry.resolve(ids("t", "p"), header("a"))
        yield* TestClock.adjust("29 minutes")
        yield* registry.resolve(ids("t", "p"), header("a"))
        yield* TestClock.adjust("1 minute")
        const { exit } = yield* runOut(registry.resolve(ids("t", "p"), header("a")), "1 minute")
        assert.strictEqual(errorOf(exit)._tag, "JwksUnavailable")
      }))

    it.effect("[S1-28] drops the keys of another URL at once, and fetches the new ones", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(byUrl({ [url]: keysOf("a"), [other]: keysOf("b") }))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const [before] = yield* registry.resolve(ids("t", "p"), header("a"))
        yield* registry.put(ids("t", "p"), { issuer, url: other }, { ifPresent: true })
        assert.isFalse(before?.trust.holds(yield* Clock.Clock))
        assert.strictEqual((yield* Effect.flip(registry.resolve(ids("t", "p"), header("a"))))._tag, "JwksKeyNotFound")
        assert.strictEqual((yield* registry.resolve(ids("t", "p"), header("b"))).length, 1)
      }))

    it.effect("[S1-28] changes nothing if it fails", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const [before] = yield* registry.resolve(ids("t", "p"), header("a"))
        const status = yield* registry.status(ids("t", "p"))
        const another = yield* Effect.flip(
          registry.put(ids("t", "p"), { issuer: "https://other.example", url }, { ifPresent: true })
        )
        assert.strictEqual(another.code, "JWKS_CONFLICT")
        const invalid = yield* Effect.flip(
          registry.put(ids("t", "p"), { issuer, url, maxAttempts: 11 }, { ifPresent: true })
        )
        assert.strictEqual(invalid.code, "INVALID_CONFIG")
        const query = yield* Effect.flip(
          registry.put(ids("t", "p"), { issuer, discovery: "oidc", minTtl: "1 second" }, { ifPresent: true })
        )
        assert.strictEqual(query.code, "INVALID_CONFIG")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(provider.requests.length, 1)
        assert.isTrue(before?.trust.holds(yield* Clock.Clock))
        assert.deepStrictEqual((yield* registry.status(ids("t", "p"))).generation, status.generation)
        assert.strictEqual((yield* registry.resolve(ids("t", "p"), header("a")))[0]?.trust, before?.trust)
      }))
  })

  describe("unregister", () => {
    it.effect("[S1-28] ends the trust at once, interrupts the running fetch, and unregisters the provider", () =>
      Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const [candidate] = yield* registry.resolve(ids("t", "p"), header("a"))
        provider.answer = hanging
        const waiting = yield* Effect.forkChild(Effect.exit(registry.refresh(ids("t", "p"))), {
          startImmediately: true
        })
        assert.strictEqual(provider.underWay(), 1)
        yield* registry.remove(ids("t", "p"))
        assert.isFalse(candidate?.trust.holds(yield* Clock.Clock))
        assert.strictEqual(errorOf(yield* Fiber.join(waiting)).code, "SHUTTING_DOWN")
        assert.deepStrictEqual([provider.underWay(), provider.interrupted()], [0, 1])
        assert.isTrue(registry.wasRemoved(ids("t", "p")))
        yield* TestClock.adjust("2 days")
        assert.strictEqual(provider.requests.length, 2)
      }))

    it.effect("[S1-28] every operation on a provider that is not registered, or was removed, fails with NotRegistered", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("t", "gone"), { issuer, url }, { ifAbsent: true })
        yield* registry.remove(ids("t", "gone"))
        yield* registry.put(ids("t", "p"), { issuer: "https://other.example", url }, { ifAbsent: true })
        for (const [tenant, id] of [["t", "gone"], ["t", "never"], ["other", "p"]] as const) {
          const tags = yield* Effect.all([
            tagOf(registry.resolve(ids(tenant, id), header("a"))),
            tagOf(registry.keySet(ids(tenant, id))),
            tagOf(registry.cached(ids(tenant, id))),
            tagOf(registry.refresh(ids(tenant, id))),
            tagOf(registry.invalidate(ids(tenant, id))),
            tagOf(registry.status(ids(tenant, id))),
            tagOf(registry.put(ids(tenant, id), { issuer, url }, { ifPresent: true })),
            tagOf(registry.remove(ids(tenant, id))),
            tagOf(registry.keySource(tenant).find(issuer, header("a")))
          ])
          assert.deepStrictEqual(new Set(tags), new Set(["JwksNotRegistered"]))
        }
      }))

    it.effect("[S1-28] allows the ids to be registered again, also for another issuer", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(byUrl({ [url]: keysOf("a"), [other]: keysOf("b") }))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* TestClock.adjust("1 second")
        const [old] = yield* registry.resolve(ids("t", "p"), header("a"))
        yield* registry.remove(ids("t", "p"))
        yield* registry.put(ids("t", "p"), { issuer: "https://other.example", url: other }, { ifAbsent: true })
        assert.isFalse(registry.wasRemoved(ids("t", "p")))
        assert.strictEqual((yield* registry.resolve(ids("t", "p"), header("b")))[0]?.kid, "b")
        assert.isFalse(old?.trust.holds(yield* Clock.Clock))
      }))
  })

  describe("keySource", () => {
    it.effect("[K-26] is the seam to validation for one tenant of the registry", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("a"))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
        yield* registry.put(ids("u", "p"), { issuer: "https://other.example", url }, { ifAbsent: true })
        const source = yield* Effect.provide(KeySource.KeySource, JwksRegistry.layerKeySource("t")).pipe(
          Effect.provideService(JwksRegistry.JwksRegistry, registry)
        )
        assert.strictEqual((yield* source.find(issuer, header("a")))[0]?.kid, "a")
        const foreign = yield* Effect.flip(source.find("https://other.example", header("a")))
        assert.strictEqual(foreign._tag, "JwksNotRegistered")
        assert.strictEqual((yield* Effect.flip(source.find(`${issuer}/`, header("a"))))._tag, "JwksNotRegistered")
      }))
  })

  describe("status", () => {
    it.effect("[S1-31] returns the status of each provider, of one tenant or of all", () =>
      Effect.gen(function*() {
        const { registry } = yield* registryOf(byUrl({ [url]: keysOf("a"), [other]: down }))
        yield* registry.put(ids("t", "p"), { issuer, url, refreshJitter: "0 millis" }, { ifAbsent: true })
        yield* registry.put(ids("t", "q"), { issuer, url: other }, { ifAbsent: true })
        yield* registry.put(ids("u", "p"), { issuer, url, prefetch: false }, { ifAbsent: true })
        yield* TestClock.adjust("30 seconds")
        yield* registry.resolve(ids("t", "p"), header("a"))
        const all = yield* registry.statuses()
        assert.deepStrictEqual(
          all.map((
            { issuer: of, providerId, status, tenantId }
          ) => [tenantId, providerId, of, status.state, status.health]),
          [
            ["t", "p", issuer, "Ready", "ok"],
            ["t", "q", issuer, "Empty", "bad"],
            ["u", "p", issuer, "Empty", "ok"]
          ]
        )
        assert.deepStrictEqual((yield* registry.statuses("t")).map(({ providerId }) => providerId), ["p", "q"])
        assert.deepStrictEqual(yield* registry.statuses("none"), [])
        const status = yield* registry.status(ids("t", "p"))
        assert.deepStrictEqual(all[0]?.status, status)
        const at = (moment: DateTime.Utc | undefined) =>
          moment === undefined ? undefined : DateTime.toEpochMillis(moment)
        assert.deepStrictEqual(
          [at(status.lastRefresh), at(status.nextRefresh), at(status.expiresAt), status.errorCount],
          [0, 3_570_000, 3_600_000, 0]
        )
        assert.deepStrictEqual([status.hitRate, status.staleServeRatio, status.metrics.requests], [1, 0, 1])
        assert.isAtLeast(all[1]?.status.errorCount ?? 0, 2)
      }))
  })

  describe("close", () => {
    const closed = Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { provider, registry } = yield* Scope.provide(registryOf(keysOf("a")), scope)
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("1 second")
      return { provider, registry, close: Scope.close(scope, Exit.void) }
    })

    it.effect("[L8] ends the trust, the running fetches with their waiters, the schedule and the events", () =>
      Effect.gen(function*() {
        const { close, provider, registry } = yield* closed
        const [candidate] = yield* registry.resolve(ids("t", "p"), header("a"))
        provider.answer = hanging
        const events = yield* Effect.forkChild(Stream.runCollect(registry.events), { startImmediately: true })
        const waiting = yield* Effect.forkChild(Effect.exit(registry.refresh(ids("t", "p"))), {
          startImmediately: true
        })
        yield* close
        assert.strictEqual(errorOf(yield* Fiber.join(waiting)).code, "SHUTTING_DOWN")
        assert.deepStrictEqual([provider.underWay(), provider.interrupted()], [0, 1])
        assert.isFalse(candidate?.trust.holds(yield* Clock.Clock))
        yield* Fiber.join(events)
        yield* TestClock.adjust("2 days")
        assert.strictEqual(provider.requests.length, 2)
      }))

    it.effect("[L8] fetches nothing for later registrations, changes and lookups", () =>
      Effect.gen(function*() {
        const { close, provider, registry } = yield* closed
        yield* close
        yield* registry.put(ids("t", "late"), { issuer, url }, { ifAbsent: true })
        yield* registry.put(ids("t", "p"), { issuer, url: other }, { ifPresent: true })
        for (const id of ["p", "late"]) {
          const { exit } = yield* runOut(registry.resolve(ids("t", id), header("a")), "1 day")
          assert.strictEqual(errorOf(exit)._tag, "JwksUnavailable")
        }
        assert.strictEqual(provider.requests.length, 1)
      }))
  })

  it.effect("[S1-34] has spans for changes, misses and fetches, keyed by tenant and provider, without key material", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("key-a"))
        yield* registry.put(ids("t", "p"), { issuer, url, prefetch: false }, { ifAbsent: true })
        yield* registry.resolve(ids("t", "p"), header("key-a"))
        yield* registry.put(ids("t", "p"), { issuer, url }, { ifPresent: true })
        yield* registry.remove(ids("t", "p"))
      }).pipe(Effect.withTracer(tracer))
      const names = ["JwksRegistry.put", "JwksCache.find", "JwksCache.refresh", "JwksRegistry.put"]
      assert.includeMembers(spans.map(({ name }) => name), [...names, "JwksRegistry.remove"])
      for (const span of spans) {
        assert.strictEqual(span.attributes.get("tenant"), "t")
        assert.strictEqual(span.attributes.get("provider"), "p")
        const told = JSON.stringify([span.name, ...span.attributes, span.events])
        for (const secret of ["key-a", key.x, "idp.example"]) assert.notInclude(told, secret)
      }
    }))
})
