/**
 * A sidecar: programs on this machine get tokens, and send requests with tokens, over HTTP.
 *
 * It reaches only the servers of `TokenGuards`. It listens on a loopback address or a Unix socket, requires a shared secret,
 * rejects requests of browsers, and does not return tokens unless `showTokens` is set.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Host from "@keelson/core/unstable/Host"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as OpenApi from "effect/http-api/OpenApi"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Path from "effect/Path"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { callerCheck, schemaErrors } from "./internal/sidecar/callerCheck.ts"
import { Api } from "./internal/sidecar/contract.ts"
import { handlers } from "./internal/sidecar/handlers.ts"
import type { TokenGuards } from "./TokenGuards.ts"

export { Api } from "./internal/sidecar/contract.ts"

/** The OpenAPI document of the sidecar. */
export const openApi: OpenApi.OpenAPISpec = OpenApi.fromApi(Api)

/** Options of the sidecar. All but `secret` and `operations` may be left out. */
export interface Options {
  /** The secret that callers send as `Authorization: Bearer`. From 32 to 512 characters. Required. */
  readonly secret: Redacted.Redacted
  /** The names of operations that requests may be sent as. Each from 1 to 64 characters. Required. */
  readonly operations: ReadonlyArray<string>
  /** Whether responses contain the token's value, unless the token is bound to a key. Default false. */
  readonly showTokens?: boolean | undefined
  /** Whether responses contain the server's response: status, some headers, and a body of at most 1 MiB. Default false. */
  readonly showResponses?: boolean | undefined
  /**
   * Host names by which callers may address the sidecar besides `localhost` and loopback addresses, as in a container network
   * that forwards to a Unix socket. Default none.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
}

const expectedSecret = "text from 32 to 512 characters"
const expectedOperation = "a to z, 0 to 9 and _, from 1 to 64 characters"

/** Checked options of the sidecar. */
export const TokenSidecarOptions = Schema.Struct({
  secret: Schema.RedactedFromValue(
    Schema.String.check(
      Schema.isMinLength(32, { expected: expectedSecret }),
      Schema.isMaxLength(512, { expected: expectedSecret })
    ),
    { label: "secret" }
  ),
  operations: Schema.Array(
    Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/, { expected: expectedOperation }))
  ),
  showTokens: Field.defaulted(Schema.Boolean, false),
  showResponses: Field.defaulted(Schema.Boolean, false),
  hosts: Field.defaulted(
    Schema.Array(
      Schema.String.check(
        Schema.makeFilter((host: string) => Host.canonical(host) !== undefined, { expected: "a host name" })
      )
    ),
    []
  )
})
export type TokenSidecarOptions = typeof TokenSidecarOptions.Type

const decoders = Decoders.decoders<Options, typeof TokenSidecarOptions>(TokenSidecarOptions)

const reachableServer = () =>
  InvalidConfig.option("host", "a loopback address, or a Unix socket", {
    message: "The token sidecar must not listen on an address that other machines can reach"
  })

/** Whether the server listens on an address that other machines cannot reach. Does not depend on headers of requests. */
const isLocalOnly = (address: NetAddress.SocketAddress): boolean =>
  !NetAddress.isInetAddress(address) || Host.isLoopbackAddress(address.address)

/** What the sidecar's routes need. */
type Requirements =
  | TokenGuards
  | HttpRouter.HttpRouter
  | HttpServer.HttpServer
  | Etag.Generator
  | FileSystem.FileSystem
  | HttpPlatform.HttpPlatform
  | Path.Path

const layerOf = (
  options: Effect.Effect<TokenSidecarOptions, KeelsonError.ConfigurationError>
): Layer.Layer<never, KeelsonError.ConfigurationError, Requirements> =>
  Layer.unwrap(Effect.gen(function*() {
    const checked = yield* options
    const { address } = yield* HttpServer.HttpServer
    if (!isLocalOnly(address)) return yield* Effect.fail(reachableServer())
    return HttpApiBuilder.layer(Api).pipe(
      Layer.provide(handlers(Struct.pick(checked, ["operations", "showResponses", "showTokens"]))),
      Layer.provide([callerCheck(checked), schemaErrors])
    )
  }))

/**
 * The routes of the sidecar, for an `HttpRouter`.
 *
 * - `POST /sdk/token/ensure`: 200 if the cached token is valid, 202 if it was acquired or refreshed, 503 without a token.
 * - `POST /sdk/request/send`: 202 if the server responded, also with an error status that the caller must handle; 401 if no
 *   valid token could be acquired, or the server rejected the token after a refresh; 429 once the attempts are spent, with
 *   a `Retry-After` if one is known; 500 for a failure that a retry cannot fix.
 *
 * Both: 400 if the request does not match the API schema, 401 without the secret, 403 from a browser or another machine. Requests
 * are retried according to the server's `resilience`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, also if the server listens neither on a
 * loopback address nor on a Unix socket.
 *
 * **Example** (Routes over configured servers)
 *
 * ```ts import.meta.vitest
 * import { TokenGuards, TokenSidecar } from "@keelson/token"
 * import { Layer, Redacted } from "effect"
 *
 * const client = { issuer: "https://idp.example", clientId: "app", clientSecret: Redacted.make("from a vault") }
 * const routes = TokenSidecar.layer({
 *   secret: Redacted.make("a secret of at least 32 characters"),
 *   operations: ["append_rows"]
 * }).pipe(Layer.provide(TokenGuards.layer({ billing: { url: "https://billing.example", client } })))
 *
 * // Serve it with `HttpRouter.serve(routes)` on 127.0.0.1 or a Unix socket.
 * Layer.isLayer(routes) // => true
 * ```
 */
export const layer = (options: Options): Layer.Layer<never, KeelsonError.ConfigurationError, Requirements> =>
  layerOf(decoders.decode(options))

/** `layer` with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path
): Layer.Layer<never, KeelsonError.ConfigurationError, Requirements> => layerOf(decoders.config(path))
