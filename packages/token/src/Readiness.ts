/**
 * Whether an application can do its work now, and for how long it could go on without the servers that it depends on.
 *
 * List what every request needs. An outage of the issuer makes an application unready when its keys can no longer be used, and not
 * before: an instance that is taken out earlier could still serve.
 */
import type { JwksStatus } from "@keelson/jwks/JwksStatus"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { TokenProvider } from "./TokenProvider.ts"

/** A key set whose state is reported. */
export interface Keys {
  /** The issuer, which names the part. Required. */
  readonly issuer: string
  /** The status of the key set. Required. */
  readonly status: Effect.Effect<JwksStatus>
}

/** The parts of an application. A part that is left out is not reported. */
export interface Options {
  /** Key sets: a `JwksCache`, or the status of a provider of a `JwksRegistry` under the name of its issuer. Default none. */
  readonly keys?: ReadonlyArray<Keys> | undefined
  /** Tokens for calls: a `TokenProvider`, such as the `provider` of a guard. Default none. */
  readonly tokens?: ReadonlyArray<Pick<TokenProvider["Service"], "server" | "status">> | undefined
}

/** The state of one part. */
const Part = Schema.Struct({
  kind: Schema.Literals(["keys", "token"]),
  /** The issuer of the keys, or the server of the token. */
  name: Schema.String,
  /**
   * `ready`: usable. `idle`: nothing was needed yet. `outage`: usable, and the last attempt to renew it failed. `unavailable`: not
   * usable, and the last attempt to get it failed.
   */
  state: Schema.Literals(["ready", "idle", "outage", "unavailable"]),
  /** Until when it is usable without a renewal. Absent where there is nothing to use. */
  worksUntil: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** The same in seconds from now. */
  offlineSeconds: Schema.optionalKey(Schema.Number)
})
type Part = typeof Part.Type

/**
 * Whether an application is ready, and its parts. It contains no key id, token or secret.
 *
 * **Example** (Before the first request)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress, JwksCache } from "@keelson/jwks"
 * import { Readiness } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const cache = yield* JwksCache.make({ issuer: "https://idp.example", prefetch: false })
 *   return yield* Readiness.report({ keys: [cache] })
 * })
 * const egress = FetchEgress.layer({ allowedHosts: ["idp.example"] })
 * const { parts, ready } = await Effect.runPromise(Effect.scoped(Effect.provide(program, egress)))
 * ready // => true
 * parts[0]?.state // => "idle"
 * ```
 */
export const Readiness = Schema.Struct({ ready: Schema.Boolean, parts: Schema.Array(Part) })
export type Readiness = typeof Readiness.Type

const stateOf = (isUsable: boolean, failures: number): Part["state"] => {
  if (isUsable) return failures === 0 ? "ready" : "outage"
  return failures === 0 ? "idle" : "unavailable"
}

const partOf = (
  kind: Part["kind"],
  name: string,
  worksUntil: DateTime.Utc | undefined,
  failures: number,
  now: number
): Part => ({
  kind,
  name,
  state: stateOf(worksUntil !== undefined, failures),
  ...(worksUntil === undefined ? undefined : {
    worksUntil,
    offlineSeconds: Math.max(0, Math.floor((DateTime.toEpochMillis(worksUntil) - now) / 1000))
  })
})

/** Reports the state of the parts. It asks no server. */
export const report = ({ keys = [], tokens = [] }: Options): Effect.Effect<Readiness> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const ofKeys = yield* Effect.forEach(keys, ({ issuer, status }) =>
      Effect.map(status, ({ errorCount, staleUntil }) =>
        partOf("keys", issuer, staleUntil, errorCount, now)))
    const ofTokens = yield* Effect.forEach(tokens, ({ server, status }) =>
      Effect.map(status, ({ consecutiveFailures, lastFailure, usableUntil }) =>
        partOf(
          "token",
          server,
          usableUntil === undefined ? undefined : DateTime.makeUnsafe(usableUntil),
          // A refusal by the authorization server is not counted as a failure.
          lastFailure === undefined ? 0 : Math.max(1, consecutiveFailures),
          now
        )))
    const parts = [...ofKeys, ...ofTokens]
    return {
      ready: parts.every(({ state }) =>
        state !== "unavailable"
      ),
      parts
    }
  })

const encode = Schema.encodeSync(Readiness)

/**
 * A route that responds with the report as JSON: 200 if the application is ready, 503 if not. It needs no authentication and asks no
 * server; serve it where only your infrastructure can reach it.
 */
export const layer = (
  { path, ...options }: Options & {
    /** The path of the route, such as `/readyz`. Required. */
    readonly path: HttpRouter.PathInput
  }
): Layer.Layer<never, never, HttpRouter.HttpRouter> =>
  HttpRouter.add(
    "GET",
    path,
    Effect.map(report(options), (readiness) =>
      HttpServerResponse.jsonUnsafe(encode(readiness), {
        status: readiness.ready ? 200 : 503,
        headers: { "cache-control": "no-store" }
      }))
  )
