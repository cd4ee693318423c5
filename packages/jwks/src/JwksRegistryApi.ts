/**
 * The control plane of a `JwksRegistry`: providers are registered, removed, refreshed and looked at over HTTP.
 *
 * Whoever may register a provider decides whose keys are trusted. So who calls is for the application to say, with a layer
 * of `JwksAdmin` that there is no default for; a caller reaches its own tenant only, cannot touch the rules of egress, and
 * can force a refresh of a provider once in 10 seconds. Errors are problem details (RFC 9457).
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

/** The OpenAPI document of the API. */
export const openApi: OpenApi.OpenAPISpec = OpenApi.fromApi(Api)

/**
 * Routes of the API, to be served by an `HttpRouter`:
 *
 * - `PUT /tenants/:tenantId/providers/:providerId` registers or changes (202; with `If-None-Match: *` only what is new);
 *   `DELETE` removes (204).
 * - `GET .../jwks` answers with the public keys that are held, and never waits for a fetch; conditional.
 * - `POST .../refresh` has them fetched (202), at most once in 10 seconds; `GET .../status` tells how they are.
 * - `GET /tenants/:tenantId/providers` tells it of all.
 *
 * - `openapiPath`: where the OpenAPI document is served, to anybody. Default: nowhere.
 */
export const layer = (options?: { readonly openapiPath?: `/${string}` | undefined }): Layer.Layer<
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
