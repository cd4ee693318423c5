import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Redacted } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { ClientAuth, OAuthClient, TokenHttpClient } from "../src/index.ts"
import { makeMemoryRefreshRecord } from "../src/internal/fleet/memoryRefreshRecord.ts"
import type { RefreshRecord } from "../src/internal/fleet/refreshRecord.ts"
import { makeSharedRefreshToken } from "../src/internal/fleet/sharedRefreshToken.ts"

const settings = { name: "alice", initial: Redacted.make("first"), seed: "seed", isAloneAllowed: false }
const times = { lease: Duration.minutes(1), maxWait: Duration.seconds(30) }

const sourceOver = (record: RefreshRecord) =>
  OAuthClient.refreshToken({
    issuer: "https://idp.example",
    tokenEndpoint: "https://idp.example/token",
    clientId: "app",
    auth: ClientAuth.secretPost(Redacted.make("secret")),
    store: makeSharedRefreshToken(record, settings, times)
  })

/** An authorization server that returns `access-1` with the refresh token `refresh-1`, and so on. */
const makeServer = () => {
  const sent: Array<string> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const number = sent.push(new URLSearchParams(body).get("refresh_token") ?? "")
      const answer = { access_token: `access-${number}`, refresh_token: `refresh-${number}`, token_type: "Bearer" }
      return HttpClientResponse.fromWeb(request, Response.json(answer))
    })
  )
  return { sent, client }
}

describe("a shared refresh token whose request is interrupted", () => {
  it.effect("[R14] [R28] before it is sent is free for the other processes, and its lease is renewed no more", () => {
    const server = makeServer()
    return Effect.gen(function*() {
      const record = makeMemoryRefreshRecord(60_000)
      let renewals = 0
      // The store takes a second to mark the refresh token as sent.
      const slow: RefreshRecord = {
        ...record,
        mark: (holder) => Effect.delay(record.mark(holder), "1 second"),
        renew: (holder) => Effect.andThen(Effect.sync(() => renewals++), record.renew(holder))
      }
      const waiting = yield* Effect.forkChild(sourceOver(slow).acquire, { startImmediately: true })
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(waiting), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interrupted)
      const other = yield* Effect.forkChild(sourceOver(record).acquire, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(Redacted.value((yield* Fiber.join(other)).accessToken), "access-1")
      assert.deepStrictEqual(server.sent, ["first"])
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(renewals, 0)
    }).pipe(Effect.provideService(TokenHttpClient.TokenHttpClient, server.client))
  })

  it.effect("[R14] while it waits for another process ends at once", () => {
    const server = makeServer()
    return Effect.gen(function*() {
      const record = makeMemoryRefreshRecord(60_000)
      yield* record.begin("other", "seed")
      const waiting = yield* Effect.forkChild(sourceOver(record).acquire, { startImmediately: true })
      const exit = yield* Effect.andThen(Fiber.interrupt(waiting), Fiber.await(waiting))
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(server.sent, [])
    }).pipe(Effect.provideService(TokenHttpClient.TokenHttpClient, server.client))
  })
})
