import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { BearerAuthentication } from "../src/BearerAuthentication.ts"
import { Unavailable } from "../src/HttpSecurityError.ts"
import { Gate } from "../src/internal/adapters/gate.ts"

describe("Gate", () => {
  it("[K-46] closes after the running authentications, and refuses later ones", async () => {
    let finish = (): void => {}
    const decided = new Promise<void>((resolve) => finish = resolve)
    const authentication: BearerAuthentication<unknown> = {
      authenticate: () => Effect.andThen(Effect.promise(() => decided), Effect.fail(new Unavailable())),
      cacheHeaders: () => ({})
    }
    const gate = new Gate(authentication, Effect.runPromise)
    const request = { method: "GET", url: "/", rawHeaders: [] }
    const running = gate.admit([request], request, { scopes: [], conditions: [] })
    let isClosed = false
    const closing = gate.close().then(() => isClosed = true)
    await new Promise((resolve) => setImmediate(resolve))
    assert.isFalse(isClosed)
    const later = await gate.admit([{}], request, { scopes: [], conditions: [] })
    assert.strictEqual(later.refusal?.status, 503)
    assert.isFalse(isClosed)
    finish()
    await running
    await closing
    assert.isTrue(isClosed)
  })
})
