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
import { Entrance, Reading } from "./contract.ts"

/** More than any request of the contract has. */
const maxBodySize = ByteSize.mebibytes(1)

const digest = (text: string): Effect.Effect<Uint8Array> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
    (hash) => new Uint8Array(hash)
  )

/** In a time that does not depend on where they differ: digests have one length, and every octet is looked at. */
const areEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.reduce((difference, octet, index) => difference | (octet ^ (b[index] ?? 0)), a.length ^ b.length) === 0

/** The host of a `Host` header, in its one form. */
const hostOf = (header: string | undefined): string | undefined =>
  header === undefined ? undefined : Host.canonical(header.replace(/:\d{1,5}$/, ""))

/**
 * A page in a browser on this machine reaches loopback ports too. Its requests say so: by an `Origin`, or by a `Host` that was
 * made to resolve here.
 */
const isForeign = (request: HttpServerRequest.HttpServerRequest, hosts: ReadonlySet<string>): boolean => {
  const host = hostOf(request.headers["host"])
  return host === undefined || !(Host.isLocal(host) || hosts.has(host)) || request.headers["origin"] !== undefined ||
    request.headers["access-control-request-method"] !== undefined || !isNear(request)
}

/** From this machine, as far as that is known: a Unix socket has no address. */
const isNear = ({ remoteAddress }: HttpServerRequest.HttpServerRequest): boolean =>
  Option.match(remoteAddress, {
    onNone: () => true,
    onSome: (text) =>
      Result.match(NetAddress.ipFromString(text), { onFailure: () => false, onSuccess: Host.isLoopbackAddress })
  })

const forbidden = { error_code: "forbidden", message: "Requests come from this machine, and from no browser" } as const
const unauthenticated = { error_code: "unauthenticated", message: "The secret is missing or wrong" } as const

/** Lets in who is on this machine and has the secret. */
export const entrance = (
  { hosts, secret }: { readonly hosts: ReadonlyArray<string>; readonly secret: Redacted.Redacted }
): Layer.Layer<Entrance> =>
  Layer.effect(
    Entrance,
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

/** What was wrong is said in general: a request may hold secrets. */
export const reading: Layer.Layer<Reading> = HttpApiMiddleware.layerSchemaErrorTransform(
  Reading,
  ({ kind }) =>
    Effect.fail({ error_code: "invalid_request", message: `The ${kind.toLowerCase()} is not as the contract has it` })
)
