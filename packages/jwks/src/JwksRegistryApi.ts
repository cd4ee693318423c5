/**
 * The control plane of a `JwksRegistry`: an HTTP API that registers, removes, refreshes and shows providers.
 *
 * A caller who may register a provider decides whose keys are trusted. So the application must authenticate callers with a
 * layer of `JwksAdmin`, which has no default. A caller reaches its own tenant only, cannot set egress rules, and can force a
 * refresh of a provider once in 10 seconds.
 */
import type * as FileSystem from "effect/FileSystem"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as OpenApi from "effect/http-api/OpenApi"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import { Api, type JwksAdmin } from "./internal/api/definition.ts"
import { handlers } from "./internal/api/handlers.ts"
import type { JwksRegistry } from "./JwksRegistry.ts"

export { AdminPrincipal, Api, JwksAdmin, Providers, ProviderStatus, Registration } from "./internal/api/definition.ts"
export { handlers } from "./internal/api/handlers.ts"

/**
 * The OpenAPI document of the API.
 *
 * **Example** (The paths of the API)
 *
 * ```ts import.meta.vitest
 * import * as JwksRegistryApi from "@keelson/jwks/JwksRegistryApi"
 *
 * const paths = Object.keys(JwksRegistryApi.openApi.paths)
 * paths.includes("/tenants/{tenantId}/providers/{providerId}") // => true
 * ```
 */
export const openApi: OpenApi.OpenAPISpec = OpenApi.fromApi(Api)

/** The options of the routes. */
export interface Options {
  /** Path at which the OpenAPI document is served, without authentication. Default none. */
  readonly openapiPath?: `/${string}` | undefined
}

/**
 * Adds the routes of the API to an `HttpRouter`:
 *
 * - `PUT /tenants/:tenantId/providers/:providerId` registers or changes (202; with `If-None-Match: *` only what is new);
 *   `DELETE` removes (204).
 * - `GET .../jwks` returns the cached public keys, and never waits for a fetch; it may be conditional.
 * - `POST .../refresh` starts a fetch (202), at most once in 10 seconds; `GET .../status` returns the status.
 * - `GET /tenants/:tenantId/providers` returns the status of all providers.
 *
 * Errors are problem details (RFC 9457).
 */
export const layer = (options?: Options): Layer.Layer<
  never,
  never,
  | JwksAdmin
  | JwksRegistry
  | HttpRouter.HttpRouter
  | Etag.Generator
  | FileSystem.FileSystem
  | HttpPlatform.HttpPlatform
  | Path.Path
> => Layer.provide(HttpApiBuilder.layer(Api, options), handlers)
