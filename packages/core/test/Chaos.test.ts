import { assert, describe, it } from "@effect/vitest"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { quiet, recording } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { runOut } from "@keelson/testing/virtualTime"
import { Duration, Effect, Exit, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientResponse } from "effect/http"
import fc from "fast-check"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Chaos from "../src/Chaos.ts"
import * as core from "../src/index.ts"
import { ErrorCode } from "../src/index.ts"

const root = join(import.meta.dirname, "../../..")

/** A client that always responds, and how often it was called. */
const service = () => {
  let calls = 0
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      calls++
      return HttpClientResponse.fromWeb(request, new Response("0123456789"))
    })
  )
  return { client, calls: () => calls }
}

const rates = fc.record({
  latency: fc.record({ rate: fc.constantFrom(0, 0.3, 1) }),
  status: fc.record({ rate: fc.constantFrom(0, 0.2), statuses: fc.constantFrom([503], [429, 500]) }),
  reset: fc.record({ rate: fc.constantFrom(0, 0.2) }),
  brokenBody: fc.record({ rate: fc.constantFrom(0, 0.2), after: fc.constantFrom(0, 4) }),
  hang: fc.record({ rate: fc.constantFrom(0, 0.2) })
})

/** What 30 requests in a row meet, as text. */
const trace = (options: Chaos.Options) =>
  Effect.gen(function*() {
    const chaos = yield* quiet(Chaos.make(options))
    const client = chaos.http(service().client)
    const lines: Array<string> = []
    for (let call = 0; call < 30; call++) {
      const { elapsed, exit } = yield* runOut(
        Effect.timeoutOption(
          Effect.flatMap(client.get("http://billing.test/"), (response) =>
            Effect.map(response.text, (text) => `${response.status} ${text}`)),
          "1 minute"
        ),
        "1 minute"
      )
      lines.push(`${Duration.toMillis(elapsed)} ${JSON.stringify(exit)}`)
    }
    return lines.join("\n")
  })

describe("Chaos", () => {
  it.effect("[K-35] which calls get a fault does not depend on whether others are slowed down", () =>
    Effect.gen(function*() {
      const statusesOf = Effect.fnUntraced(function*(latency: Chaos.Options["latency"]) {
        const chaos = yield* quiet(Chaos.make({ seed: "friday", status: { rate: 0.4 }, latency }))
        const client = chaos.http(service().client)
        return yield* Effect.forEach(
          Array.from({ length: 50 }),
          () => Effect.map(client.get("http://billing.test/"), ({ status }) => status)
        )
      })
      const statuses = yield* statusesOf(undefined)
      assert.includeMembers(statuses, [200, 503])
      assert.deepStrictEqual(yield* statusesOf({ rate: 1, minimum: "0 millis", maximum: "0 millis" }), statuses)
    }))

  it("[K-35] the same seed gives the same faults, another seed others (property)", (context) =>
    forAllEffect(context, 100, fc.tuple(rates, fc.nat()), ([options, seed]) =>
      Effect.gen(function*() {
        const first = yield* trace({ ...options, seed })
        assert.strictEqual(yield* trace({ ...options, seed }), first)
        const hasFaults = Object.values(options).some(({ rate }) => rate > 0 && rate < 1)
        if (hasFaults) assert.notStrictEqual(yield* trace({ ...options, seed: `${seed}'` }), first)
      })))

  it.effect("[K-35] each fault occurs as often as its rate says, and is counted", () =>
    Effect.gen(function*() {
      const chaos = yield* quiet(Chaos.make({
        seed: 1,
        latency: { rate: 0.25, minimum: "10 millis", maximum: "20 millis" },
        status: { rate: 0.1, statuses: [503, 429] },
        reset: { rate: 0.1 },
        brokenBody: { rate: 0.1 },
        hang: { rate: 0.1 }
      }))
      const { calls, client } = service()
      const faulty = chaos.http(client)
      const statuses = new Map<number, number>()
      for (let call = 0; call < 2000; call++) {
        const { exit } = yield* runOut(Effect.timeoutOption(faulty.get("http://billing.test/"), "1 second"), "1 second")
        if (Exit.isSuccess(exit) && exit.value._tag === "Some") {
          const { status } = exit.value.value
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
        }
      }
      const { error, latency, ...others } = yield* chaos.injected
      assert.strictEqual(error, 0)
      assert.closeTo(latency, 500, 80)
      for (const [name, count] of Object.entries(others)) assert.closeTo(count, 200, 50, name)
      // Neither a status, a reset nor a call that hangs reaches the service.
      assert.strictEqual(calls(), 2000 - others.status - others.reset - others.hang)
      assert.closeTo(statuses.get(503)!, 100, 40)
      assert.strictEqual(statuses.get(503)! + statuses.get(429)!, others.status)
    }))

  it.effect("[K-35] a reset has the code of a failed connection", () =>
    Effect.gen(function*() {
      const chaos = yield* quiet(Chaos.make({ seed: 1, reset: { rate: 1 } }))
      const error = yield* Effect.flip(chaos.http(service().client).get("http://billing.test/"))
      assert(HttpClientError.isHttpClientError(error))
      assert.strictEqual(ErrorCode.codeOf(error), "NETWORK_ERROR")
    }))

  it.live("[K-35] a broken body ends after its bytes, as one that a real server breaks off, and frees the connection", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin({ status: 201, headers: { "x-a": "b" }, body: "0123456789" }, {
        status: 200,
        endless: true
      })
      const chaos = yield* quiet(Chaos.make({ seed: 1, brokenBody: { rate: 1, after: 4 } }))
      const client = chaos.http(yield* HttpClient.HttpClient)
      const response = yield* client.get(origin.url)
      assert.deepStrictEqual([response.status, response.headers["x-a"]], [201, "b"])
      const error = yield* Effect.flip(response.text)
      assert.strictEqual(ErrorCode.codeOf(error), "NETWORK_ERROR")
      const second = yield* Effect.flip(Effect.flatMap(client.get(origin.url), (response) => response.text))
      assert.strictEqual(ErrorCode.codeOf(second), "NETWORK_ERROR")
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))

  it.effect("[K-35] an effect meets latency, hanging and errors of its own type, and never runs for an error", () =>
    Effect.gen(function*() {
      class Down extends Schema.TaggedError<Down>()("Down", {}) {}
      let ran = 0
      const effect = Effect.sync(() => ++ran)
      const failing = yield* quiet(Chaos.make({ seed: 1, error: { rate: 1 } }))
      const error = yield* Effect.flip(failing.execute(effect, { error: () => new Down() }))
      assert.strictEqual(error._tag, "Down")
      assert.strictEqual(ErrorCode.codeOf(yield* Effect.flip(failing.execute(effect))), "NETWORK_ERROR")
      assert.strictEqual(ran, 0)
      const slow = yield* quiet(
        Chaos.make({ seed: 1, latency: { rate: 1, minimum: "1 second", maximum: "2 seconds" }, status: { rate: 1 } })
      )
      const { elapsed } = yield* runOut(slow.execute(effect))
      assert.isTrue(Duration.toMillis(elapsed) >= 1000 && Duration.toMillis(elapsed) <= 2000)
      const hanging = yield* quiet(Chaos.make({ seed: 1, hang: { rate: 1 } }))
      const { exit } = yield* runOut(Effect.timeoutOption(hanging.execute(effect), "1 hour"), "1 hour")
      assert.isTrue(Exit.isSuccess(exit) && exit.value._tag === "None")
      assert.strictEqual(ran, 1)
    }))

  it.effect("[K-35] when chooses the requests; the others draw nothing", () =>
    Effect.gen(function*() {
      const options = { seed: 7, status: { rate: 0.5 } }
      const run = (urls: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const chaos = yield* quiet(Chaos.make(options))
          const client = chaos.http(service().client, { when: (request) => request.url.includes("a.test") })
          return yield* Effect.forEach(urls, (url) => Effect.map(client.get(url), ({ status }) => status))
        })
      const only = yield* run(["http://a.test/", "http://a.test/", "http://a.test/"])
      const mixed = yield* run([
        "http://b.test/",
        "http://a.test/",
        "http://b.test/",
        "http://a.test/",
        "http://a.test/"
      ])
      assert.deepStrictEqual([mixed[1], mixed[3], mixed[4]], only)
      assert.deepStrictEqual([mixed[0], mixed[2]], [200, 200])
    }))

  it.effect("[K-35] logs one warning when it starts, and none per fault", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      yield* record(Effect.gen(function*() {
        const chaos = yield* Chaos.make({ seed: "friday", status: { rate: 0.5 }, hang: { rate: 0.1 } })
        yield* Effect.timeoutOption(chaos.http(service().client).get("http://a.test/"), "0 millis")
      }))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "Chaos is on with seed \\\"friday\\\": status 0.5, hang 0.1")
      assert.include(lines[0], "WARN")
    }))

  it.effect("[K-35] an option out of its range is refused with its name", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<Chaos.Options> = [
        { seed: 1, reset: { rate: 1.1 } },
        { seed: 1, reset: { rate: 0.6 }, hang: { rate: 0.6 } },
        { seed: 1, latency: { rate: 1, minimum: "2 seconds", maximum: "1 second" } },
        { seed: 1, status: { rate: 1, statuses: [] } }
      ]
      for (const options of bad) {
        const error = yield* Effect.flip(Chaos.make(options))
        assert.strictEqual(error.code, "INVALID_CONFIG")
      }
    }))

  it("[K-35] no configuration knows it: no module of a package imports it, no schema and no environment variable names it", () => {
    assert.notProperty(core, "Chaos")
    const sources = globSync("packages/{core,jwks,token}/src/**/*.ts", { cwd: root })
    assert.isAbove(sources.length, 100)
    for (const path of sources) {
      if (path.endsWith("core/src/Chaos.ts")) continue
      assert.notMatch(readFileSync(join(root, path), "utf8"), /chaos/i, path)
    }
    // Every section that a file or the environment may have is listed there.
    assert.notMatch(readFileSync(join(root, "docs/reference-sections.json"), "utf8"), /chaos/i)
    const own = readFileSync(join(root, "packages/core/src/Chaos.ts"), "utf8")
    assert.notMatch(own, /Config\b|process\.env|fromEnvironment|decodeText|export const (?:Policy|Options)/)
  })
})
