/** The protected API. */
import { type Claims, HttpSecurity, Principal } from "@keelson/token"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

/** The authenticated caller. */
export class Caller extends Principal.Service<Caller, Claims.AccessToken>()("survival/Caller") {}

export class Authenticated extends HttpSecurity.Service<Authenticated, Caller>()("survival/Authenticated") {}

const Orders = HttpApiGroup.make("orders").add(
  HttpApiEndpoint.get("list", "/orders", { success: Schema.Struct({ of: Schema.String }) }).pipe(
    HttpSecurity.requireScopes(Authenticated, "orders:read")
  )
)

export const Api = HttpApi.make("orders").add(Orders)
