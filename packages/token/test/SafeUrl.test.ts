import { assert, describe, it } from "@effect/vitest"
import { FetchEgress } from "@keelson/jwks"
import { Egress } from "@keelson/jwks/Egress"
import { quiet } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { ClientAuth, OAuthClient, TokenHttpClient, TokenProvider } from "../src/index.ts"
import { guardOver, makeSource, scripted } from "./guardSupport.ts"

const allowLocalhost = true

/** The URL of the one request that an effect sends through a client, or "refused" if it sends none. */
const sentBy = Effect.fnUntraced(function*<E>(
  run: (client: ReturnType<typeof scripted>) => Effect.Effect<unknown, E>
) {
  const client = scripted(() =>
    Effect.sync(() => Response.json({ access_token: "a", token_type: "bearer", expires_in: 600 }))
  )
  yield* Effect.exit(run(client))
  return client.received.length === 1 ? client.received[0]?.url : "refused"
})

const keys = (url: string) =>
  Effect.gen(function*() {
    return (yield* (yield* Egress).check(url)).href
  }).pipe(
    Effect.provide(FetchEgress.layer({ allowLocalhost, unverifiedAddresses: true })),
    Effect.orElseSucceed(() => "refused")
  )

const guard = (url: string) =>
  sentBy((client) =>
    Effect.suspend(() => {
      const origins = [url.replace(/#.*$/, "")]
      return Effect.flatMap(
        guardOver(client, { source: makeSource().source, origins, allowLocalhost }),
        (guard) => guard.get(url)
      )
    }).pipe(Effect.scoped)
  )

const tokenEndpoint = (url: string) =>
  sentBy(({ client }) =>
    Effect.suspend(() => {
      const auth = ClientAuth.secretBasic(Redacted.make("secret"))
      const source = OAuthClient.clientCredentials({ tokenEndpoint: url, clientId: "client", auth, allowLocalhost })
      return Effect.flatMap(TokenProvider.make({ name: "idp", source }), ({ get }) => get)
    }).pipe(Effect.scoped, Effect.provideService(TokenHttpClient.TokenHttpClient, client))
  )

/** The URL that a token request goes to whose endpoint is taken from metadata. */
const discoveredEndpoint = Effect.fnUntraced(function*(url: string) {
  const issuer = "https://idp.example"
  const client = scripted((request) =>
    Effect.sync(() =>
      request.url.includes("/.well-known/")
        ? Response.json({ issuer, token_endpoint: url })
        : Response.json({ access_token: "a", token_type: "bearer", expires_in: 600 })
    )
  )
  const auth = ClientAuth.secretBasic(Redacted.make("secret"))
  const source = OAuthClient.clientCredentials({ issuer, clientId: "client", auth, allowLocalhost })
  yield* TokenProvider.make({ name: "idp", source }).pipe(
    Effect.flatMap(({ get }) => get),
    Effect.scoped,
    Effect.provideService(TokenHttpClient.TokenHttpClient, client.client),
    Effect.exit
  )
  return client.received[1]?.url ?? "refused"
})

const all = (url: string) =>
  Effect.all({
    keys: keys(url),
    guard: guard(url),
    tokenEndpoint: tokenEndpoint(url),
    discoveredEndpoint: discoveredEndpoint(url)
  }).pipe(quiet)

const same = (url: string) => ({ keys: url, guard: url, tokenEndpoint: url, discoveredEndpoint: url })

describe("Keys, guards and token requests apply one rule to a URL", () => {
  it.effect("[S1-19] [R12] a dot at the end of the host: all allow it and request the host without it, also localhost", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* all("http://localhost./t"), same("http://localhost/t"))
      assert.deepStrictEqual(yield* all("http://127.0.0.1./t"), same("http://127.0.0.1/t"))
      assert.deepStrictEqual(yield* all("https://idp.example./t"), same("https://idp.example/t"))
    }))

  it.effect("[S1-19] [R12] an empty label in the host: all refuse it", () =>
    Effect.gen(function*() {
      for (const url of ["https://a..b/t", "https://.idp.example/t", "https://idp.example../t", "https://./t"]) {
        assert.deepStrictEqual(yield* all(url), same("refused"), url)
      }
    }))

  it.effect("[S1-19] [R12] a fragment, also an empty one: never sent, and refused in the URL of an endpoint", () =>
    Effect.gen(function*() {
      for (const url of ["https://idp.example/t#", "https://idp.example/t#a"]) {
        const sent = "https://idp.example/t"
        const endpoints = { tokenEndpoint: "refused", discoveredEndpoint: "refused" }
        assert.deepStrictEqual(yield* all(url), { keys: sent, guard: sent, ...endpoints }, url)
      }
    }))
})
