import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"
import type { FillCall, FillReader } from "../../src/internal/fill/fill.ts"
import { Fills } from "../../src/internal/fill/fills.ts"
import type { StoreHandler, StoreHead } from "../../src/ObjectStore.ts"

const budget = 100
const maxItemSize = 60

type Step =
  | { readonly do: "join"; readonly id: string; readonly reads: number }
  | { readonly do: "resume"; readonly reader: number; readonly reads: number }
  | { readonly do: "leave"; readonly reader: number }
  | { readonly do: "head"; readonly request: number; readonly length: number; readonly status: number }
  | { readonly do: "data"; readonly request: number; readonly length: number }
  | { readonly do: "rest"; readonly request: number }
  | { readonly do: "short"; readonly request: number }
  | { readonly do: "fail"; readonly request: number }
  | { readonly do: "stored"; readonly commit: number }
  | { readonly do: "discard"; readonly id: string }

const ids = fc.constantFrom("a", "b")
const index = fc.nat(5)
/** How many chunks a reader takes before it asks to wait. */
const reads = fc.constantFrom(0, 1, 2, 1000)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("join" as const), id: ids, reads }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const), reader: index, reads }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), reader: index }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("head" as const),
      request: index,
      // Often so long that two bodies are above the budget.
      length: fc.oneof(fc.nat(80), fc.constantFrom(55, maxItemSize)),
      status: fc.constantFrom(200, 200, 200, 200, 304, 404)
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("data" as const), request: index, length: fc.integer({ min: 1, max: 40 }) })
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("rest" as const), request: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fail" as const), request: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("short" as const), request: index }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("stored" as const), commit: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("discard" as const), id: ids }) }
)

/** A request to the store, and what the store has sent. */
interface Request {
  readonly number: number
  readonly id: string
  readonly handler: StoreHandler
  sent: number
  length: number | undefined
  status: number
  isOver: boolean
  isAborted: boolean
  isDiscarded: boolean
  /** The store was asked to wait. */
  waits: boolean
}

class Reader implements FillReader {
  readonly id: string
  call: FillCall | undefined
  head: StoreHead | undefined
  isStored = false
  received: Array<number> = []
  reads: number
  ends: Array<string> = []
  hasLeft = false
  waits = false
  constructor(id: string, reads: number) {
    this.id = id
    this.reads = reads
  }
  #check() {
    assert.isFalse(this.hasLeft, "nothing is called after a reader left")
    assert.deepStrictEqual(this.ends, [], "nothing is called after the end")
  }
  onJoin = (call: FillCall) => {
    this.call = call
  }
  onHead = (head: StoreHead, isStored: boolean) => {
    this.#check()
    assert.isUndefined(this.head)
    this.head = head
    this.isStored = isStored
  }
  onData = (chunk: Uint8Array) => {
    this.#check()
    assert.isFalse(this.waits, "no chunk comes to a reader that waits")
    this.received.push(...chunk)
    this.reads--
    this.waits = this.reads <= 0
    return !this.waits
  }
  onEnd = () => {
    this.#check()
    this.ends.push("end")
  }
  onFailure = () => {
    this.#check()
    this.ends.push("failure")
  }
  onRetry = () => {
    this.#check()
    assert.isUndefined(this.head)
    this.ends.push("retry")
  }
}

/** Byte `position` of the body of request `number`: two versions of an object differ. */
const byteOf = (number: number, position: number) => (number * 31 + position) % 251
const bytesOf = (number: number, from: number, to: number) =>
  Uint8Array.from({ length: to - from }, (_, offset) => byteOf(number, from + offset))

const run = (steps: ReadonlyArray<Step>) => {
  const fills = new Fills(budget)
  const requests: Array<Request> = []
  const readers: Array<Reader> = []
  const streamed = new Set<Reader>()
  const commits: Array<{ readonly request: Request; readonly done: () => void; isDone: boolean }> = []

  const join = (id: string, count: number) => {
    const reader = new Reader(id, count)
    readers.push(reader)
    fills.join(id, {
      dispatch: (handler) => {
        const request: Request = {
          number: requests.length,
          id,
          handler,
          sent: 0,
          length: undefined,
          status: 0,
          isOver: false,
          isAborted: false,
          isDiscarded: false,
          waits: false
        }
        const waiting = requests.filter((other) => other.id === id && !other.isOver && other.length === undefined)
        assert.isTrue(waiting.every(({ isDiscarded }) => isDiscarded), "one request for all readers of an entry")
        requests.push(request)
        return {
          resume: () => {
            request.waits = false
          },
          abort: () => {
            if (request.isOver) return
            request.isOver = true
            request.isAborted = true
            handler.onFailure("aborted", undefined)
          }
        }
      },
      storedLength: ({ headers }) => {
        const length = Number(headers["content-length"])
        return length <= maxItemSize ? length : undefined
      },
      commit: (_, bytes, done) => {
        const request = requests.findLast((one) => one.id === id && one.isOver && !one.isAborted)
        if (request === undefined) throw new Error("committed without a request")
        assert.isFalse(request.isDiscarded, "what was discarded is not stored")
        assert.deepStrictEqual(Array.from(bytes), Array.from(bytesOf(request.number, 0, request.length ?? -1)))
        commits.push({ request, done, isDone: false })
      }
    }, reader)
  }
  const send = (request: Request, length: number) => {
    const chunk = bytesOf(request.number, request.sent, request.sent + length)
    request.sent += length
    if (!request.handler.onData(chunk)) request.waits = true
  }
  const apply = (one: Step) => {
    switch (one.do) {
      case "join":
        return join(one.id, one.reads === 0 ? 1 : one.reads)
      case "resume": {
        const reader = readers[one.reader]
        if (reader === undefined || reader.hasLeft || reader.ends.length > 0 || !reader.waits) return
        reader.waits = false
        reader.reads = Math.max(1, one.reads)
        return reader.call?.resume()
      }
      case "leave": {
        const reader = readers[one.reader]
        if (reader === undefined || reader.ends.length > 0) return
        reader.hasLeft = true
        return reader.call?.leave()
      }
      case "head": {
        const request = requests[one.request]
        if (request === undefined || request.isOver || request.length !== undefined) return
        request.length = one.status === 304 ? 0 : one.length
        request.status = one.status
        return request.handler.onHead({
          status: one.status,
          headers: { "content-length": String(request.length) },
          replica: 0
        })
      }
      case "data": {
        const request = requests[one.request]
        if (request?.length === undefined || request.isOver || request.waits) return
        return send(request, Math.min(one.length, request.length - request.sent))
      }
      case "rest": {
        const request = requests[one.request]
        if (request?.length === undefined || request.isOver || request.waits) return
        if (request.sent < request.length) send(request, request.length - request.sent)
        if (request.isOver) return
        request.isOver = true
        return request.handler.onEnd()
      }
      // A store that says that a short body is whole.
      case "short": {
        const request = requests[one.request]
        if (request?.length === undefined || request.isOver || request.sent === request.length) return
        const stored = readers.filter((reader) =>
          reader.id === request.id && reader.isStored && reader.ends.length === 0
        )
        // A body that one client streams is whole if the store says so: `ObjectStore` checks its length.
        for (const reader of readers) if (reader.id === request.id && !reader.isStored) streamed.add(reader)
        request.isOver = true
        request.handler.onEnd()
        if (request.status !== 200 || request.length > maxItemSize) return
        for (const reader of stored) assert.isFalse(reader.ends.includes("end"), "a short body is not whole")
        return
      }
      case "fail": {
        const request = requests[one.request]
        if (request === undefined || request.isOver) return
        request.isOver = true
        return request.handler.onFailure("incomplete", undefined)
      }
      case "stored": {
        const commit = commits[one.commit]
        if (commit === undefined || commit.isDone) return
        commit.isDone = true
        return commit.done()
      }
      case "discard": {
        for (const request of requests) {
          if (request.id === one.id && !request.isOver) request.isDiscarded = true
        }
        return fills.discard((id) => id === one.id)
      }
    }
  }
  const check = () => {
    assert.isAtMost(fills.bytes, budget)
    for (const reader of readers) {
      const isWhole = reader.ends[0] === "end" && reader.head?.status === 200
      const length = Number(reader.head?.headers["content-length"] ?? 0)
      const sources = requests.filter(({ id, length: announced }) => id === reader.id && announced !== undefined)
      assert.isTrue(
        reader.received.length === 0 ||
          sources.some(({ number }) => reader.received.every((byte, position) => byte === byteOf(number, position))),
        "a reader gets the bytes of one response, in order"
      )
      if (isWhole && !streamed.has(reader)) assert.strictEqual(reader.received.length, length)
      assert.isAtMost(reader.ends.length, 1)
    }
    for (const request of requests) {
      // A reader that waits delays nobody: the store is read at full speed, except for a body that one reader streams.
      const shared = readers.filter((reader) => reader.id === request.id && reader.isStored && !reader.hasLeft)
      if (request.waits) assert.isTrue(readers.some((reader) => !reader.isStored && reader.waits && !reader.hasLeft))
      if (request.isOver || request.status !== 200) continue
      for (const reader of shared) {
        if (reader.waits || reader.ends.length > 0) continue
        assert.isTrue(requests.some((one) => one.id === reader.id && one.sent === reader.received.length))
      }
    }
  }
  for (const one of steps) {
    apply(one)
    check()
  }
  // The end of all: every request ends, every commit is done, every reader reads.
  for (let request = 0; request < requests.length; request++) {
    apply({ do: "head", request, length: 5, status: 200 })
    for (let reader = 0; reader < readers.length; reader++) apply({ do: "resume", reader, reads: 1000 })
    apply({ do: "rest", request })
  }
  for (let commit = 0; commit < commits.length; commit++) apply({ do: "stored", commit })
  for (let reader = 0; reader < readers.length; reader++) apply({ do: "resume", reader, reads: 1000 })
  check()
  assert.strictEqual(fills.bytes, 0, "the budget is whole again")
  assert.strictEqual(fills.size, 0)
  for (const reader of readers) assert.isTrue(reader.hasLeft || reader.ends.length === 1, "every reader gets an end")
}

describe("fills", () => {
  it("[S4-32 G-15 G-16 R33] any history of leaving, slow and late readers, cut and large bodies", (context) =>
    forAll(context, 3000, fc.array(step, { maxLength: 60 }), run))

  it("[S4-32] a body that would pass the budget of all fills is streamed and not buffered", () => {
    const steps: ReadonlyArray<Step> = [
      { do: "join", id: "a", reads: 1000 },
      { do: "join", id: "b", reads: 1000 },
      { do: "head", request: 0, length: maxItemSize, status: 200 },
      { do: "head", request: 1, length: maxItemSize, status: 200 },
      { do: "rest", request: 0 },
      { do: "rest", request: 1 }
    ]
    assert.doesNotThrow(() => run(steps))
  })
})
