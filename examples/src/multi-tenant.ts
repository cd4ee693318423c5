/**
 * One API for customers with different identity providers: 50 issuers on 127.0.0.1, one key registry, one validator.
 * `node examples/src/multi-tenant.ts` adds and removes customers, and exits after about a second.
 *
 * `allowLocalhost` is for these issuers only: in production keys are fetched with https, never from a private address.
 */
import { NodeRuntime } from "@effect/platform-node"
import { JwksRegistry } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Console, Effect, Layer, References } from "effect"
import { audience, type Issuers, makeIssuers, signed } from "./issuers/issuers.ts"
import { counted } from "./text.ts"

class Tokens extends TokenValidator.Service<Tokens>()("example/Tokens", { claims: Claims.AccessToken }) {}

/** All customers that the policy trusts. Tokens are accepted only while the customer is registered. */
const customers = Array.from({ length: 50 }, (_, index) => `customer-${index + 1}`)

/** One provider with many tenants, like Entra ID: the tenants share a key set, and only the listed ones are trusted. */
const template = (url: string) => ({ template: `${url}/entra/{tenantid}/v2.0`, tenants: ["acme", "globex"] })

const live = ({ named, url }: Issuers) => {
  const policy = ValidationPolicy.accessToken({
    issuers: [...customers.map((name) => named(name).url), template(url)],
    audiences: [audience],
    algorithms: ["ES256"]
  })
  // Registers all customers' issuers under one tenant of the registry, so that one validator accepts them all.
  return Tokens.layer(policy).pipe(
    Layer.provide(JwksRegistry.layerKeySource("customers")),
    Layer.provideMerge(JwksRegistry.layer),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )
}

const demo = Effect.fnUntraced(function*(issuers: Issuers) {
  const { named, url } = issuers
  const registry = yield* JwksRegistry.JwksRegistry
  const { validate } = yield* Tokens

  const outcomes = (tokens: ReadonlyArray<string>) =>
    Effect.forEach(
      tokens,
      (token) =>
        Effect.match(validate(token), {
          onSuccess: () => "accepted",
          onFailure: ({ code, status }) => `${code}, status ${status}`
        }),
      { concurrency: "unbounded" }
    )
  const report = Effect.fnUntraced(function*(title: string, tokens: ReadonlyArray<string>) {
    const text = counted(yield* outcomes(tokens))
    const { length } = yield* registry.statuses("customers")
    yield* Console.log(`${title}\n  ${text}\n  ${length} issuers; key sets fetched: ${issuers.takeRequests()}\n`)
  })
  const register = (name: string) =>
    registry.put({ tenantId: "customers", providerId: name }, {
      issuer: named(name).url,
      url: `${named(name).url}/jwks`
    })
  const [last = "", ...others] = customers.toReversed()

  yield* Effect.forEach(others, register, { discard: true })
  const tokens = yield* Effect.forEach(others, (name) => signed(named(name)))
  yield* report("One token from each of 49 issuers, all at once", tokens)
  yield* report("The same tokens again", tokens)

  const latest = yield* signed(named(last))
  yield* report("A token from the 50th issuer, trusted but not registered yet", [latest])
  yield* register(last)
  yield* report("The same token after registration", [latest])

  const forged = yield* Effect.forEach(
    customers,
    (name, index) => signed(named(customers[(index + 1) % 50] ?? ""), { iss: named(name).url })
  )
  yield* report("Each issuer signs a token in another issuer's name; both use the key id 1", forged)

  const [, second = ""] = customers
  yield* registry.remove({ tenantId: "customers", providerId: second })
  yield* report("One issuer is removed: its token is rejected although it is cached; the others are accepted", [
    ...tokens,
    latest
  ])
  yield* register(second)
  yield* report("The issuer is registered again", [...tokens, latest])

  yield* registry.put({ tenantId: "customers", providerId: "entra" }, {
    issuer: template(url).template,
    url: `${url}/entra/jwks`
  })
  const tenants = ["acme", "globex", "initech"].map((tenant) => `${url}/entra/${tenant}/v2.0`)
  yield* report(
    "Three tenants of one provider with one key set; the last one is not trusted",
    yield* Effect.forEach(tenants, (iss) => signed(named("entra"), { iss }))
  )
})

const main = Effect.gen(function*() {
  const issuers = yield* makeIssuers([...customers, "entra"])
  yield* Effect.provide(demo(issuers), live(issuers))
})

// Hides the warning that a trusted issuer has no keys yet.
NodeRuntime.runMain(Effect.provideService(Effect.scoped(main), References.MinimumLogLevel, "Error"))
