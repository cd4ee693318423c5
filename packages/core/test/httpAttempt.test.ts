import { assert, describe, it } from "@effect/vitest"
import { Stream } from "effect"
import { HttpBody, HttpClientRequest } from "effect/http"
import { Readable } from "node:stream"
import { isIdempotent, isReplayable } from "../src/internal/retry/httpAttempt.ts"

const post = (body: HttpBody.HttpBody) => HttpClientRequest.setBody(HttpClientRequest.post("http://api.test/"), body)

async function* chunks() {
  yield "chunk"
}

describe("HttpRetry", () => {
  describe("isReplayable", () => {
    const replayable: ReadonlyArray<readonly [string, HttpBody.HttpBody]> = [
      ["no body", HttpBody.empty],
      ["text", HttpBody.text("a")],
      ["bytes", HttpBody.uint8Array(new Uint8Array(1))],
      ["a form", HttpBody.formData(new FormData())],
      ["raw text", HttpBody.raw("a")],
      ["raw null", HttpBody.raw(null)],
      ["a number", HttpBody.raw(1)],
      ["a blob", HttpBody.raw(new Blob(["a"]))],
      ["parameters", HttpBody.raw(new URLSearchParams("a=b"))],
      ["a buffer", HttpBody.raw(new ArrayBuffer(1))]
    ]
    for (const [name, body] of replayable) {
      it(`[K-13] ${name} can be sent again`, () => assert.isTrue(isReplayable(post(body))))
    }

    const used: ReadonlyArray<readonly [string, HttpBody.HttpBody]> = [
      ["a Stream", HttpBody.stream(Stream.make(new Uint8Array(1)))],
      ["a web stream", HttpBody.raw(new ReadableStream())],
      ["a web stream by its shape", HttpBody.raw({ getReader() {} })],
      ["a Node stream", HttpBody.raw(Readable.from(["a"]))],
      ["a Node stream by its shape", HttpBody.raw({ pipe() {} })],
      ["an async generator", HttpBody.raw(chunks())],
      ["an async iterable", HttpBody.raw({ [Symbol.asyncIterator]() {} })],
      ["an iterator", HttpBody.raw([1].values())]
    ]
    for (const [name, body] of used) {
      it(`[K-13] ${name} is used up by the first attempt`, () => assert.isFalse(isReplayable(post(body))))
    }
  })

  describe("isIdempotent", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] as const) {
      it(`[K-13] ${method} is (RFC 9110, 9.2.2)`, () =>
        assert.isTrue(isIdempotent(HttpClientRequest.make(method)("http://api.test/"))))
    }
    for (const method of ["POST", "PATCH"] as const) {
      const request = HttpClientRequest.make(method)("http://api.test/")
      const keyed = (key: string) => HttpClientRequest.setHeader(request, "Idempotency-Key", key)
      it(`[K-13] ${method} is with an Idempotency-Key only, and an empty one is none`, () => {
        assert.deepStrictEqual([request, keyed("k1"), keyed(""), keyed("  ")].map(isIdempotent), [
          false,
          true,
          false,
          false
        ])
      })
    }
  })
})
