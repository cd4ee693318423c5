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

/** Who calls the control plane: the one tenant that may be administered, or `*` for all of them. */
export class AdminPrincipal extends Context.Service<AdminPrincipal, { readonly tenantId: string }>()(
  "@keelson/jwks/AdminPrincipal"
) {}

/**
 * Authenticates the caller, and provides the `AdminPrincipal`. Who may call this decides whose keys are trusted: there is
 * no implementation here, and the API cannot be built without one.
 *
 * It fails with `AuthorizationError` (`UNAUTHORIZED`, `FORBIDDEN`), or answers by itself.
 */
export class JwksAdmin extends HttpApiMiddleware.Service<JwksAdmin, { provides: AdminPrincipal }>()(
  "@keelson/jwks/JwksAdmin",
  { error: [problem(401), problem(403)] }
) {}

/** What a request may set of a provider's options: where its keys are, and how long they live. */
export const Registration = Schema.Struct(
  Struct.omit(JwksOptions.JwksOptions.fields, operatorFields)
).annotate({ identifier: "Registration" })

/** A provider of a tenant, with how it is. */
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

/** Ids are checked by the registry, which names what is wrong with them. */
const tenant = { tenantId: Schema.String.annotate({ description: "1 to 64 of A-Z, a-z, 0-9 and -" }) }
const provider = {
  ...tenant,
  providerId: Schema.String.annotate({ description: "1 to 64 of A-Z, a-z, 0-9, _ and -" })
}
const conditional = { "if-none-match": Schema.optionalKey(Schema.String) }

const one = "/tenants/:tenantId/providers/:providerId"

/** The endpoints, all of them for administrators. */
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
