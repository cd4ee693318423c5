import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { type Answer, header, ids, jwks, registryOf, steppingRegistryOf } from "@keelson/testing/scriptedProvider"
import { Clock, Effect, Exit, Fiber, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import type { JwksRegistry, KeySource } from "../../src/index.ts"

const tenants = ["t", "u", "t-u"] as const
const providers = ["p", "q"] as const
const issuers = ["https://one.example", "https://two.example"] as const
const urls = ["https://one.example/jwks", "https://two.example/jwks"] as const
/** Every endpoint publishes some of these: the same ids mean another key at another URL. */
const kids = ["a", "b", "c"] as const

const where = { tenant: fc.constantFrom(...tenants), provider: fc.constantFrom(...providers) }
const what = { issuer: fc.constantFrom(...issuers), url: fc.constantFrom(...urls), prefetch: fc.boolean() }

const operations = fc.array(
  fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant("register" as const), ...where, ...what }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant("update" as const), ...where, ...what }), weight: 2 },
    { arbitrary: fc.record({ kind: fc.constant("unregister" as const), ...where }), weight: 2 },
    fc.record({
      kind: fc.constant("rotate" as const),
      url: fc.constantFrom(...urls),
      kids: fc.subarray([...kids], { minLength: 1 })
    }),
    fc.record({ kind: fc.constant("break" as const), url: fc.constantFrom(...urls) }),
    fc.record({ kind: fc.constant("pass" as const), seconds: fc.constantFrom(1, 40, 1800, 4000) }),
    {
      arbitrary: fc.record({
        kind: fc.constant("find" as const),
        tenant: fc.constantFrom(...tenants),
        issuer: fc.constantFrom(...issuers),
        kid: fc.option(fc.constantFrom(...kids), { nil: undefined })
      }),
      weight: 5
    }
  ),
  { minLength: 1, maxLength: 40 }
)
type Operation = typeof operations extends fc.Arbitrary<ReadonlyArray<infer A>> ? A : never

/** What should be registered, and what was once handed out under it. */
interface Registered {
  readonly issuer: string
  readonly url: string
  readonly prefetch: boolean
  readonly handed: Set<KeySource.KeyTrust>
}

const idOf = ({ provider, tenant }: { readonly tenant: string; readonly provider: string }) => `${tenant} ${provider}`

const codeOf = <A, E extends { readonly code: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(Effect.flip(effect)), (exit) => Exit.isSuccess(exit) ? exit.value.code : "ok")

/** Drives a registry and a model of it. */
const makeRun = Effect.gen(function*() {
  const published = new Map<string, ReadonlyArray<string>>(urls.map((url) => [url, ["a"]]))
  const ever = new Map<string, Set<string>>(urls.map((url) => [url, new Set(["a"])]))
  const answer: Answer = ({ url }) => Effect.succeed({ body: jwks(...(published.get(String(url)) ?? [])) })
  const { registry } = yield* registryOf(answer)
  const model = new Map<string, Registered>()
  const ended = new Set<KeySource.KeyTrust>()
  const end = (id: string) => {
    for (const trust of model.get(id)?.handed ?? []) ended.add(trust)
    model.delete(id)
  }

  const register = Effect.fnUntraced(function*(o: Operation & { readonly kind: "register" | "update" }) {
    const id = idOf(o)
    const current = model.get(id)
    const options = { issuer: o.issuer, url: o.url, prefetch: o.prefetch }
    const conditions = o.kind === "register" ? { ifAbsent: true } : { ifPresent: true }
    const code = yield* codeOf(registry.put(ids(o.tenant, o.provider), options, conditions))
    const conflict = o.kind === "register" ? current !== undefined : current?.issuer !== o.issuer
    if (o.kind === "update" && current === undefined) assert.strictEqual(code, "JWKS_NOT_REGISTERED")
    else assert.strictEqual(code, conflict ? "JWKS_CONFLICT" : "ok")
    // Equal options change nothing: what was handed out is still trusted.
    if (code !== "ok" || (current?.url === o.url && current.prefetch === o.prefetch)) return
    end(id)
    model.set(id, { issuer: o.issuer, url: o.url, prefetch: o.prefetch, handed: new Set() })
  })

  /** Every candidate is of a provider of that tenant and issuer that is registered now, and of its URL. */
  const find = Effect.fnUntraced(function*({ issuer, kid, tenant }: Operation & { readonly kind: "find" }) {
    const mine = [...model].filter(([id, of]) => id.startsWith(`${tenant} `) && of.issuer === issuer)
    const exit = yield* Effect.exit(registry.keySource(tenant).find(issuer, header(kid)))
    if (Exit.isFailure(exit)) return
    assert.isAbove(mine.length, 0)
    for (const candidate of exit.value) {
      assert.isTrue(mine.some(([, { url }]) => ever.get(url)?.has(candidate.kid ?? "")))
      if (kid !== undefined) assert.strictEqual(candidate.kid, kid)
      yield* claim(registry, tenant, mine, candidate)
    }
  })

  const run = (o: Operation): Effect.Effect<unknown> => {
    switch (o.kind) {
      case "register":
      case "update":
        return register(o)
      case "unregister":
        return Effect.map(codeOf(registry.remove(ids(o.tenant, o.provider))), (code) => {
          assert.strictEqual(code, model.has(idOf(o)) ? "ok" : "JWKS_NOT_REGISTERED")
          if (code === "ok") assert.isTrue(registry.wasRemoved(ids(o.tenant, o.provider)))
          end(idOf(o))
        })
      case "rotate":
        published.set(o.url, o.kids)
        for (const kid of o.kids) ever.get(o.url)?.add(kid)
        return Effect.void
      case "break":
        published.set(o.url, [])
        return Effect.void
      case "pass":
        return TestClock.adjust(`${o.seconds} seconds`)
      case "find":
        return find(o)
    }
  }
  const check = Effect.gen(function*() {
    const clock = yield* Clock.Clock
    for (const trust of ended) assert.isFalse(trust.holds(clock))
    const statuses = yield* registry.statuses()
    const listed = statuses.map(({ issuer, providerId, tenantId }) => `${tenantId} ${providerId} ${issuer}`)
    assert.sameMembers(listed, [...model].map(([id, { issuer }]) => `${id} ${issuer}`))
  })
  return { run, check }
})

/** The candidate is one of those that a provider of the model resolves by itself; its trust is noted there. */
const claim = Effect.fnUntraced(function*(
  registry: JwksRegistry.JwksRegistry["Service"],
  tenant: string,
  mine: ReadonlyArray<readonly [string, Registered]>,
  { kid, trust }: KeySource.Candidate
) {
  let owners = 0
  for (const [id, { handed }] of mine) {
    const own = yield* Effect.exit(registry.resolve(ids(tenant, id.slice(tenant.length + 1)), header(kid)))
    if (Exit.isFailure(own) || !own.value.some((candidate) => candidate.trust === trust)) continue
    owners++
    handed.add(trust)
  }
  assert.strictEqual(owners, 1)
})

describe("registry", () => {
  it(
    "[S1-28] gives keys of providers of that tenant and issuer that are registered now, and of no other",
    (context) =>
      forAllEffect(context, 200, operations, (all) =>
        Effect.gen(function*() {
          const { check, run } = yield* makeRun
          for (const operation of all) {
            const fiber = yield* Effect.forkChild(run(operation), { startImmediately: true })
            // Retries of a fetch take their time.
            while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
            const exit = fiber.pollUnsafe()
            if (exit !== undefined) yield* exit
            yield* check
          }
        }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
  )

  it("[S1-28] is registered whole or not at all where registering is interrupted at any point", (context) =>
    forAllEffect(
      context,
      200,
      fc.record({ before: fc.nat(12), at: fc.nat(100) }),
      ({ at, before }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const { provider, registry } = yield* Scope.provide(
            steppingRegistryOf(() => Effect.succeed({ body: jwks("a") })),
            scope
          )
          const others = Array.from(
            { length: before },
            (_, n) => registry.put(ids("t", `p${n}`), { issuer: "i", url: urls[0] }, { ifAbsent: true })
          )
          const busy = yield* Effect.forkChild(Effect.all(others, { concurrency: "unbounded" }))
          const own = yield* Effect.forkChild(
            registry.put(ids("t", "own"), { issuer: "i", url: urls[1] }, { ifAbsent: true })
          )
          for (let step = 0; step < at; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(own)
          yield* Fiber.await(busy)
          yield* TestClock.adjust("1 second")
          const isThere = (yield* registry.statuses()).some(({ providerId }) => providerId === "own")
          const asked = provider.requests.filter((request) => request.url === urls[1]).length
          assert.strictEqual(asked, isThere ? 1 : 0)
          if (!isThere) yield* registry.put(ids("t", "own"), { issuer: "i", url: urls[1] }, { ifAbsent: true })
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(provider.underWay(), 0)
        })
    ))
})
