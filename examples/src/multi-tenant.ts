/**
 * One API for the customers of many identity providers: 50 issuers on 127.0.0.1, one registry of their keys, one validator.
 * `node examples/src/multi-tenant.ts` lets customers come and go, and ends by itself after about a second.
 *
 * `allowLocalhost` is for these issuers only: keys of production are fetched with https, and from no private address.
 */
import { NodeRuntime } from "@effect/platform-node"
import { JwksRegistry } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Console, Effect, Layer, References } from "effect"
import { audience, type Issuers, makeIssuers, signed } from "./issuers/issuers.ts"
import { counted } from "./text.ts"

class Tokens extends TokenValidator.Service<Tokens>()("example/Tokens", { claims: Claims.AccessToken }) {}

/** Everybody with a contract. Who of them is let in now is what the registry says. */
const customers = Array.from({ length: 50 }, (_, index) => `customer-${index + 1}`)

/** Issuers of one provider with many tenants, as Entra ID has them: the key set is one, and these tenants are ours. */
const template = (url: string) => ({ template: `${url}/entra/{tenantid}/v2.0`, tenants: ["acme", "globex"] })

const live = ({ named, url }: Issuers) => {
  const policy = ValidationPolicy.accessToken({
    issuers: [...customers.map((name) => named(name).url), template(url)],
    audiences: [audience],
    algorithms: ["ES256"]
  })
  // The registry is one of the service's own tenants here: all of its customers' issuers are known to one validator.
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
          onSuccess: () => "let in",
          onFailure: ({ code, status }) => `${code}, a ${status}`
        }),
      { concurrency: "unbounded" }
    )
  const report = Effect.fnUntraced(function*(title: string, tokens: ReadonlyArray<string>) {
    const text = counted(yield* outcomes(tokens))
    const { length } = yield* registry.statuses("customers")
    yield* Console.log(`${title}\n  ${text}\n  ${length} issuers; key sets fetched: ${issuers.takeRequests()}\n`)
  })
  const join = (name: string) =>
    registry.put({ tenantId: "customers", providerId: name }, {
      issuer: named(name).url,
      url: `${named(name).url}/jwks`
    })
  const [last = "", ...others] = customers.toReversed()

  yield* Effect.forEach(others, join, { discard: true })
  const tokens = yield* Effect.forEach(others, (name) => signed(named(name)))
  yield* report("A token of each of 49 issuers, which come in at once", tokens)
  yield* report("The same again", tokens)

  const latest = yield* signed(named(last))
  yield* report("The 50th has a contract, and is not on board yet", [latest])
  yield* join(last)
  yield* report("Now it is", [latest])

  const forged = yield* Effect.forEach(
    customers,
    (name, index) => signed(named(customers[(index + 1) % 50] ?? ""), { iss: named(name).url })
  )
  yield* report("Each issuer signs a token that says it is of another, by a key that both call 1", forged)

  const [, second = ""] = customers
  yield* registry.remove({ tenantId: "customers", providerId: second })
  yield* report("One leaves: its token, let in a moment ago, and those of the others", [...tokens, latest])
  yield* join(second)
  yield* report("It comes back", [...tokens, latest])

  yield* registry.put({ tenantId: "customers", providerId: "entra" }, {
    issuer: template(url).template,
    url: `${url}/entra/jwks`
  })
  const tenants = ["acme", "globex", "initech"].map((tenant) => `${url}/entra/${tenant}/v2.0`)
  yield* report(
    "Three tenants of one provider with one key set; the last is none of ours",
    yield* Effect.forEach(tenants, (iss) => signed(named("entra"), { iss }))
  )
})

const main = Effect.gen(function*() {
  const issuers = yield* makeIssuers([...customers, "entra"])
  yield* Effect.provide(demo(issuers), live(issuers))
})

// The warning that a trusted issuer has no keys yet would tear the report apart.
NodeRuntime.runMain(Effect.provideService(Effect.scoped(main), References.MinimumLogLevel, "Error"))
