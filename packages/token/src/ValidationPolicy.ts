/**
 * The policy of a validator: which tokens it accepts.
 *
 * Issuers, audiences and algorithms are mandatory, and expiry is always checked: there is no policy without them.
 *
 * @see RFC 8725; RFC 9068, 4; OpenID Connect Core 1.0, 3.1.3.7; SPIFFE JWT-SVID
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Algorithms from "@keelson/jwks/Algorithm"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { expandIssuer, isTemplate, placeholder, trustDomainId } from "./internal/validation/issuers.ts"
import { hasTrustDomain } from "./internal/validation/trustDomain.ts"

const list = <S extends Schema.Constraint>(item: S, maximum: number, what: string) => {
  const expected = `a list of 1 to ${maximum} ${what}`
  return Schema.Array(item).check(Schema.isMinLength(1, { expected }), Schema.isMaxLength(maximum, { expected }))
}

/** An accepted algorithm: of public keys (RFC 7518, 3.3 to 3.5; RFC 8037, 3.1; RFC 9864, 2.2) or of secrets (RFC 7518, 3.2). */
export type Algorithm = Algorithms.Algorithm

/** Issuers that differ only by their tenant and share one key set, such as those of Entra ID. */
export interface IssuerTemplateOptions {
  /**
   * The issuer, with `{tenantid}` (upper or lower case) once in place of the tenant. It is also the issuer's name in the key source. From 1 to 2048
   * characters. Required.
   */
  readonly template: string
  /**
   * The trusted tenants. From 1 to 10000 tenants; or, in code, a function that returns whether it trusts a tenant, for example by
   * a set in memory. It is called at each use of a token, also before the token is verified, with text from 1 to 256 characters
   * without `/`, and must not throw. There is no wildcard for all tenants. Required.
   */
  readonly tenants: ReadonlyArray<string> | TrustsTenant
}

/** Returns whether a tenant is trusted. */
export type TrustsTenant = (tenant: string) => boolean

const onlyInCode = SchemaGetter.forbidden<never, unknown>(() => "A function of the tenant can only be given in code")

/** What the URLs of Entra ID accept in place of a tenant. No token has one of these in its issuer. */
const entraAliases: ReadonlySet<string> = new Set(["common", "organizations", "consumers"])

const isEntra = (template: string): boolean =>
  /^https:\/\/login\.(?:partner\.)?microsoftonline\.(?:com|us|cn)\//.test(template)

/** A checked issuer template. */
export const IssuerTemplate = Schema.Struct({
  template: Field.text(1, 2048).check(
    Schema.makeFilter(isTemplate, {
      expected: `text with ${placeholder} once`
    })
  ),
  tenants: Schema.Union([
    list(
      Field.text(1, 256).check(
        Schema.makeFilter((tenant: string) => !/[*{}/]/.test(tenant), {
          expected: "a tenant: there is no wildcard for all tenants, but tenants can be a function"
        })
      ),
      10_000,
      "tenants"
    ),
    // A file or the environment cannot contain a function.
    Schema.declare((u: unknown): u is TrustsTenant => typeof u === "function", {
      expected: "a list of 1 to 10000 tenants, or a function of the tenant",
      toCodec: () => Schema.link<TrustsTenant>()(Schema.Never, { decode: onlyInCode, encode: onlyInCode })
    })
  ])
}).check(
  Schema.makeFilter(({ template, tenants }) => {
    const index = Array.isArray(tenants) && isEntra(template)
      ? tenants.findIndex((tenant) => entraAliases.has(tenant.toLowerCase()))
      : -1
    return index === -1 || { path: ["tenants", index], issue: "the id of a tenant, which tokens have in their issuer" }
  })
)
export type IssuerTemplate = typeof IssuerTemplate.Type

/** The name of a trust domain (SPIFFE ID, 2.1). */
const TrustDomain = Schema.String.check(
  Schema.isPattern(/^[a-z0-9._-]{1,255}$/, {
    expected: "a trust domain: 1 to 255 lower case letters, digits, dots, hyphens and underscores"
  })
)

/** Options of a policy, without its profile. */
export interface PresetOptions {
  /**
   * The trusted issuers (`iss`), compared character by character; or a template with its tenants. From 1 to 1000 issuers,
   * each once. Required.
   */
  readonly issuers: ReadonlyArray<string | IssuerTemplateOptions>
  /**
   * The accepted audiences: a token must have one of these in `aud`. For ID tokens, the client's id. From 1 to 64 audiences.
   * Required.
   */
  readonly audiences: ReadonlyArray<string>
  /**
   * The claim that contains the audience, as text or a list of texts. Some issuers' tokens have no `aud`, but the client in
   * `client_id` (Amazon Cognito) or in `azp` (Clerk). From 1 to 256 characters. Default aud.
   */
  readonly audienceClaim?: string | undefined
  /**
   * The accepted authorized parties: a token must have one of these in `azp`, for example the ids of the clients that may request
   * tokens for this one. If left out, `azp` is not checked (OpenID Connect Core 1.0 errata 2, 3.1.3.7). From 1 to 64
   * authorized parties. Default none.
   */
  readonly authorizedParties?: ReadonlyArray<string> | undefined
  /** The accepted signature algorithms. From 1 to 14 algorithms. Required. */
  readonly algorithms: ReadonlyArray<Algorithm>
  /**
   * The accepted media types in `typ`, with or without `application/`, compared without case. If left out, `at+jwt` for access tokens
   * and `JWT` for others. From 1 to 16 types. Default none.
   */
  readonly types?: ReadonlyArray<string> | undefined
  /** Whether a token without `typ` is rejected. If left out, only access tokens are. Default none. */
  readonly requireType?: boolean | undefined
  /** Claims that must be present, in addition to those of the profile; at most 64 names. Default none. */
  readonly requiredClaims?: ReadonlyArray<string> | undefined
  /** How far the clocks of issuer and validator may differ. From 0 millis to 5 minutes. Default 30 seconds. */
  readonly clockTolerance?: Field.DurationInput | undefined
  /** How long ago a token may have been issued (`iat`). From 1 second to 8760 hours. Default none. */
  readonly maxAge?: Field.DurationInput | undefined
  /**
   * Whether each call must give the `nonce` of an ID token (OpenID Connect Core 1.0, 3.1.3.7): `optional` only checks it where
   * the call gives one. Has no effect on other tokens. Default required.
   */
  readonly nonce?: "required" | "optional" | undefined
  /** Upper bound of a token's characters. From 256 to 65536. Default 16384. */
  readonly maxLength?: number | undefined
  /** Upper bound of the levels of its claims. From 1 to 32. Default 8. */
  readonly maxDepth?: number | undefined
  /** Upper bound of the members of its claims, nested ones included. From 8 to 4096. Default 256. */
  readonly maxMembers?: number | undefined
  /** Upper bound of its audiences. From 1 to 1024. Default 64. */
  readonly maxAudiences?: number | undefined
  /**
   * Upper bound of the verified tokens in the cache. 0 turns the cache off: each use of a token verifies its signature, also
   * concurrent ones, and rejected tokens are not cached either. From 0 to 1000000. Default 20000.
   */
  readonly cacheEntries?: number | undefined
  /** Upper bound of the cache's estimated memory, in bytes. From 65536 to 1073741824. Default 33554432. */
  readonly cacheBytes?: number | undefined
}

/** Options of a policy. */
export interface Options extends PresetOptions {
  /**
   * The kind of token: `accessToken` is RFC 9068, `idToken` is OpenID Connect, `spiffe` is a JWT-SVID of the `trustDomain`, `jwt`
   * is any other. It determines the `typ` and the claims that a token must have. Default jwt.
   */
  readonly profile?: Profile | undefined
  /**
   * The trust domain of a JWT-SVID, without `spiffe://`, in lower case. Its SPIFFE ID must be the first of `issuers`. Required for
   * the profile `spiffe`, and only allowed there. Default none.
   */
  readonly trustDomain?: string | undefined
}

/** A kind of token. */
export type Profile = "jwt" | "accessToken" | "idToken" | "spiffe"

/** Options of `spiffe`. */
export interface SpiffeOptions extends Omit<PresetOptions, "algorithms" | "issuers"> {
  /** The trust domain, without `spiffe://`, in lower case. From 1 to 255 characters. Required. */
  readonly trustDomain: string
  /**
   * Values of `iss` that are accepted beside the SPIFFE ID of the trust domain, such as the `jwt_issuer` of SPIRE. A JWT-SVID
   * without `iss` is accepted anyway. From 1 to 999 issuers. Default none.
   */
  readonly issuers?: ReadonlyArray<string> | undefined
  /**
   * The accepted signature algorithms. From 1 to 14 algorithms. Default: those of JWT-SVIDs, which are RS256, RS384, RS512, ES256,
   * ES384, ES512, PS256, PS384 and PS512.
   */
  readonly algorithms?: ReadonlyArray<Algorithm> | undefined
}

const Fields = Schema.Struct({
  profile: Field.defaulted(Schema.Literals(["jwt", "accessToken", "idToken", "spiffe"]), "jwt"),
  trustDomain: Schema.optionalKey(TrustDomain),
  issuers: list(Schema.Union([Field.text(1, 2048), IssuerTemplate]), 1000, "issuers").check(
    Schema.makeFilter((issuers: ReadonlyArray<string | IssuerTemplate>) => {
      const names = issuers.flatMap(expandIssuer)
      return new Set(names).size === names.length
    }, { expected: "a list of 1 to 1000 issuers, each once" })
  ),
  audiences: list(Field.text(1, 2048), 64, "audiences"),
  audienceClaim: Field.defaulted(Field.text(1, 256), "aud"),
  authorizedParties: Schema.optionalKey(list(Field.text(1, 2048), 64, "authorized parties")),
  algorithms: list(Schema.Literals(Algorithms.algorithms), 14, "algorithms"),
  types: Schema.optionalKey(list(Field.text(1, 128), 16, "types")),
  requireType: Schema.optionalKey(Schema.Boolean),
  requiredClaims: Field.defaulted(
    Schema.Array(Field.text(1, 256)).check(Schema.isMaxLength(64, { expected: "a list of at most 64 names" })),
    []
  ),
  clockTolerance: Field.defaulted(Field.duration("0 millis", "5 minutes"), Duration.seconds(30)),
  maxAge: Schema.optionalKey(Field.duration("1 second", "8760 hours")),
  nonce: Field.defaulted(Schema.Literals(["required", "optional"]), "required"),
  maxLength: Field.defaulted(Field.int(256, 65_536), 16_384),
  maxDepth: Field.defaulted(Field.int(1, 32), 8),
  maxMembers: Field.defaulted(Field.int(8, 4096), 256),
  maxAudiences: Field.defaulted(Field.int(1, 1024), 64),
  cacheEntries: Field.defaulted(Field.int(0, 1_000_000), 20_000),
  cacheBytes: Field.defaulted(Field.int(65_536, 1_073_741_824), 33_554_432)
})

/** A checked policy. */
export const ValidationPolicy = Fields.check(hasTrustDomain)
export type ValidationPolicy = typeof ValidationPolicy.Type

/**
 * JWT access tokens by RFC 9068: `typ` is `at+jwt`, and `sub`, `client_id`, `iat` and `jti` are required.
 *
 * Many issuers' access tokens do not follow RFC 9068: use `jwt` for those.
 *
 * **Example** (A policy for one issuer and one API)
 *
 * ```ts import.meta.vitest
 * import { ValidationPolicy } from "@keelson/token"
 *
 * const options = ValidationPolicy.accessToken({
 *   issuers: ["https://idp.example"],
 *   audiences: ["api"],
 *   algorithms: ["RS256"],
 *   clockTolerance: "10 seconds"
 * })
 * ValidationPolicy.make(options).maxLength // => 16384
 * ```
 */
export const accessToken = (options: PresetOptions): Options => ({ ...options, profile: "accessToken" })

/**
 * ID tokens of OpenID Connect, for the client whose id is the audience. `sub` and `iat` are required; `nonce`, `at_hash` and
 * `c_hash` must match the call's options. `azp` is checked with the option `authorizedParties`.
 */
export const idToken = (options: PresetOptions): Options => ({ ...options, profile: "idToken" })

/**
 * JWTs of any other kind. To distinguish two kinds of tokens of one issuer, use different audiences or `types` (RFC 8725, 3.11
 * and 3.12).
 */
export const jwt = (options: PresetOptions): Options => ({ ...options, profile: "jwt" })

const svidAlgorithms = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"] as const

/**
 * JWT-SVIDs: tokens of the workloads of a SPIFFE trust domain, such as those of SPIRE.
 *
 * `sub` must be the SPIFFE ID of a workload of the trust domain, and `typ` is `JWT` or `JOSE` where it is present. `iss` may be
 * absent: the issuer is then the trust domain. Keys with the `use` `jwt-svid` are accepted, which no other policy does, and found
 * under the SPIFFE ID of the trust domain: the URL of a SPIFFE bundle is that of a key set.
 *
 * **Example** (The workloads of a trust domain)
 *
 * ```ts import.meta.vitest
 * import { JwksOptions } from "@keelson/jwks"
 * import { ValidationPolicy } from "@keelson/token"
 *
 * const policy = ValidationPolicy.make(ValidationPolicy.spiffe({ trustDomain: "example.org", audiences: ["reports"] }))
 * policy.issuers // => ["spiffe://example.org"]
 *
 * const bundle = JwksOptions.make({ issuer: "spiffe://example.org", url: "https://spire.example.org/bundle" })
 * bundle.issuer === policy.issuers[0] // => true
 * ```
 *
 * @see https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md
 */
export const spiffe = ({ algorithms = svidAlgorithms, issuers = [], ...options }: SpiffeOptions): Options => ({
  ...options,
  algorithms,
  issuers: [trustDomainId(options.trustDomain), ...issuers],
  profile: "spiffe"
})

const fromCode = Decoders.maker<Options, typeof ValidationPolicy>(ValidationPolicy)

/** Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make: (options: Options) => ValidationPolicy = fromCode
