/**
 * Back-channel logout: an OpenID provider posts a logout token when a user logs out, and the tokens of the session are revoked at
 * once, in every process that shares the list of revocations.
 *
 * @see OpenID Connect Back-Channel Logout 1.0
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as KeySource from "@keelson/jwks/KeySource"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerError from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { BackChannelLogoutError } from "./BackChannelLogoutError.ts"
import * as BackChannelLogoutOptions from "./BackChannelLogoutOptions.ts"
import { Logout, reject } from "./internal/logout/logout.ts"
import { checkHead, invalidRequests, maxBodyLength, readLogoutToken } from "./internal/logout/logoutRequest.ts"
import { failure, success } from "./internal/logout/logoutResponse.ts"
import { LogoutClaims, policyOf } from "./internal/logout/logoutToken.ts"
import * as Revocation from "./Revocation.ts"
import * as TokenValidator from "./TokenValidator.ts"

/** A logout request, for a server without Effect. */
export interface LogoutRequest {
  /** The HTTP method. */
  readonly method: string
  /** The value of the header `Content-Type`. */
  readonly contentType: string | undefined
  /** The body as text. Read at most `maxBodyBytes` of it. */
  readonly body: string
}

/** The response to a logout request: a 200, a 400 or a 503, none of which may be cached. */
export interface LogoutResponse {
  readonly status: 200 | 400 | 503
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Handles the logout requests of an OpenID provider. */
export interface BackChannelLogout {
  /**
   * Validates a logout token and revokes what it ends, which it returns.
   *
   * Fails with `BackChannelLogoutError`: a 400 for a token that is not valid or was used before, a 503 where keys or the list of
   * revocations are unavailable.
   */
  readonly logout: (
    logoutToken: string | Redacted.Redacted
  ) => Effect.Effect<Revocation.Subject, BackChannelLogoutError>
  /** Handles a request of a server without Effect. It never fails. */
  readonly respond: (request: LogoutRequest) => Effect.Effect<LogoutResponse>
  /** Upper bound of the bytes of a request's body. A longer one is rejected. */
  readonly maxBodyBytes: number
}

interface Handlers extends BackChannelLogout {
  /** Handles a request of `HttpRouter`. Its head is checked before its body is read. */
  readonly handle: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}

const decode = Configuration.decode(BackChannelLogoutOptions.BackChannelLogoutOptions)

const makeHandlers = Effect.fnUntraced(function*(
  given: BackChannelLogoutOptions.Options
): Effect.fn.Return<
  Handlers,
  KeelsonError.ConfigurationError,
  KeySource.KeySource | Revocation.Revocation | Scope.Scope
> {
  const options = yield* decode(given)
  const validator = yield* TokenValidator.make("BackChannelLogout", { claims: LogoutClaims, policy: policyOf(options) })
  const { end } = new Logout({ options, validator, revocation: yield* Revocation.Revocation })
  const maxBodyBytes = maxBodyLength(options.maxLength)
  const logoutWith = (body: string) =>
    Effect.flatMap(
      Effect.suspend(() =>
        Result.match(readLogoutToken(body, options.maxLength), { onFailure: reject, onSuccess: end })
      ),
      () => Effect.succeed(success)
    )
  const responseOf = (response: Effect.Effect<LogoutResponse, BackChannelLogoutError>) =>
    Effect.catch(response, (error) => Effect.succeed(failure(error)))
  return {
    maxBodyBytes,
    logout: end,
    respond: ({ body, contentType, method }) => {
      const reason = checkHead(method, contentType)
      return responseOf(reason === undefined ? logoutWith(body) : reject(reason))
    },
    handle: (request) => {
      const reason = checkHead(request.method, request.headers["content-type"])
      const body = Effect.provideService(request.text, HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodyBytes))
      const response = reason === undefined
        ? Effect.matchEffect(body, { onFailure: rejectBody, onSuccess: logoutWith })
        : reject(reason)
      return Effect.map(responseOf(response), toServerResponse)
    }
  }
})

const rejectBody = ({ reason }: HttpServerError.HttpServerError) =>
  reject("reason" in reason && reason.reason === "BodyTooLarge" ? invalidRequests.size : invalidRequests.body)

const toServerResponse = ({ body, headers, status }: LogoutResponse): HttpServerResponse.HttpServerResponse =>
  body === ""
    ? HttpServerResponse.empty({ status, headers })
    : HttpServerResponse.text(body, { status, headers, contentType: "application/json" })

/**
 * Makes the handler of logout requests, for a server without Effect, or to end sessions of your own in addition: `logout` returns
 * what was revoked.
 *
 * Logout tokens are validated as ID tokens are (2.6), with the keys of the `KeySource`; `events`, `jti` and `sid` or `sub` must be
 * there, and `nonce` must not. Each is accepted once, in all processes that share the list of revocations.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (A request of the provider)
 *
 * ```ts import.meta.vitest
 * import { BackChannelLogout, Revocation, ValidationPolicy } from "@keelson/token"
 * import { TestIssuer } from "@keelson/token/testing"
 * import { Effect, Layer } from "effect"
 *
 * const policy = { issuers: ["https://idp.example"], audiences: ["web"], algorithms: ["ES256"] } as const
 *
 * const program = Effect.gen(function*() {
 *   const { respond } = yield* BackChannelLogout.make({ ...policy, tokenLifetime: "1 hour" })
 *   const { logoutToken } = yield* TestIssuer.TestIssuer
 *   const body = new URLSearchParams({ logout_token: yield* logoutToken({ sid: "session-1" }) }).toString()
 *   const request = { method: "POST", contentType: "application/x-www-form-urlencoded", body }
 *   const first = yield* respond(request)
 *   const second = yield* respond(request)
 *   return [first.status, second.status]
 * })
 * const test = Layer.merge(
 *   Revocation.layerMemory(),
 *   TestIssuer.layer({ policy: ValidationPolicy.idToken(policy) })
 * )
 * await Effect.runPromise(Effect.scoped(Effect.provide(program, test))) // => [200, 400]
 * ```
 */
export const make: (
  options: BackChannelLogoutOptions.Options
) => Effect.Effect<
  BackChannelLogout,
  KeelsonError.ConfigurationError,
  KeySource.KeySource | Revocation.Revocation | Scope.Scope
> = makeHandlers

/** Options of `layer`. */
export interface RouteOptions extends BackChannelLogoutOptions.Options {
  /** The path of the route, which is that of the client's `backchannel_logout_uri`. Required. */
  readonly path: HttpRouter.PathInput
}

/**
 * The route of an `HttpRouter` to which the provider posts logout tokens:
 * `BackChannelLogout.layer({ path: "/logout/back-channel", ...options })`. The route needs no authentication: the logout token is
 * what authenticates the provider.
 *
 * It responds with 200, with 400 to a request that is not valid, and with 503 where keys or the list of revocations are unavailable,
 * always with `Cache-Control: no-store` (2.8). Fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layer = (
  { path, ...options }: RouteOptions
): Layer.Layer<
  never,
  KeelsonError.ConfigurationError,
  HttpRouter.HttpRouter | KeySource.KeySource | Revocation.Revocation
> =>
  Layer.effectDiscard(
    Effect.flatMap(makeHandlers(options), ({ handle }) =>
      HttpRouter.HttpRouter.use((router) => router.add("POST", path, handle)))
  )
