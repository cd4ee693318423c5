/** A simulated provider that publishes and rotates its keys for a day. */
import { KeelsonError } from "@keelson/core"
import type { Egress } from "@keelson/jwks"
import { Clock, Effect, Random } from "effect"

export const minute = 60_000
export const hour = 60 * minute

/** The document's lifetime, in milliseconds. */
const lifetime = 5 * minute

/** The lifetime of a token, in milliseconds. A key is looked up for this long after it was replaced as the signing key. */
export const tokenLife = 15 * minute

const outage = 15 * minute

/** The delay of a slow response, in milliseconds: longer than the default `attemptTimeout`. */
const slow = 5_000

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Publisher {
  /** The time at which the key of generation 0 is published, in milliseconds. */
  readonly phase: number
  /** The time from a key's publication until it signs tokens, in milliseconds. */
  readonly lead: number
  readonly isDown: (now: number) => boolean
  readonly answer: (request: Egress.EgressRequest) => Effect.Effect<Answer, KeelsonError.NetworkError>
  readonly counts: {
    readonly requests: number
    /** Requests that could be conditional: the cache had received a document with an `ETag` before. */
    readonly withValidator: number
    /** Requests that were conditional: they sent the `ETag`. */
    readonly conditional: number
  }
}

/** The generation of the newest published or signing key. Keys rotate each hour. */
export const generationAt = (
  { lead, phase }: Pick<Publisher, "lead" | "phase">,
  now: number,
  of: "published" | "signing"
): number => Math.floor((now - phase - (of === "signing" ? lead : 0)) / hour)

/** The newest two keys. Publishing a key removes the oldest one. */
const documentOf = (generation: number): string =>
  JSON.stringify({
    keys: [generation - 1, generation].map((each) => ({
      kty: "OKP",
      crv: "Ed25519",
      x: Buffer.from(`key-${each}`.padEnd(32, ".")).toString("base64url"),
      alg: "EdDSA",
      use: "sig",
      kid: `key-${each}`
    }))
  })

/** A response, or no response. */
type Outcome = Effect.Effect<Answer, KeelsonError.NetworkError>

const refused = Effect.fail(
  new KeelsonError.NetworkError({ code: "NETWORK_ERROR", message: "The connection was refused" })
)

const html = { "content-type": "text/html" }
const cut = Effect.fail(
  new KeelsonError.NetworkError({
    code: "NETWORK_ERROR",
    message: "The connection was closed before the body was complete"
  })
)
/** The broken responses. A fetch does not retry after the first one, which is not a key set; the next refresh requests it again. */
const broken: readonly [Outcome, ...ReadonlyArray<Outcome>] = [
  Effect.succeed({ status: 200, headers: html, body: "<html>Sign in to the network</html>" }),
  Effect.succeed({ status: 500, headers: html, body: "<html>Internal server error</html>" }),
  Effect.succeed({ status: 502, headers: html, body: "<html>Bad gateway</html>" }),
  cut
]

/** The three kinds of outage: refused connection, error status, no response. */
const outages: ReadonlyArray<Outcome> = [
  refused,
  Effect.succeed({ status: 503, headers: {} }),
  Effect.never
]

/** Each provider has its own times of rotation and outage. One response in a hundred is slow, and one is broken. */
export const makePublisher = Effect.fnUntraced(function*(
  index: number,
  { hours, lead }: { readonly hours: number; readonly lead: number }
): Effect.fn.Return<Publisher> {
  const phase = (yield* Random.next) * hour
  const downAt = hour + (yield* Random.next) * (hours - 2) * hour
  const isDown = (now: number): boolean => now >= downAt && now < downAt + outage
  const counts = { requests: 0, withValidator: 0, conditional: 0 }
  let isKnown = false

  const document = (request: Egress.EgressRequest, now: number): Answer => {
    const generation = generationAt({ lead, phase }, now, "published")
    const headers = {
      etag: `"${generation}"`,
      date: new Date(now).toUTCString(),
      "cache-control": `public, max-age=${lifetime / 1000}`,
      "content-type": "application/jwk-set+json"
    }
    isKnown = true
    return request.headers?.["if-none-match"] === headers.etag
      ? { status: 304, headers }
      : { status: 200, headers, body: documentOf(generation) }
  }
  const count = (request: Egress.EgressRequest): void => {
    counts.requests++
    if (!isKnown) return
    counts.withValidator++
    if (request.headers?.["if-none-match"] !== undefined) counts.conditional++
  }
  const answer = Effect.fnUntraced(
    function*(request: Egress.EgressRequest): Effect.fn.Return<Answer, KeelsonError.NetworkError> {
      const clock = yield* Clock.Clock
      count(request)
      if (isDown(clock.currentTimeMillisUnsafe())) return yield* outages[index % outages.length] ?? refused
      const luck = yield* Random.next
      yield* Effect.sleep(luck < 0.01 ? slow : 20 + 80 * (yield* Random.next))
      if (luck >= 0.01 && luck < 0.02) return yield* yield* Random.choice(broken)
      return document(request, clock.currentTimeMillisUnsafe())
    }
  )
  return { phase, lead, isDown, answer, counts }
})
