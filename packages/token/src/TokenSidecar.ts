/**
 * A sidecar: programs of this machine get tokens, and have requests sent with them, over HTTP.
 *
 * It reaches the servers of `TokenGuards` and nothing else. It listens on loopback or on a Unix socket, lets nobody in
 * without the shared secret, answers no browser, and keeps the tokens to itself unless it was told otherwise.
 */
import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Host from "@keelson/core/unstable/Host"
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
import { Api } from "./internal/sidecar/contract.ts"
import { entrance, reading } from "./internal/sidecar/entrance.ts"
import { handlers } from "./internal/sidecar/handlers.ts"
import type { TokenGuards } from "./TokenGuards.ts"

export { Api, Tokens } from "./internal/sidecar/contract.ts"

/** The OpenAPI document of the sidecar. */
export const openApi: OpenApi.OpenAPISpec = OpenApi.fromApi(Api)

const expectedSecret = "text from 32 to 512 characters"
const expectedOperation = "a to z, 0 to 9 and _, from 1 to 64 characters"

/** The fields of the sidecar's options. */
export const fields = {
  /** What callers have to know, sent as `Authorization: Bearer`. From 32 to 512 characters. Required. */
  secret: Schema.RedactedFromValue(
    Schema.String.check(
      Schema.isMinLength(32, { expected: expectedSecret }),
      Schema.isMaxLength(512, { expected: expectedSecret })
    ),
    { label: "secret" }
  ),
  /** The names that requests are sent under. Each from 1 to 64 characters. Default discover_ingest_host, get_scoped_token, open_channel, append_rows. */
  operations: Field.defaulted(
    Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/, { expected: expectedOperation }))),
    ["discover_ingest_host", "get_scoped_token", "open_channel", "append_rows"]
  ),
  /** Whether answers have the token's value. Default false. */
  showTokens: Field.defaulted(Schema.Boolean, false),
  /** Whether answers have that of the server: status, some headers, and a body of at most 1 MiB. Default false. */
  showResponses: Field.defaulted(Schema.Boolean, false),
  /**
   * Host names that the sidecar may be called by besides `localhost` and loopback addresses, as in a container's network
   * that forwards to a Unix socket. Default none.
   */
  hosts: Field.defaulted(
    Schema.Array(
      Schema.String.check(
        Schema.makeFilter((host: string) => Host.canonical(host) !== undefined, { expected: "a host name" })
      )
    ),
    []
  )
}

/** Checked options. */
export const SidecarOptions = Schema.Struct(fields)
export type SidecarOptions = typeof SidecarOptions.Type

/** What `layer` takes. All but the `secret` may be left out. */
export interface Options {
  readonly secret: Redacted.Redacted
  readonly operations?: ReadonlyArray<string> | undefined
  readonly showTokens?: boolean | undefined
  readonly showResponses?: boolean | undefined
  readonly hosts?: ReadonlyArray<string> | undefined
}

const exposed = new KeelsonError.ConfigurationError({
  code: "INVALID_CONFIG",
  message: "The token sidecar listens where other machines may reach it",
  details: { path: "host", expected: "a loopback address, or a Unix socket" }
})

/** Where the server listens must be out of reach for others, whatever the requests say. */
const isOutOfReach = (address: NetAddress.SocketAddress): boolean =>
  !NetAddress.isInetAddress(address) || Host.isLoopbackAddress(address.address)

type Needed =
  | TokenGuards
  | HttpRouter.HttpRouter
  | HttpServer.HttpServer
  | Etag.Generator
  | FileSystem.FileSystem
  | HttpPlatform.HttpPlatform
  | Path.Path

const routes = (
  options: Effect.Effect<SidecarOptions, KeelsonError.ConfigurationError>
): Layer.Layer<never, KeelsonError.ConfigurationError, Needed> =>
  Layer.unwrap(Effect.gen(function*() {
    const checked = yield* options
    const { address } = yield* HttpServer.HttpServer
    if (!isOutOfReach(address)) return yield* Effect.fail(exposed)
    return HttpApiBuilder.layer(Api).pipe(
      Layer.provide(handlers(Struct.pick(checked, ["operations", "showResponses", "showTokens"]))),
      Layer.provide([entrance(checked), reading])
    )
  }))

const decode = Configuration.decode(SidecarOptions)

/**
 * Routes of the sidecar, to be served by an `HttpRouter`:
 *
 * - `POST /sdk/token/ensure`: 200 where the token held is valid, 202 where it was acquired or refreshed, 503 without one.
 * - `POST /sdk/request/send`: 202 where the server answered, also with an answer that is the caller's to deal with; 401 where
 *   no valid token was to be had, or was refused after the refresh; 429, with a `Retry-After` where one is known, once the
 *   attempts are spent; 500 for what repeating does not mend.
 *
 * Both: 400 for what is not as the contract has it, 401 without the secret, 403 from a browser or another machine. The
 * requests are retried where the server's `resilience` says so.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, also where the server listens neither
 * on a loopback address nor on a Unix socket.
 */
export const layer = (options: Options): Layer.Layer<never, KeelsonError.ConfigurationError, Needed> =>
  routes(decode(options))

/** `layer` with options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path
): Layer.Layer<never, KeelsonError.ConfigurationError, Needed> =>
  routes(Configuration.fromEnvironment(SidecarOptions, path))
