import * as S3 from "@aws-sdk/client-s3"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { type ScriptedS3, scriptedS3, type ScriptedS3Options, syntheticBytes } from "@keelson/testing/scriptedS3"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { Readable } from "node:stream"

const credentials = { accessKeyId: "keelson-test", secretAccessKey: "keelson-test-secret" }

/** The SDK as an independent client of the server. */
const clientOf = ({ region, url }: ScriptedS3, options: S3.S3ClientConfig = {}) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new S3.S3Client({ endpoint: url, region, forcePathStyle: true, credentials, maxAttempts: 1, ...options })
    ),
    (client) => Effect.sync(() => client.destroy())
  )

const started = Effect.fnUntraced(function*(options: ScriptedS3Options = { buckets: ["bucket"] }) {
  const server = yield* scriptedS3(options)
  return { server, client: yield* clientOf(server) }
})

const Bucket = "bucket"
const bytes = (output: S3.GetObjectCommandOutput) => Effect.promise(() => output.Body!.transformToByteArray())
const call = <A>(promise: () => Promise<A>) => Effect.promise(promise)

/** The name of the error and the status of a refused request. */
const refused = (promise: () => Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({
    try: promise,
    catch: (error) => error instanceof S3.S3ServiceException ? [error.name, error.$metadata.httpStatusCode] : [error]
  }))

const get = (client: S3.S3Client, Key: string, options: Partial<S3.GetObjectCommandInput> = {}) =>
  client.send(new S3.GetObjectCommand({ Bucket, Key, ...options }))
const put = (client: S3.S3Client, Key: string, Body: string | Uint8Array | Readable, options = {}) =>
  client.send(new S3.PutObjectCommand({ Bucket, Key, Body, ...options }))

describe("scriptedS3", () => {
  it.live("stores and returns what the SDK sends, with its headers", () =>
    Effect.gen(function*() {
      const { client } = yield* started()
      const data = Buffer.from(syntheticBytes(7, 60_000))
      const options = {
        ContentType: "image/png",
        CacheControl: "max-age=60",
        Metadata: { a: "b" },
        ContentEncoding: "gzip"
      }
      const written = yield* call(() => put(client, "a.bin", data, options))
      assert.strictEqual(written.ETag, `"${createHash("md5").update(data).digest("hex")}"`)
      const found = yield* call(() => get(client, "a.bin"))
      assert.deepStrictEqual(Buffer.from(yield* bytes(found)), data)
      assert.deepStrictEqual(
        [found.ContentType, found.CacheControl, found.Metadata, found.ContentEncoding, found.AcceptRanges],
        ["image/png", "max-age=60", { a: "b" }, "gzip", "bytes"]
      )
      const head = yield* call(() => client.send(new S3.HeadObjectCommand({ Bucket, Key: "a.bin" })))
      assert.strictEqual(head.ContentLength, data.length)
      yield* call(() => client.send(new S3.DeleteObjectCommand({ Bucket, Key: "a.bin" })))
      assert.deepStrictEqual(yield* refused(() => get(client, "a.bin")), ["NoSuchKey", 404])
    }))

  it.live("stores a body in aws-chunked framing without the framing", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      const parts = [Buffer.from("first "), Buffer.from("second")]
      yield* call(() => put(client, "stream", Readable.from(parts), { ContentLength: 12 }))
      assert.match(String(server.requests[0]?.headers["x-amz-content-sha256"]), /^STREAMING-/)
      assert.strictEqual(Buffer.from(server.get(Bucket, "stream")!.body!).toString(), "first second")
      assert.isUndefined(server.get(Bucket, "stream")!.headers["content-encoding"])
    }))

  it.live.each([
    "a+b c.txt",
    "!'()*&$@=;:,?#[]~",
    "a%2Fb",
    "a//b",
    "/a",
    "./a",
    "a/../b",
    "caf\u00e9",
    "cafe\u0301",
    "\u{1F600}",
    "a\\b",
    "a\tb",
    "dir/"
  ])("keeps the key %j apart from all others", (key) =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      yield* call(() => put(client, key, key))
      assert.strictEqual(Buffer.from(server.get(Bucket, key)!.body!).toString(), key)
      assert.strictEqual(Buffer.from(yield* bytes(yield* call(() => get(client, key)))).toString(), key)
    }))

  it.live("refuses wrong secrets, unknown keys, wrong regions, missing signatures and clocks that are wrong", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      server.put(Bucket, "a", "a")
      const wrongSecret = yield* clientOf(server, { credentials: { ...credentials, secretAccessKey: "other" } })
      const unknown = yield* clientOf(server, { credentials: { ...credentials, accessKeyId: "other" } })
      const wrongRegion = yield* clientOf(server, { region: "eu-west-1" })
      assert.deepStrictEqual(yield* refused(() => get(wrongSecret, "a")), ["SignatureDoesNotMatch", 403])
      assert.deepStrictEqual(yield* refused(() => get(unknown, "a")), ["InvalidAccessKeyId", 403])
      assert.deepStrictEqual(yield* refused(() => get(wrongRegion, "a")), ["AuthorizationHeaderMalformed", 400])
      assert.strictEqual((yield* call(() => fetch(`${server.url}/bucket/a`))).status, 403)
      server.clockOffset = 3_600_000
      assert.deepStrictEqual(yield* refused(() => get(client, "a")), ["RequestTimeTooSkewed", 403])
    }))

  it.live("answers ranges and preconditions", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      const { etag } = server.put(Bucket, "a", "0123456789")
      const part = (Range: string) =>
        Effect.flatMap(call(() => get(client, "a", { Range })), (found) =>
          Effect.map(bytes(found), (body) => [found.ContentRange, Buffer.from(body).toString()]))
      assert.deepStrictEqual(yield* part("bytes=0-"), ["bytes 0-9/10", "0123456789"])
      assert.deepStrictEqual(yield* part("bytes=8-20"), ["bytes 8-9/10", "89"])
      assert.deepStrictEqual(yield* part("bytes=-3"), ["bytes 7-9/10", "789"])
      assert.deepStrictEqual(
        yield* refused(() =>
          get(client, "a", { Range: "bytes=10-" })
        ),
        ["InvalidRange", 416]
      )
      assert.strictEqual((yield* refused(() => get(client, "a", { IfNoneMatch: `"x", W/${etag}` })))[1], 304)
      assert.deepStrictEqual(yield* refused(() => get(client, "a", { IfMatch: `"x"` })), ["PreconditionFailed", 412])
      assert.deepStrictEqual(yield* refused(() => put(client, "a", "x", { IfNoneMatch: "*" })), [
        "PreconditionFailed",
        412
      ])
    }))

  it.live("lists pages of keys and prefixes", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      for (const key of ["a/1", "a/2", "b", "c&d", "e f"]) server.put(Bucket, key, "")
      const keys: Array<string | undefined> = []
      let token: string | undefined
      do {
        const input = { Bucket, Delimiter: "/", MaxKeys: 1, EncodingType: "url" as const, ContinuationToken: token }
        const page = yield* call(() => client.send(new S3.ListObjectsV2Command(input)))
        keys.push(
          ...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix),
          ...(page.Contents ?? []).map(({ Key }) => Key)
        )
        token = page.NextContinuationToken
      } while (token !== undefined)
      assert.deepStrictEqual(keys, ["a/", "b", "c%26d", "e%20f"])
    }))

  it.live("sends objects of any size", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      server.putSynthetic(Bucket, "large", 5 * 1024 ** 3)
      const from = 4 * 1024 ** 3 + 5
      const found = yield* call(() => get(client, "large", { Range: `bytes=${from}-${from + 99}` }))
      assert.deepStrictEqual(Buffer.from(yield* bytes(found)), syntheticBytes(from, 100))
    }))

  it.live("has faults for a key, a bucket and all, for some requests", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      server.put(Bucket, "a", "0123456789")
      server.fault("bucket/a", { status: 503, times: 2 })
      const statuses = yield* Effect.forEach([1, 2, 3], () =>
        call(() =>
          get(client, "a").then(() => 200, (error: S3.S3ServiceException) => error.$metadata.httpStatusCode)
        ))
      assert.deepStrictEqual(statuses, [503, 503, 200])
      server.fault("bucket/a", { cutAfter: 3 })
      const found = yield* call(() => get(client, "a"))
      assert.isTrue((yield* Effect.exit(bytes(found)))._tag === "Failure")
      server.fault("bucket/a", { stall: true })
      const abort = new AbortController()
      const running = client.send(new S3.GetObjectCommand({ Bucket, Key: "a" }), { abortSignal: abort.signal })
      yield* eventually(() => server.requests.length === 5)
      abort.abort()
      yield* Effect.exit(Effect.tryPromise(() => running))
      yield* eventually(() => server.requests[4]?.end() === "aborted")
    }))

  it.live("stops and starts at the same port", () =>
    Effect.gen(function*() {
      const { client, server } = yield* started()
      server.put(Bucket, "a", "a")
      yield* server.stop
      assert.strictEqual((yield* refused(() => get(client, "a"))).length, 1)
      yield* server.start
      assert.strictEqual((yield* call(() => get(client, "a"))).ContentLength, 1)
    }))
})
