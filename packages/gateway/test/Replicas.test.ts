import { assert, describe, it } from "@effect/vitest"
import { BreakerStore } from "@keelson/core"
import { type ObjectStore, type ReplicaOptions, Replicas, type ReplicasOptions } from "@keelson/gateway"
import { eventually } from "@keelson/testing/eventually"
import { errorOf } from "@keelson/testing/exits"
import { metric } from "@keelson/testing/observe"
import { scriptedS3 } from "@keelson/testing/scriptedS3"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { bodyOf, bucket, onceOf, send, start, storeOf } from "./support.ts"

const times: ReplicaOptions.StoreTimeoutOptions = { head: "5 minutes", connect: "5 minutes", idle: "10 minutes" }

/** Servers that have the same objects, and one store of all. The object `which` says which server it is. */
const replicated = Effect.fnUntraced(function*(count: number, options: ReplicasOptions.Options = {}) {
  const servers = yield* Effect.forEach(Array.from({ length: count }), () => scriptedS3({ buckets: [bucket] }))
  for (const [index, server] of servers.entries()) {
    server.put(bucket, "a", "0123456789")
    server.put(bucket, "which", String(index))
  }
  const stores = yield* Effect.forEach(servers, (server) => storeOf(server, { timeouts: times }))
  const store = yield* Replicas.make("products", stores.map((store) => ({ store })), options)
  const [first, second, third] = servers
  if (first === undefined) throw new Error("no server")
  return { servers, store, first, second: second ?? first, third: third ?? first }
}, Effect.provide(BreakerStore.layerMemory))

const which = (store: ObjectStore.ObjectStore) =>
  Effect.map(send(store, { key: "which" }), ({ body, replica, status }) => [status, replica, body.toString()])

/** Requests one after the other. */
const repeated = <A>(times: number, request: Effect.Effect<A>) =>
  Effect.forEach(Array.from({ length: times }), () => request)

describe("Replicas", () => {
  describe("failover", () => {
    it.effect.each([500, 502, 503, 504, 429])(
      "[K-34] [S4-51] asks the next replica after a %d",
      (status) =>
        Effect.gen(function*() {
          const { first, store } = yield* replicated(2)
          first.fault("*", { status })
          assert.deepStrictEqual(yield* which(store), [200, 1, "1"])
          assert.strictEqual(first.requests.length, 1)
        })
    )

    it.effect("[K-34] [S4-51] asks the next replica where one cannot be reached, and the third after two", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(3)
        yield* first.stop
        assert.deepStrictEqual(yield* which(store), [200, 1, "1"])
        second.fault("*", { reset: true })
        assert.deepStrictEqual(yield* which(store), [200, 2, "2"])
      }))

    it.effect("[K-34] [S4-51] asks the next replica after 2 seconds without an answer, and ends the first request", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(2)
        first.fault("*", { stall: true })
        const running = start(store, { key: "which" })
        yield* eventually(() => first.requests.length === 1)
        yield* TestClock.adjust("1900 millis")
        assert.strictEqual(second.requests.length, 0)
        yield* TestClock.adjust("600 millis")
        const { body, replica } = yield* running.outcome
        assert.deepStrictEqual([replica, body.toString()], [1, "1"])
        yield* eventually(() => first.requests[0]?.end() === "aborted")
      }))

    it.effect.each(
      [
        ["a", { "if-match": `"x"` }, 412],
        ["a", { range: "bytes=20-" }, 416],
        ["a", { "if-none-match": "*" }, 304],
        ["none", {}, 404]
      ] as const
    )("[K-34] takes the answer to %j with %j as an answer: %d", ([key, headers, status]) =>
      Effect.gen(function*() {
        const { second, store } = yield* replicated(2)
        const found = yield* send(store, { key, headers })
        assert.deepStrictEqual([found.status, found.end, second.requests.length], [status, "end", 0])
      }))

    it.effect("[K-34] [G-13] takes a 403 as an answer, with its body", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(2)
        first.fault("*", { status: 403, code: "AccessDenied" })
        const { body, status } = yield* send(store, { key: "a" })
        assert.strictEqual(status, 403)
        assert.include(body.toString(), "AccessDenied")
        assert.strictEqual(second.requests.length, 0)
      }))

    it.effect("[G-15] does not ask another replica once the head went to the caller", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(2)
        first.putSynthetic(bucket, "a", 500_000)
        first.fault("bucket/a", { cutAfter: 100_000 })
        const running = start(store, { key: "a" })
        const { end, replica } = yield* running.outcome
        assert.deepStrictEqual([end, replica, second.requests.length], ["incomplete", 0, 0])
        assert.deepStrictEqual([running.seen.ends, running.seen.late], [1, 0])
      }))

    it.effect("gives the last failed response without its body, but with Retry-After", () =>
      Effect.gen(function*() {
        const { servers, store } = yield* replicated(2)
        for (const server of servers) {
          server.fault("*", { status: 503, headers: { "retry-after": "7", "x-secret": "1" } })
        }
        const { body, end, headers, replica, status } = yield* send(store, { key: "a" })
        assert.deepStrictEqual([status, replica, body.length, end], [503, 1, 0, "end"])
        assert.deepStrictEqual(headers, { "content-length": "0", "retry-after": "7" })
      }))

    it.effect("reads the body of a failed response, and uses its connection again", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(2)
        first.fault("*", { status: 500, times: 3 })
        yield* repeated(4, send(store, { key: "a" }))
        yield* eventually(() => first.requests.every((request) => request.end() === "complete"))
        assert.isBelow(new Set(first.requests.map(({ clientPort }) => clientPort)).size, 4)
      }))
  })

  describe("health", () => {
    it.effect("[S4-51] opens the circuit of a replica that answers 503, and returns to it when it has recovered", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(2)
        first.fault("*", { status: 503 })
        const answers = yield* repeated(20, which(store))
        assert.deepStrictEqual(new Set(answers.map(String)), new Set(["200,1,1"]))
        assert.strictEqual(first.requests.length, 10)
        assert.strictEqual(yield* metric("circuit_breaker_state", `server="products/0"`), 1)
        first.fault("*", undefined)
        assert.deepStrictEqual(yield* which(store), [200, 1, "1"])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* which(store), [200, 0, "0"])
        assert.deepStrictEqual(yield* which(store), [200, 0, "0"])
      }))

    it.effect("[S4-51] loses no request to a replica that fails half of them, and stops asking it", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(2)
        first.fault("*", { status: 500, every: 2 })
        const answers = yield* repeated(200, Effect.map(send(store, { key: "a" }), ({ status }) => status))
        assert.deepStrictEqual(answers.filter((status) => status !== 200), [])
        assert.isBelow(first.requests.length, 20)
      }))

    it.effect("[S4-51] fails with unreachable, then with rejected while no circuit admits a request", () =>
      Effect.gen(function*() {
        const { servers, store } = yield* replicated(2)
        for (const server of servers) yield* server.stop
        const ends = yield* repeated(12, Effect.map(send(store, { key: "a" }), ({ cause, end }) => [end, cause]))
        assert.deepStrictEqual(ends.map(([end]) => end), [...Array(10).fill("unreachable"), "rejected", "rejected"])
        assert.propertyVal(ends.at(-1)?.[1], "code", "GATEWAY_STORE_UNAVAILABLE")
        assert.strictEqual(ends.at(-1)?.[1], ends.at(-2)?.[1])
      }))

    it.effect("[K-34] concurrent requests lose nothing while the primary fails and returns", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(2)
        const wave = Effect.map(
          Effect.all(Array.from({ length: 50 }, () => which(store)), { concurrency: "unbounded" }),
          (answers) => answers.filter(([status]) => status !== 200).length
        )
        assert.strictEqual(yield* wave, 0)
        yield* first.stop
        assert.strictEqual(yield* wave, 0)
        yield* first.start
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* wave, 0)
        assert.deepStrictEqual(yield* which(store), [200, 0, "0"])
      }))

    it.effect("an aborted request is no evidence about a replica", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(2)
        first.fault("*", { stall: true, times: 20 })
        for (let n = 0; n < 20; n++) {
          const running = start(store, { key: "which" })
          yield* eventually(() => first.requests.length === n + 1)
          running.call.abort()
          assert.strictEqual((yield* running.outcome).end, "aborted")
          assert.deepStrictEqual([running.seen.ends, running.seen.late], [1, 0])
        }
        assert.deepStrictEqual(yield* which(store), [200, 0, "0"])
      }))
  })

  describe("bodies", () => {
    it.effect("[K-34] sends a body that can be read again to the next replica", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(2)
        first.fault("*", { status: 503 })
        const { replica, status } = yield* send(store, { method: "PUT", key: "new", body: bodyOf("one ", "two") })
        assert.deepStrictEqual([status, replica], [200, 1])
        assert.strictEqual(Buffer.from(second.get(bucket, "new")!.body!).toString(), "one two")
      }))

    it.effect("[K-34] does not send a body twice that is read once", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(2)
        first.fault("*", { status: 503 })
        const { status } = yield* send(store, { method: "PUT", key: "new", body: onceOf("one") })
        assert.deepStrictEqual([status, second.requests.length], [503, 0])
      }))

    it.effect("[K-34] sends a body to the next replica that was not read yet", () =>
      Effect.gen(function*() {
        const { first, second, store } = yield* replicated(2)
        yield* first.stop
        assert.strictEqual((yield* send(store, { method: "PUT", key: "new", body: onceOf("one") })).status, 200)
        assert.strictEqual(Buffer.from(second.get(bucket, "new")!.body!).toString(), "one")
      }))

    it.effect("does not limit how long sending a body takes", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(2, { deadline: "10 seconds" })
        let send: () => void = () => {}
        const rest = new Promise<void>((resolve) => send = resolve)
        const chunks = async function*() {
          yield Buffer.from("one")
          await rest
          yield Buffer.from("two")
        }
        const running = start(store, { method: "PUT", key: "new", body: { length: 6, chunks: chunks() } })
        yield* eventually(() => first.requests.length === 1)
        yield* TestClock.adjust("1 hour")
        send()
        assert.strictEqual((yield* running.outcome).status, 200)
      }))
  })

  describe("one replica", () => {
    it.effect("retries once, up to the head of a response", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(1)
        first.fault("*", { status: 503, times: 1 })
        const running = start(store, { key: "which" })
        yield* eventually(() => first.requests.length === 1)
        while (running.seen.ends === 0) yield* TestClock.adjust("50 millis")
        assert.strictEqual((yield* running.outcome).status, 200)
        assert.strictEqual(first.requests.length, 2)
      }))

    it.effect("[S4-51] fails with timeout at the deadline", () =>
      Effect.gen(function*() {
        const { first, store } = yield* replicated(1, { deadline: "10 seconds" })
        first.fault("*", { stall: true })
        const running = start(store, { key: "which" })
        yield* eventually(() => first.requests.length === 1)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(running.seen.ends, 0)
        yield* TestClock.adjust("3 seconds")
        const { cause, end } = yield* running.outcome
        assert.strictEqual(end, "timeout")
        assert.propertyVal(cause, "code", "GATEWAY_STORE_TIMEOUT")
        yield* eventually(() => first.requests[0]?.end() === "aborted")
      }))
  })

  it.effect("fails with the option that is out of its bounds", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(replicated(1, { failoverAfter: "1 hour" })))
      assert.deepStrictEqual([errorOf(exit).code, errorOf(exit).details["path"]], ["INVALID_CONFIG", "failoverAfter"])
    }))
})
