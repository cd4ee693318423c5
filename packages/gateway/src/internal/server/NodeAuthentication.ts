/**
 * The authentication of one policy: its validator with its keys.
 */
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import type { Egress } from "@keelson/jwks/Egress"
import type * as KeySource from "@keelson/jwks/KeySource"
import * as BearerAuthentication from "@keelson/token/BearerAuthentication"
import * as Claims from "@keelson/token/Claims"
import * as HttpSecurity from "@keelson/token/HttpSecurity"
import * as Principal from "@keelson/token/Principal"
import * as TokenValidator from "@keelson/token/TokenValidator"
import * as ValidatorOptions from "@keelson/token/ValidatorOptions"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import type { Auth } from "../../AuthOptions.ts"
import { claimOf } from "./authorize.ts"
import type { Authenticate } from "./NodeServed.ts"

/** The claims that RFC 7519 registers, and all others as they are. */
const AnyClaims = Schema.StructWithRest(
  Schema.Struct({ ...Claims.Jwt.fields, aud: Schema.optionalKey(Claims.Audience) }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** The roles in a claim: text, or a list of texts. */
const rolesIn = (name: string) => (claims: object): ReadonlyArray<string> => {
  const claim = claimOf(claims, name)
  return (Array.isArray(claim) ? claim : [claim]).filter((role) => typeof role === "string")
}

/** The authentication of a policy. */
export interface Authentication {
  readonly authenticate: Authenticate
  /** The names of the headers that may contain the token. */
  readonly vary: string
  readonly tokenParameter: string | undefined
}

const ownNames = ["realm", "rolesClaim", "header", "queryParameter", "cookie"] as const

/** Makes the authentication of a policy. Keys are fetched in the background: an issuer that is down is not a failure. */
export const makeAuthentication = Effect.fnUntraced(function*(
  name: string,
  auth: Auth
): Effect.fn.Return<
  Authentication,
  ConfigurationError | KeySource.BuildError,
  Egress | FileSystem.FileSystem | Scope.Scope
> {
  class Tokens extends TokenValidator.Service<Tokens>()(name, { claims: AnyClaims }) {}
  class Caller extends Principal.Service<Caller, typeof AnyClaims.Type>()(`@keelson/gateway/Caller/${name}`, {
    roles: rolesIn(auth.rolesClaim)
  }) {}
  const { cookie, header, queryParameter, realm } = auth
  const settings = {
    validator: Tokens,
    principal: Caller,
    realm,
    ...(header === undefined ? undefined : { header }),
    ...(queryParameter === undefined ? undefined : { queryParameter }),
    ...(cookie === undefined ? undefined : { cookie })
  }
  // The gateway puts no header and no target into spans.
  const redaction = HttpSecurity.layerRedaction(...[header, queryParameter].filter((one) => one !== undefined))
  const validator = yield* Layer.build(
    Layer.merge(ValidatorOptions.layer(Tokens, Struct.omit(auth, ownNames)), redaction)
  )
  const { authenticate } = yield* Effect.provideContext(BearerAuthentication.make(settings), validator)
  return {
    authenticate,
    vary: ["authorization", header?.toLowerCase(), cookie === undefined ? undefined : "cookie"]
      .filter((one) => one !== undefined).join(", "),
    tokenParameter: queryParameter
  }
})
