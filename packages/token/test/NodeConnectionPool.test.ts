import { assert, describe, it } from "@effect/vitest"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { Effect } from "effect"
import * as Undici from "undici"
import { connectionPools } from "../src/internal/mtls/NodeConnectionPool.ts"

describe("Pools of connections", () => {
  it.live("[K-23] a retired pool accepts the requests that are on their way to it, and closes after the last", () =>
    Effect.gen(function*() {
      const server = yield* httpOrigin()
      const open = yield* connectionPools(Undici)
      const pool = open(undefined)
      const send = Effect.promise(async () => {
        const response = await Undici.fetch(server.url, { dispatcher: pool.dispatcher }).catch(() => undefined)
        await response?.text()
        return response?.status
      })
      pool.enter()
      pool.enter()
      pool.retire()
      assert.strictEqual(yield* send, 200)
      pool.leave()
      assert.strictEqual(yield* send, 200)
      pool.leave()
      assert.strictEqual(yield* send, undefined)
    }).pipe(Effect.scoped))
})
