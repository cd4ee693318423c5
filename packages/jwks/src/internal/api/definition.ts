import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as JwksOptions from "../../JwksOptions.ts"
import { JwksStatus } from "../../JwksStatus.ts"
import { operatorFields } from "../registry/operatorFields.ts"
import { problem } from "./problems.ts"

/** The caller of the control plane: the one tenant that the caller may administer, or `*` for all tenants. */
export class AdminPrincipal extends Context.Service<AdminPrincipal, { readonly tenantId: string }>()(
  "@keelson/jwks/AdminPrincipal"
) {}

/**
 * Authenticates the caller and provides the `AdminPrincipal`. Callers of the API decide which keys are trusted, so
 * this package contains no implementation: the application must provide one to build the API.
 *
 * The middleware fails with `AuthorizationError` (`UNAUTHORIZED`, `FORBIDDEN`), or returns a response directly.
 */
export class JwksAdmin extends HttpApiMiddleware.Service<JwksAdmin, { provides: AdminPrincipal }>()(
  "@keelson/jwks/JwksAdmin",
  { error: [problem(401), problem(403)] }
) {}

/** The options of a provider that a request may set: the location of its keys and their lifetimes. */
export const Registration = Schema.Struct(
  Struct.omit(JwksOptions.JwksOptions.fields, operatorFields)
).annotate({ identifier: "Registration" })

/** A tenant's provider and its status. */
export const ProviderStatus = Schema.Struct({
  tenantId: Schema.String,
  providerId: Schema.String,
  issuer: Schema.String,
  status: JwksStatus
}).annotate({ identifier: "ProviderStatus" })

/** A JWK Set (RFC 7517, 5) of public keys. */
const KeySetDocument = Schema.Struct({ keys: Schema.Array(Schema.Record(Schema.String, Schema.String)) })
  .annotate({ identifier: "JwkSet" })
  .pipe(HttpApiSchema.asJson({ contentType: "application/jwk-set+json" }))

/** The registry checks ids, and its errors describe what is wrong. */
const tenant = { tenantId: Schema.String.annotate({ description: "1 to 64 of A-Z, a-z, 0-9 and -" }) }
const provider = {
  ...tenant,
  providerId: Schema.String.annotate({ description: "1 to 64 of A-Z, a-z, 0-9, _ and -" })
}
const conditional = { "if-none-match": Schema.optionalKey(Schema.String) }

const one = "/tenants/:tenantId/providers/:providerId"

/** The endpoints. All endpoints require an administrator. */
export const Providers = HttpApiGroup.make("providers").add(
  HttpApiEndpoint.get("list", "/tenants/:tenantId/providers", {
    params: tenant,
    success: Schema.Array(ProviderStatus)
  }),
  HttpApiEndpoint.put("put", one, {
    params: provider,
    headers: conditional,
    payload: Registration,
    success: HttpApiSchema.Accepted,
    error: [problem(400), problem(409)]
  }),
  HttpApiEndpoint.delete("remove", one, { params: provider, success: HttpApiSchema.NoContent, error: problem(404) }),
  HttpApiEndpoint.get("jwks", `${one}/jwks`, {
    params: provider,
    headers: conditional,
    success: [KeySetDocument, HttpApiSchema.Empty(304)],
    error: [problem(404), problem(410), problem(425), problem(502)]
  }),
  HttpApiEndpoint.post("refresh", `${one}/refresh`, {
    params: provider,
    success: HttpApiSchema.Accepted,
    error: problem(404)
  }),
  HttpApiEndpoint.get("status", `${one}/status`, { params: provider, success: JwksStatus, error: problem(404) })
).middleware(JwksAdmin)

/** The control plane as a separate API. */
export const Api = HttpApi.make("keelson-jwks").add(Providers).annotateMerge(
  OpenApi.annotations({ title: "Keelson JWKS control plane" })
)
