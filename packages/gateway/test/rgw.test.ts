import * as S3 from "@aws-sdk/client-s3"
import { assert, describe, layer } from "@effect/vitest"
import { ObjectStore as AuditStore } from "@keelson/audit/ObjectStore"
import { BreakerStore } from "@keelson/core"
import { AuditObjectStore, type ReplicaOptions, Replicas } from "@keelson/gateway"
import * as NodeS3Store from "@keelson/gateway/NodeS3Store"
import { eventually } from "@keelson/testing/eventually"
import { layer as rgw, RgwServer, skipReason } from "@keelson/testing/rgwServer"
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import { createHash, randomBytes } from "node:crypto"
import { connect, createServer } from "node:net"
import { bodyOf, onceOf, send, start } from "./support.ts"

/** The server, a bucket with objects, and the SDK as an independent client of both. */
class World extends Context.Service<World, {
  readonly client: S3.S3Client
  readonly bucket: string
  readonly options: ReplicaOptions.ReplicaOptions
  readonly data: Buffer
  readonly etag: string
}>()("test/World") {}

const data = randomBytes(300_000)
const etag = `"${createHash("md5").update(data).digest("hex")}"`
const bucket = "products"

const world = Layer.effect(
  World,
  Effect.gen(function*() {
    const { accessKeyId, region, secretAccessKey, url } = yield* RgwServer
    const credentials = { accessKeyId, secretAccessKey }
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new S3.S3Client({ endpoint: url, region, forcePathStyle: true, credentials })),
      (made) => Effect.sync(() => made.destroy())
    )
    yield* Effect.promise(() => client.send(new S3.CreateBucketCommand({ Bucket: bucket })))
    const headers = { ContentType: "image/png", CacheControl: "max-age=60", Metadata: { owner: "me" } }
    yield* Effect.promise(() =>
      client.send(new S3.PutObjectCommand({ Bucket: bucket, Key: "a.bin", Body: data, ...headers }))
    )
    const options: ReplicaOptions.ReplicaOptions = {
      endpoint: url,
      region,
      bucket,
      credentials: {
        static: { accessKeyId: Redacted.make(accessKeyId), secretAccessKey: Redacted.make(secretAccessKey) }
      }
    }
    return World.of({ client, bucket, options, data, etag })
  })
)

const hardKeys = [
  "a+b c.txt",
  "!'()*&$@=;:,?#[]~",
  "a%2Fb",
  "a/b",
  "100%.txt",
  "100%25.txt",
  "a//b",
  "/a",
  "./a",
  "a/../b",
  "caf\u00e9",
  "cafe\u0301",
  "\u{1F600}",
  "a\\b",
  "a\tb",
  "dir/",
  "a;b"
]

const put = (Key: string, Body: string | Buffer, more: Partial<S3.PutObjectCommandInput> = {}) =>
  Effect.flatMap(
    World,
    ({ bucket, client }) =>
      Effect.promise(() => client.send(new S3.PutObjectCommand({ Bucket: bucket, Key, Body, ...more })))
  )

const read = (Key: string) =>
  Effect.flatMap(World, ({ bucket, client }) =>
    Effect.promise(async () => {
      const { Body } = await client.send(new S3.GetObjectCommand({ Bucket: bucket, Key }))
      return Buffer.from(await Body!.transformToByteArray())
    }))

const store = (more: Partial<ReplicaOptions.ReplicaOptions> = {}) =>
  Effect.flatMap(World, ({ options }) => NodeS3Store.make({ ...options, ...more }))

/** A proxy that closes each connection after some bytes of responses. */
const cutting = (port: number, bytes: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      const server = createServer((socket) => {
        const upstream = connect(port, "127.0.0.1")
        let left = bytes
        socket.on("error", () => {}).pipe(upstream)
        upstream.on("error", () => {}).on("data", (chunk: Buffer) => {
          socket.write(chunk.subarray(0, left))
          left -= chunk.length
          if (left > 0) return
          socket.destroySoon()
          upstream.destroy()
        })
        socket.on("close", () => upstream.destroy())
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const own = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${own}`, close: () => void server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

describe.skipIf(skipReason !== undefined)("NodeS3Store and Ceph RGW", () => {
  layer(Layer.provideMerge(world, rgw), { excludeTestServices: true, timeout: "20 minutes" })((it) => {
    it.effect.each(hardKeys)(
      "[G-1] [G-2] [G-3] [G-4] reads and writes exactly the key %j",
      (key) =>
        Effect.gen(function*() {
          const own = yield* store()
          yield* put(key, `by the SDK ${key}`)
          assert.strictEqual((yield* send(own, { key })).body.toString(), `by the SDK ${key}`)
          const written = yield* send(own, { method: "PUT", key, body: onceOf("by ", "us ", key) })
          assert.deepStrictEqual([written.status, written.end], [200, "end"])
          assert.strictEqual((yield* read(key)).toString(), `by us ${key}`)
        })
    )

    it.effect("[G-2] keys that differ in their form only are different objects", () =>
      Effect.gen(function*() {
        const own = yield* store()
        for (const key of hardKeys) yield* send(own, { method: "PUT", key, body: bodyOf(key) })
        for (const key of hardKeys) assert.strictEqual((yield* send(own, { key })).body.toString(), key)
        const { bucket, client } = yield* World
        const listed = yield* Effect.promise(() => client.send(new S3.ListObjectsV2Command({ Bucket: bucket })))
        const names = listed.Contents?.map(({ Key }) => Key)
        assert.deepStrictEqual(hardKeys.filter((key) => names?.includes(key) !== true), [])
      }))

    it.effect("returns the bytes and headers that the SDK stored", () =>
      Effect.gen(function*() {
        const { body, headers, status } = yield* send(yield* store(), { key: "a.bin" })
        assert.deepStrictEqual([status, body.equals(data)], [200, true])
        assert.deepStrictEqual(
          ["content-type", "cache-control", "x-amz-meta-owner", "etag", "content-length"].map((name) => headers[name]),
          ["image/png", "max-age=60", "me", etag, "300000"]
        )
        assert.doesNotHaveAnyKeys(headers, ["connection", "transfer-encoding", "keep-alive"])
      }))

    it.effect("stores what the SDK reads, with its headers", () =>
      Effect.gen(function*() {
        const headers = { "content-type": "text/css", "cache-control": "no-cache", "x-amz-meta-a": "b" }
        const written = yield* send(yield* store(), { method: "PUT", key: "own.css", headers, body: bodyOf(data) })
        assert.deepStrictEqual([written.status, written.headers["etag"]], [200, etag])
        const { bucket, client } = yield* World
        const found = yield* Effect.promise(() =>
          client.send(new S3.HeadObjectCommand({ Bucket: bucket, Key: "own.css" }))
        )
        assert.deepStrictEqual(
          [found.ContentType, found.CacheControl, found.Metadata, found.ContentLength],
          ["text/css", "no-cache", { a: "b" }, data.length]
        )
      }))

    it.effect("[G-5] [G-6] [G-14] ranges and preconditions", () =>
      Effect.gen(function*() {
        const own = yield* store({ maxConnections: 1 })
        const get = (headers: Record<string, string>, key = "a.bin") => send(own, { key, headers })
        const all = yield* get({ range: "bytes=0-" })
        assert.deepStrictEqual([all.status, all.headers["content-range"]], [206, "bytes 0-299999/300000"])
        const end = yield* get({ range: "bytes=-10" })
        assert.isTrue(end.body.equals(data.subarray(-10)))
        const beyond = yield* get({ range: "bytes=300000-" })
        assert.strictEqual(beyond.status, 416)
        const same = yield* get({ "if-none-match": etag })
        // RGW sends no ETag with a 304: who caches has it.
        assert.deepStrictEqual([same.status, same.body.length, same.end], [304, 0, "end"])
        assert.strictEqual((yield* get({ "if-match": `"other"` })).status, 412)
        yield* put("zero", "")
        const zero = yield* get({}, "zero")
        assert.deepStrictEqual([zero.status, zero.headers["content-length"], zero.body.length], [200, "0", 0])
      }))

    it.effect("[G-8] HEAD has no body, and its connection serves the next request", () =>
      Effect.gen(function*() {
        const own = yield* store({ maxConnections: 1 })
        for (let n = 0; n < 3; n++) {
          const head = yield* send(own, { method: "HEAD", key: "a.bin" })
          assert.deepStrictEqual([head.status, head.headers["content-length"], head.body.length], [200, "300000", 0])
        }
        assert.isTrue((yield* send(own, { key: "a.bin" })).body.equals(data))
        assert.strictEqual((yield* send(own, { method: "HEAD", key: "none" })).status, 404)
      }))

    it.effect("[G-10] [G-21] framing of aws-chunked is neither sent nor returned", () =>
      Effect.gen(function*() {
        const own = yield* store()
        const headers = {
          "content-encoding": "aws-chunked",
          "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        }
        assert.strictEqual(
          (yield* send(own, { method: "PUT", key: "framed", headers, body: bodyOf("x") })).end,
          "invalid"
        )
        assert.strictEqual((yield* send(own, { key: "framed" })).status, 404)
        yield* put("gzip", "not really", { ContentEncoding: "gzip" })
        assert.strictEqual((yield* send(own, { key: "gzip" })).headers["content-encoding"], "gzip")
      }))

    it.effect("[G-12] a clock that is an hour late is corrected by the time of the store", () =>
      Effect.gen(function*() {
        const base = yield* Clock.Clock
        const late: typeof base = Object.create(base, {
          currentTimeMillisUnsafe: { value: () => base.currentTimeMillisUnsafe() - 3_600_000 }
        })
        const own = yield* Effect.provideService(store(), Clock.Clock, late)
        assert.strictEqual((yield* send(own, { key: "a.bin" })).status, 200)
        assert.strictEqual((yield* send(own, { method: "HEAD", key: "a.bin" })).status, 200)
      }))

    it.effect("[G-13] wrong keys and a missing signature are a 403, a missing object a 404", () =>
      Effect.gen(function*() {
        const wrong = {
          static: { accessKeyId: Redacted.make("keelson-test"), secretAccessKey: Redacted.make("wrong") }
        }
        assert.strictEqual((yield* send(yield* store({ credentials: wrong }), { key: "a.bin" })).status, 403)
        assert.strictEqual((yield* send(yield* store({ credentials: undefined }), { key: "a.bin" })).status, 403)
        assert.strictEqual((yield* send(yield* store(), { key: "none" })).status, 404)
      }))

    it.effect("[G-15] a body that is cut ends with incomplete", () =>
      Effect.gen(function*() {
        const { url } = yield* RgwServer
        const proxy = yield* cutting(Number(new URL(url).port), 150_000)
        // The signature has the host of the proxy: RGW checks what it receives.
        const { body, end, status } = yield* send(yield* store({ endpoint: proxy.url }), { key: "a.bin" })
        assert.deepStrictEqual([status, end], [200, "incomplete"])
        assert.isTrue(body.equals(data.subarray(0, body.length)))
      }))

    it.effect("deletes an object", () =>
      Effect.gen(function*() {
        const own = yield* store()
        yield* put("gone", "x")
        assert.strictEqual((yield* send(own, { method: "DELETE", key: "gone" })).status, 204)
        assert.strictEqual((yield* send(own, { key: "gone" })).status, 404)
      }))

    it.effect("[K-34] a frozen gateway is left for a replica, and asked again when it has recovered", () =>
      Effect.gen(function*() {
        const server = yield* RgwServer
        const options = {
          breaker: { failureThreshold: 1, openDuration: "1 millis" },
          failoverAfter: "500 millis"
        } as const
        const [first, other] = [yield* store(), { dispatch: answer }]
        const both = yield* Replicas.make("products", [{ store: first }, { store: other }], options).pipe(
          Effect.provide(BreakerStore.layerMemory)
        )
        assert.strictEqual((yield* send(both, { key: "a.bin" })).replica, 0)
        yield* server.freeze
        const replica = yield* Effect.ensuring(
          Effect.map(send(both, { key: "a.bin" }), ({ replica }) => replica),
          server.thaw
        )
        assert.strictEqual(replica, 1)
        yield* Effect.repeat(send(both, { key: "a.bin" }), { until: ({ replica }) => replica === 0 })
      }))

    it.effect("an aborted download frees its connection", () =>
      Effect.gen(function*() {
        const own = yield* store({ maxConnections: 1 })
        yield* put("large", randomBytes(8 * 1024 ** 2))
        const running = start(own, { key: "large" }, true)
        running.seen.isFull = true
        yield* eventually(() => running.seen.bytes > 0)
        running.call.abort()
        assert.strictEqual((yield* running.outcome).end, "aborted")
        assert.strictEqual((yield* send(own, { key: "a.bin" })).status, 200)
      }))

    it.effect("the audit log stores a batch that the SDK reads", () =>
      Effect.gen(function*() {
        const { bucket, client, options } = yield* World
        const line = `{"sequence":1,"objectKey":"caf\u00e9"}\n`
        yield* Effect.flatMap(AuditStore, (audit) =>
          audit.put({ key: "2026/11/30/a+b.jsonl", body: Buffer.from(line), contentType: "application/x-ndjson" }))
          .pipe(
            Effect.provide(AuditObjectStore.layer(NodeS3Store.make(options)))
          )
        assert.strictEqual((yield* read("2026/11/30/a+b.jsonl")).toString(), line)
        const head = yield* Effect.promise(() =>
          client.send(new S3.HeadObjectCommand({ Bucket: bucket, Key: "2026/11/30/a+b.jsonl" }))
        )
        assert.strictEqual(head.ContentType, "application/x-ndjson")
      }))
  })
})

/** Answers as a replica with an empty object. */
const answer: Parameters<typeof send>[0]["dispatch"] = (_, handler) => {
  handler.onHead({ status: 200, headers: { "content-length": "0" }, replica: 0 })
  handler.onEnd()
  return { resume: () => {}, abort: () => {} }
}
