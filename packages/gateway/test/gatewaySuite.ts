/** A gateway before a scripted S3, and a client that sends targets as they are. */
import { type ScriptedS3, scriptedS3 } from "@keelson/testing/scriptedS3"
import { goodClaims, issuer, pairOf, sign } from "@keelson/testing/tokens"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import type { BucketOptions } from "../src/BucketOptions.ts"
import type * as GatewayConfig from "../src/GatewayConfig.ts"
import * as NodeGateway from "../src/NodeGateway.ts"

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  /** Whether the body came whole. */
  readonly isWhole: boolean
}

export interface SendOptions {
  readonly method?: string
  readonly headers?: Http.OutgoingHttpHeaders
  readonly body?: string | Uint8Array
  readonly agent?: Http.Agent
  readonly token?: string
}

/** Sends a request with a raw target. */
export const send = (port: number, target: string, options: SendOptions = {}): Effect.Effect<Answer> =>
  Effect.callback<Answer>((resume) => {
    const { agent = false, body, headers = {}, method = "GET", token } = options
    const request = Http.request({
      host: "127.0.0.1",
      port,
      path: target,
      method,
      agent,
      headers: { ...headers, ...(token === undefined ? undefined : { authorization: `Bearer ${token}` }) }
    }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", () => {})
      response.on("close", () => {
        const bytes = Buffer.concat(chunks)
        resume(Effect.succeed({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: bytes,
          text: bytes.toString(),
          isWhole: response.complete
        }))
      })
    })
    request.on("error", (error) => resume(Effect.die(error)))
    request.end(body)
    return Effect.sync(() => request.destroy())
  })

/** The replica that a scripted S3 is. */
export const replicaOf = (s3: ScriptedS3, bucket: string) => ({
  endpoint: s3.url,
  bucket,
  credentials: {
    static: {
      accessKeyId: Redacted.make("keelson-test"),
      secretAccessKey: Redacted.make("keelson-test-secret")
    }
  }
})

/** Runs an effect while virtual time passes, for pauses between retries. */
export const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) {
      yield* TestClock.adjust("5 millis")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return yield* Fiber.join(fiber)
  })

export interface Setup {
  readonly bucket?: Partial<BucketOptions>
  readonly config?: Partial<GatewayConfig.Options>
  readonly make?: NodeGateway.MakeOptions
}

/** The policy of the tests' tokens. */
export const policy = Effect.map(pairOf("ES256"), ({ publicJwk }) => ({
  profile: "accessToken" as const,
  issuers: [issuer],
  audiences: ["api"],
  algorithms: ["ES256" as const],
  keys: [{ algorithm: "ES256" as const, jwk: publicJwk }]
}))

/** A token with claims in addition to the usual ones. */
export const tokenOf = (claims: Readonly<Record<string, unknown>> = {}): Effect.Effect<string> =>
  Effect.gen(function*() {
    return yield* sign(yield* pairOf("ES256"), { ...yield* goodClaims, ...claims })
  })

/** A gateway with the bucket `files` at `/files`, public unless told otherwise, with a cache in memory. */
export const gateway = Effect.fnUntraced(function*({ bucket, config, make }: Setup = {}) {
  const s3 = yield* scriptedS3({ buckets: ["files"] })
  const running = yield* NodeGateway.make({
    listen: { port: 0 },
    cache: { enabled: true, memory: { maxSize: "16 MiB", maxItemSize: "1 MiB" } },
    drain: { delay: "0 millis", timeout: "5 seconds" },
    buckets: [{ name: "files", path: "/files", public: true, replicas: [replicaOf(s3, "files")], ...bucket }],
    ...config
  }, make)
  const { port } = running.address
  return { s3, running, port, get: (target: string, options?: SendOptions) => send(port, target, options) }
})
