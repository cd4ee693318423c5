import * as Host from "@keelson/core/unstable/Host"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { CallerCheck, SchemaErrors } from "./contract.ts"

/** Larger than any valid request. */
const maxBodySize = ByteSize.mebibytes(1)

const digest = (text: string): Effect.Effect<Uint8Array> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
    (hash) => new Uint8Array(hash)
  )

/** Compares two digests in constant time: they have the same length, and every byte is compared. */
const areEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.reduce((difference, byte, index) => difference | (byte ^ (b[index] ?? 0)), a.length ^ b.length) === 0

/** The canonical host of a `Host` header. */
const hostOf = (header: string | undefined): string | undefined =>
  header === undefined ? undefined : Host.canonical(header.replace(/:\d{1,5}$/, ""))

/**
 * Whether a request comes from another machine or from a browser. A web page in a browser on this machine can reach loopback ports
 * too; its requests have an `Origin`, or a `Host` that was made to resolve to this machine.
 */
const isForeign = (request: HttpServerRequest.HttpServerRequest, hosts: ReadonlySet<string>): boolean => {
  const host = hostOf(request.headers["host"])
  return host === undefined || !(Host.isLocal(host) || hosts.has(host)) || request.headers["origin"] !== undefined ||
    request.headers["access-control-request-method"] !== undefined || !isFromThisMachine(request)
}

/** Whether the caller's address is a loopback address. A Unix socket has no address and is always local. */
const isFromThisMachine = ({ remoteAddress }: HttpServerRequest.HttpServerRequest): boolean =>
  Option.match(remoteAddress, {
    onNone: () => true,
    onSome: (text) =>
      Result.match(NetAddress.ipFromString(text), { onFailure: () => false, onSuccess: Host.isLoopbackAddress })
  })

const forbidden = {
  errorCode: "forbidden",
  message: "Only non-browser clients on this machine are allowed"
} as const
const unauthenticated = { errorCode: "unauthenticated", message: "The secret is missing or wrong" } as const

/** Allows callers on this machine that have the secret. */
export const callerCheck = (
  { hosts, secret }: { readonly hosts: ReadonlyArray<string>; readonly secret: Redacted.Redacted }
): Layer.Layer<CallerCheck> =>
  Layer.effect(
    CallerCheck,
    Effect.map(digest(Redacted.value(secret)), (expected) => {
      const allowed = new Set(hosts.flatMap((host) => Host.canonical(host) ?? []))
      return {
        secret: (handler, { credential }) =>
          Effect.gen(function*() {
            const request = yield* HttpServerRequest.HttpServerRequest
            if (isForeign(request, allowed)) return yield* Effect.fail(forbidden)
            if (!areEqual(yield* digest(Redacted.value(credential)), expected)) {
              return yield* Effect.fail(unauthenticated)
            }
            return yield* Effect.provideService(handler, HttpIncomingMessage.MaxBodySize, maxBodySize)
          })
      }
    })
  )

/** The message names no detail of the request, which may contain secrets. */
export const schemaErrors: Layer.Layer<SchemaErrors> = HttpApiMiddleware.layerSchemaErrorTransform(
  SchemaErrors,
  ({ kind }) =>
    Effect.fail({ errorCode: "invalid_request", message: `The ${kind.toLowerCase()} does not match the API schema` })
)
