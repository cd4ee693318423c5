import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { guardOver, scripted } from "../guardSupport.ts"
import { hashOf, nonceChallenge, readProof } from "../proofs.ts"

const origins = ["https://a.example", "https://b.example"] as const

const server = fc.constantFrom(...origins)
const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ _tag: fc.constant("Call" as const), server, calls: fc.integer({ min: 1, max: 5 }) })
  },
  // The server demands another nonce from now on, or none.
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Demand" as const), server, isNeeded: fc.boolean() }) },
  // The server announces the next nonce with its responses, and demands it afterwards.
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Announce" as const), server }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Revoke" as const), server }) }
)

/** What a server demands, and what it announces. */
interface Server {
  demanded: string | undefined
  announced: string | undefined
}

/** Two servers that accept each proof once, and with their current nonce only. */
const makeServers = () => {
  const servers = new Map<string, Server>(
    origins.map((origin) => [origin, { demanded: undefined, announced: undefined }])
  )
  const used = new Set<string>()
  const revoked = new Set<string>()
  const replays: Array<string> = []
  const api = scripted((request) =>
    Effect.promise(async () => {
      const { origin } = new URL(request.url)
      const { announced, demanded } = servers.get(origin) ?? { announced: undefined, demanded: undefined }
      const token = request.headers["authorization"]?.replace("DPoP ", "") ?? ""
      const proof = await readProof(request.headers["dpop"] ?? "")
      if (used.has(proof.jti)) replays.push(proof.jti)
      used.add(proof.jti)
      assert.deepStrictEqual([proof.ath, proof.htu], [hashOf(token), `${origin}/`])
      const headers = announced === undefined ? {} : { "dpop-nonce": announced }
      if (demanded !== undefined && proof.nonce !== demanded && proof.nonce !== announced) {
        return new Response(null, { status: 401, headers: nonceChallenge(demanded) })
      }
      return new Response(null, { status: revoked.has(token) ? 401 : 200, headers })
    })
  )
  return { servers, revoked, replays, api }
}

describe("Nonces of a guard", () => {
  it("[K-23] [R13] whatever servers demand, announce and revoke, calls succeed with few requests and no proof is used twice", (test) =>
    forAllEffect(test, 150, fc.array(command, { maxLength: 20 }), (commands) =>
      Effect.gen(function*() {
        const { api, replays, revoked, servers } = makeServers()
        let tokens = 0
        let nonces = 0
        let expectedTokens = 0
        const source = Effect.sync(() => ({ accessToken: Redacted.make(`t${++tokens}`), tokenType: "DPoP" as const }))
        const guard = yield* guardOver(api, { source, dpop: "required", origins: [...origins] })
        for (const command of commands) {
          const at = servers.get(command.server)
          if (at === undefined) continue
          if (command._tag === "Demand") {
            servers.set(command.server, {
              demanded: command.isNeeded ? `n${++nonces}` : undefined,
              announced: undefined
            })
          } else if (command._tag === "Announce") {
            // Until it is demanded, the server accepts both.
            const next = `n${++nonces}`
            servers.set(command.server, { ...at, announced: next })
            const before = api.received.length
            assert.strictEqual((yield* guard.get(`${command.server}/`)).status, 200)
            servers.set(command.server, { demanded: next, announced: undefined })
            const heard = api.received.length
            assert.strictEqual((yield* guard.get(`${command.server}/`)).status, 200)
            // The nonce that was announced is sent at once.
            assert.strictEqual(api.received.length, heard + 1)
            assert.isAtMost(heard - before, 3)
          } else if (command._tag === "Revoke") {
            revoked.add(`t${tokens}`)
            // A guard replaces a rejected token once in 30 seconds.
            yield* TestClock.adjust("31 seconds")
          } else {
            const before = api.received.length
            const calls = Array.from({ length: command.calls }, () => guard.get(`${command.server}/`))
            const responses = yield* Effect.all(calls, { concurrency: "unbounded" })
            assert.deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([200]))
            // A challenge, a rejected token, and the request that succeeds.
            assert.isAtMost(api.received.length - before, 3 * command.calls)
          }
          if (command._tag === "Call" || command._tag === "Announce") {
            expectedTokens = new Set(api.received.map(({ authorization }) => authorization)).size
          }
        }
        assert.deepStrictEqual(replays, [])
        // No challenge cost a token.
        assert.strictEqual(tokens, expectedTokens)
        assert.isAtMost(tokens, revoked.size + 1)
      })))
})
