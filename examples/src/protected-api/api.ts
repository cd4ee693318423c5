/** The contract of the API, which a client may import too: endpoints, scopes, and who calls. */
import { Claims, HttpSecurity, Principal } from "@keelson/token"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"

/** Access tokens of RFC 9068, to which the issuer adds the caller's tenant. */
export const ReportClaims = Schema.Struct({ ...Claims.AccessToken.fields, tenant: Schema.String })

export class Caller extends Principal.Service<Caller, typeof ReportClaims.Type>()("example/Caller") {}

export class Authenticated extends HttpSecurity.Service<Authenticated, Caller>()("example/Authenticated") {}

export const Report = Schema.Struct({ title: Schema.NonEmptyString }).annotate({ identifier: "Report" })

const Reports = HttpApiGroup.make("reports").add(
  HttpApiEndpoint.get("list", "/reports", { success: Schema.Array(Report) }).pipe(
    HttpSecurity.requireScopes(Authenticated, "reports:read")
  ),
  HttpApiEndpoint.post("add", "/reports", { payload: Report, success: Report.pipe(HttpApiSchema.status(201)) }).pipe(
    HttpSecurity.requireScopes(Authenticated, "reports:write")
  ),
  HttpApiEndpoint.delete("clear", "/reports")
).middleware(Authenticated)

const Health = HttpApiGroup.make("health").add(HttpApiEndpoint.get("health", "/health"))

export const Api = HttpApi.make("reports").add(Reports, Health).annotateMerge(
  OpenApi.annotations({ title: "Reports", description: "An example of an API that Keelson protects" })
)
