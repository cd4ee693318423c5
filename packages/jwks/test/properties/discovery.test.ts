import { assert, describe, it } from "@effect/vitest"
import { forAll, forAllEffect } from "@keelson/testing/properties"
import { type Answer, documentOf, down, makeProvider, revalidating, statusOf } from "@keelson/testing/scriptedProvider"
import { Context, Duration, Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as Discovery from "../../src/Discovery.ts"
import { Egress } from "../../src/Egress.ts"
import * as FetchEgress from "../../src/FetchEgress.ts"

const issuer = "https://idp.example/tenant"
const lifetime = 60

/** How the provider responds from now on: with good metadata of the n-th URI, or otherwise. */
type Step =
  | { readonly _tag: "Publish"; readonly uri: string }
  | { readonly _tag: "Spoil"; readonly answer: Answer }
  | { readonly _tag: "Pass"; readonly seconds: number }
  | { readonly _tag: "Expire" }
  | { readonly _tag: "Ask" }

const document = (members: object) => JSON.stringify({ issuer, jwks_uri: "https://idp.example/odd", ...members })

const spoiled: ReadonlyArray<Answer> = [
  down,
  statusOf(404),
  statusOf(503),
  documentOf("<html>"),
  documentOf("[]"),
  documentOf(document({ issuer: `${issuer}/` })),
  documentOf(document({ issuer: "https://evil.example" })),
  documentOf(document({ jwks_uri: "http://idp.example/odd" })),
  documentOf(document({ jwks_uri: 1 }))
]

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.nat({ max: 3 }).map((n) => ({ _tag: "Publish", uri: `https://idp.example/${n}` }) as const)
  },
  { weight: 2, arbitrary: fc.constantFrom(...spoiled).map((answer) => ({ _tag: "Spoil", answer }) as const) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 29, 30, 59, 60, 61, 600).map((seconds) => ({ _tag: "Pass", seconds }) as const)
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "Expire" } as const) },
  { weight: 5, arbitrary: fc.constant({ _tag: "Ask" } as const) }
)

const published = (uri: string): Answer =>
  revalidating(document({ jwks_uri: uri }), `"${uri.length}${uri.at(-1)}"`, { "cache-control": `max-age=${lifetime}` })

const discoveryOf = Effect.gen(function*() {
  const { egress, provider } = makeProvider(down)
  const { get } = Context.get(yield* Layer.build(egress), Egress)
  const { check } = Context.get(yield* Layer.build(FetchEgress.layer({ unverifiedAddresses: true })), Egress)
  const discovery = Discovery.make({
    issuer,
    kind: "oidc",
    rules: {},
    ttl: Duration.hours(1),
    minTtl: Duration.seconds(30),
    maxTtl: Duration.hours(24),
    egress: { check, get }
  })
  return { discovery, provider }
})

describe("Discovery", () => {
  it("the well-known URL of any issuer is on the issuer's host, and a trailing slash does not change it", (t) =>
    forAll(t, 1_000, fc.oneof(fc.webUrl({ withQueryParameters: false }), fc.webUrl(), fc.string()), (text) => {
      for (
        const [kind, name] of [["oidc", "openid-configuration"], ["oauth2", "oauth-authorization-server"]] as const
      ) {
        const found = Discovery.wellKnownUrl(text, kind)
        if (!URL.canParse(text) || text.includes("?") || text.includes("#")) {
          assert.strictEqual(Result.getOrThrow(Result.flip(found)).code, "DISCOVERY_INVALID")
          continue
        }
        const [url, from] = [new URL(Result.getOrThrow(found)), new URL(text)]
        assert.strictEqual(url.origin, from.origin)
        if (from.protocol !== "https:") continue
        const path = from.pathname.endsWith("/") ? from.pathname.slice(0, -1) : from.pathname
        const known = `/.well-known/${name}`
        assert.strictEqual(url.pathname, kind === "oidc" ? `${path}${known}` : `${known}${path}`)
        if (!text.endsWith("/")) assert.deepStrictEqual(Discovery.wellKnownUrl(`${text}/`, kind), found)
      }
    }))

  it("[S4-38] after any responses the metadata are the last accepted ones of this issuer", (t) =>
    forAllEffect(t, 300, fc.array(step, { minLength: 5, maxLength: 40 }), (steps) =>
      Effect.gen(function*() {
        const { discovery, provider } = yield* discoveryOf
        let good: string | undefined
        let last: Discovery.Metadata | undefined
        for (const one of steps) {
          if (one._tag === "Pass") yield* TestClock.adjust(Duration.seconds(one.seconds))
          if (one._tag === "Expire") discovery.expire()
          if (one._tag === "Publish") provider.answer = published(good = one.uri)
          if (one._tag === "Spoil") {
            provider.answer = one.answer
            good = undefined
          }
          if (one._tag !== "Ask") continue
          const before = provider.requests.length
          const result = yield* Effect.result(discovery.metadata)
          const isAsked = provider.requests.length > before
          assert.isAtMost(provider.requests.length, before + 1)
          if (isAsked && good !== undefined) {
            assert.strictEqual(Result.getOrThrow(result).endpoint, good)
          } else if (last === undefined) {
            assert.isTrue(isAsked && Result.isFailure(result))
          } else {
            assert.strictEqual(Result.getOrThrow(result), last)
          }
          last = Result.getOrUndefined(result) ?? last
          assert.strictEqual(last?.issuer ?? issuer, issuer)
        }
      })))
})
