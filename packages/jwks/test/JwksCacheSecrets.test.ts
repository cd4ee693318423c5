import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { eventsOf, recording, spanText } from "@keelson/testing/observe"
import {
  type Answer,
  documentOf,
  down,
  hanging,
  jwk,
  makeProvider,
  statusOf,
  virtualImport
} from "@keelson/testing/scriptedProvider"
import { Cause, Duration, Effect, Exit, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { JwksCache, JwksSnapshots } from "../src/index.ts"

/** Each of them is in nothing that a program shows of a cache. */
const secrets = {
  kid: "SecretKid0123456789",
  asked: "AskedKid0123456789",
  path: "SecretPath0123456789",
  query: "SecretQuery0123456789",
  issuer: "SecretIssuer0123456789",
  etag: "SecretEtag0123456789",
  garbage: "SecretGarbage0123456789",
  material: Buffer.from("SecretMaterial0123456789SecretM!").toString("base64url")
}

const url = `https://idp.example/${secrets.path}?key=${secrets.query}`
const body = JSON.stringify({ keys: [jwk(secrets.kid, { x: secrets.material }), { kid: secrets.kid, kty: "none" }] })

const answers: ReadonlyArray<Answer> = [
  documentOf(body, { etag: `"${secrets.etag}"`, date: "Thu, 01 Jan 1970 10:00:00 GMT" }),
  down,
  hanging,
  statusOf(404),
  statusOf(503, { "retry-after": "5" }),
  statusOf(304),
  documentOf(`<html>${secrets.garbage}`),
  documentOf(`{"keys":["${secrets.garbage}"]}`),
  () => Effect.die(new Error("a bug"))
]

const refusedStore = Layer.succeed(JwksSnapshots.JwksSnapshots, {
  load: () => Effect.fail(new JwksSnapshots.SnapshotRefused({ reason: "tampered" })),
  save: () =>
    Effect.fail(new JwksSnapshots.SnapshotUnavailable({ store: "redis", operation: "save", reason: "failed" })),
  remove: () => Effect.void
})

/** Everything that an error shows. */
const shown = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (error === undefined) return []
  return [
    inspect(error, { depth: 10 }),
    JSON.stringify(error),
    error instanceof Error ? `${error.message} ${error.stack} ${inspect(error.cause, { depth: 10 })}` : "",
    JSON.stringify(Problem.encode(error)),
    Cause.pretty(Cause.fail(error))
  ]
}

describe("JwksCache secrets", () => {
  it.effect("[R21] [S1-34] no key id, key or URL appears in errors, logs, spans, events, status or metrics, whatever the response", () => {
    const { lines, record, spans } = recording()
    return record(Effect.gen(function*() {
      const { egress, provider } = makeProvider(down)
      const options = { issuer: `https://${secrets.issuer}.example`, url, retryJitter: "none" } as const
      const layer = Layer.provide(JwksCache.layer(options), [egress, virtualImport, refusedStore])
      const cache = yield* Effect.provideContext(JwksCache.JwksCache, yield* Layer.build(layer))
      const events = yield* eventsOf(cache)
      const output: Array<string> = []
      for (const answer of [...answers, ...answers]) {
        provider.answer = answer
        const attempted = [
          cache.find({ alg: "EdDSA", kid: secrets.asked }),
          cache.find({ alg: "RS256", kid: secrets.kid }),
          Effect.asVoid(cache.keySet),
          cache.refresh
        ].map((one) => Effect.forkChild(Effect.exit<unknown, unknown, never>(one)))
        const fibers = yield* Effect.all(attempted)
        yield* TestClock.adjust(Duration.minutes(10))
        for (const fiber of fibers) {
          const exit = fiber.pollUnsafe()
          if (exit?._tag === "Success") output.push(...shown(exit.value))
        }
        output.push(inspect(yield* cache.status, { depth: 10 }), yield* PrometheusEndpoint.format)
      }
      const all = [...output, ...lines, ...spans.map(spanText), inspect(events, { depth: 10 })]
      assert.isAbove(output.length, 100)
      assert.isAbove(lines.length, 2)
      assert.isAbove(spans.length, 30)
      assert.isAbove(events.length, 30)
      for (const [name, secret] of Object.entries(secrets)) {
        assert.isEmpty(all.filter((text) => text.includes(secret)), name)
      }
    })).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated))
  })
})
